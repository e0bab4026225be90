"""The transformer of a sentence-transformers model as an ONNX graph, made once and kept in the cache."""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dibs.cards.model import Backend
from dibs.encoders.base import needs
from dibs.encoders.batches import Padded
from dibs.encoders.runtimes import Runtime, graph_runtime
from dibs.errors import InputError
from dibs.files import folder_aside, sha256_file, slug, write_json

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

FORMAT = 1
"""Of what is below; another number has every model exported anew."""

_OPSET = 18
_HASHES = "sha256.json"
_TOLERANCE = 1e-4
"""How far token vectors may be from torch's, by the largest of these. MiniLM's are 3e-7 from them."""


def exported(
    weights: str,
    cache: Path,
    load: Callable[[], SentenceTransformer],
    probes: Callable[[], Sequence[Padded]],
    backend: Backend,
) -> Path:
    """The ONNX graph of the model with that hash: the one in the cache if it is whole, else a new one.

    Args:
        weights: The hash of the model's files.
        cache: The folder that holds all graphs.
        load: Gives the model in float32, with attention written out ("eager"): OpenVINO fuses that
            into one operation, which it does not with the graph that torch makes of its own fused one.
        probes: Gives tokens on which a new graph is compared with torch.
        backend: What runs the comparison.

    Raises:
        InputError: the model cannot be exported, or its graph gives other vectors.
        MissingError: the packages that export are not installed.
    """
    from filelock import FileLock

    folder = cache / slug(f"{weights[:32]}-torch{version('torch')}-{FORMAT}")
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not _whole(folder):
            needs("onnx" if backend == "onnxruntime" else backend, "onnx", "onnxscript")
            if folder.exists():
                warnings.warn(f"{folder}: the model's ONNX graph is damaged and made anew", stacklevel=2)
            with folder_aside(cache, ".export-") as made:
                _make(load(), made, probes(), backend)
                write_json(made / _HASHES, {path.name: sha256_file(path) for path in sorted(made.iterdir())})
                shutil.rmtree(folder, ignore_errors=True)
                made.rename(folder)
    return folder / "model.onnx"


def _whole(folder: Path) -> bool:
    """Whether every file of the graph is as it was written."""
    try:
        hashes = json.loads((folder / _HASHES).read_text(encoding="utf-8"))
        return "model.onnx" in hashes and all(sha256_file(folder / n) == sha for n, sha in hashes.items())
    except (OSError, ValueError):
        return False


def _make(model: SentenceTransformer, folder: Path, probes: Sequence[Padded], backend: Backend) -> None:
    from dibs.encoders.runtimes.torch import TorchRuntime

    graph = folder / "model.onnx"
    try:
        with _quiet():
            _export(model, graph, probes[0])
        runtime = graph_runtime(backend, graph, "float32")
    except Exception as error:  # the exporter fails in as many ways as there are models
        raise InputError(
            f"the model cannot be exported to ONNX: {str(error).strip().splitlines()[0][:300]}",
            todo="Use backend torch.",
        ) from error
    distance = _distance(TorchRuntime(model), runtime, probes)
    if not distance <= _TOLERANCE:
        raise InputError(
            f"the model's ONNX graph gives other vectors than torch (by {distance:.1e})",
            todo="Use backend torch.",
        )


def _export(model: SentenceTransformer, graph: Path, probe: Padded) -> None:
    import torch

    class Transformer(torch.nn.Module):
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.inner(
                input_ids=input_ids, attention_mask=attention_mask, return_dict=True
            ).last_hidden_state

    inputs = (torch.from_numpy(probe.ids), torch.from_numpy(probe.mask))
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    with torch.inference_mode():
        torch.onnx.export(
            Transformer(model[0].model).eval(),
            inputs,
            graph,
            input_names=["input_ids", "attention_mask"],
            output_names=["last_hidden_state"],
            dynamic_shapes={"input_ids": axes, "attention_mask": axes},
            opset_version=_OPSET,
            dynamo=True,
            external_data=True,
            verbose=False,
        )


def _distance(torch: Runtime, other: Runtime, probes: Sequence[Padded]) -> float:
    """The largest difference of a token's vector from torch's, by the largest value in these."""
    worst = 0.0
    for ids, mask in probes:
        expected = torch.run(ids, mask)[mask == 1]
        difference = np.abs(other.run(ids, mask)[mask == 1] - expected).max()
        worst = max(worst, float(difference / np.abs(expected).max()))
    return worst


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of torch's and its own insides."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
