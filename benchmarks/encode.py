"""How fast DIBS encodes beside SentenceTransformer.encode and mteb.evaluate, on real text.

Each system encodes the same texts in a process of its own, one after another, round by round, every
other round in the opposite order. Ratios are taken within a round; loading the model is not timed.

    python benchmarks/encode.py                                # FinanceBench's pages, or its sample
    python benchmarks/encode.py --texts pages.parquet --column text --limit 2000 --rounds 3
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from encode_worker import CALL

from dibs.cards.model import ModelCard
from dibs.cards.task import TaskCard
from dibs.data.prepare import ensure, prepared
from dibs.encoders.base import EncoderContext, make_encoder
from dibs.encoders.folder import read_fields
from dibs.encoders.sentence_transformers import SentenceTransformersEncoder
from dibs.encoders.weights import locate
from dibs.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
BASELINE = "sentence-transformers"
SYSTEMS = (
    *(BASELINE, "mteb", "dibs torch float32", "dibs onnxruntime float32", "dibs openvino float32"),
    *("dibs torch bfloat16", "dibs openvino bfloat16"),
)


class Texts(NamedTuple):
    """What is encoded."""

    source: str
    documents: list[str]
    queries: list[str]


def main() -> None:
    options = read_options()
    place = Workspace.find(ROOT)
    card = place.card(ModelCard, options.model)
    texts = read_texts(options, place)
    encoder = make_encoder(card, EncoderContext(place.cache))
    assert isinstance(encoder, SentenceTransformersEncoder)
    lengths = np.minimum(encoder.count_tokens(texts.documents), encoder.max_tokens)
    flops = float(flops_of(lengths, locate(card)).sum())
    del encoder
    print(
        f"{len(texts.documents):,} texts and {len(texts.queries)} queries of {texts.source}; {card.name}, "
        f"{lengths.mean():.0f} tokens a text after the cut, {flops / len(lengths) / 1e9:.2f} GFLOP a text"
    )
    for name, call in CALL.items():
        print(f"  {name}: {call}")
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options, card, texts, place, Path(folder))
        print_speeds(found, len(texts.documents), flops)
        print_overlaps(Path(folder), options.systems)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=Path, help="a parquet file")
    parser.add_argument("--column", default="text", help="its column with the texts")
    parser.add_argument("--limit", type=int, default=2000, help="texts, drawn with a fixed seed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="a model card")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS)
    return parser.parse_args()


def read_texts(options: argparse.Namespace, place: Workspace) -> Texts:
    """The texts with something in them; queries are the task's, else beginnings of some texts."""
    queries: list[str] = []
    if options.texts:
        import pyarrow.parquet as pq

        source = options.texts.name
        found = pq.read_table(options.texts, columns=[options.column])[options.column].to_pylist()
    else:
        card = place.card(TaskCard, "FinanceBench")
        data = prepared(card, place)
        if data is None:
            card = place.card(TaskCard, "FinanceBench-Sample")
            data = ensure(card, place)
        source, queries = card.name, data.query_texts()
        found = list(data.document_texts(card.template(None)))
    found = [text for text in found if text and text.strip()]
    drawn = random.Random(0).sample(found, min(options.limit, len(found)))
    return Texts(source, drawn, queries or [" ".join(text.split()[:20]) for text in drawn[:200]])


def measure(
    options: argparse.Namespace, card: ModelCard, texts: Texts, place: Workspace, folder: Path
) -> dict[str, list[dict[str, float]]]:
    """What each system took in each round; models are exported before the first."""
    job = {
        "folder": str(locate(card)),
        "card": card.model_dump_json(),
        "cache": str(place.cache),
        "queries": texts.queries,
    }
    for system in options.systems:
        if system.startswith("dibs"):
            run_one(system, job | {"texts": texts.documents[:8]}, folder)
    found: dict[str, list[dict[str, float]]] = {system: [] for system in options.systems}
    for number in range(options.rounds):
        rates = {kind: matmul_rate(kind) for kind in ("float32", "bfloat16")}
        for system in options.systems if number % 2 == 0 else reversed(options.systems):
            row = run_one(system, job | {"texts": texts.documents}, folder)
            found[system].append(row | {f"matmul {kind}": rate for kind, rate in rates.items()})
            print(
                f"round {number + 1}: {system:26} {len(texts.documents) / row['seconds']:6.1f} docs/s",
                flush=True,
            )
    return found


def run_one(system: str, job: dict[str, Any], folder: Path) -> dict[str, float]:
    out = folder / system.replace(" ", "-")
    file = folder / "job.json"
    file.write_text(json.dumps(job | {"system": system, "out": str(out)}))
    worker = [sys.executable, str(Path(__file__).with_name("encode_worker.py")), str(file)]
    subprocess.run(worker, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    row: dict[str, float] = json.loads(Path(f"{out}.json").read_text())
    return row


def flops_of(lengths: np.ndarray, folder: Path) -> np.ndarray:
    """Operations for texts of so many tokens, those of matrix products alone.

    A layer with hidden width h and inner width f takes, for each of t tokens, 8h^2 for the projections
    of attention, 4hf for the two of the inner layer, and 4th for attention itself.
    """
    config = read_fields(folder / "config.json")
    h, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    per_token: np.ndarray = layers * (8 * h * h + 4 * h * f + 4 * lengths * h)
    return lengths * per_token


def matmul_rate(kind: str) -> float:
    """FLOP/s of a product on all cores: the best of two shapes, by torch and in float32 also by numpy.

    The shapes are 2048 x 2048 x 2048 and MiniLM's inner layer.
    """
    import torch

    best = 0.0
    for n, k, m in ((2048, 2048, 2048), (8192, 384, 1536)):
        x, w = (torch.randn(shape, dtype=getattr(torch, kind)) for shape in ((n, k), (m, k)))
        with torch.inference_mode():
            seconds = fastest(lambda x=x, w=w: torch.nn.functional.linear(x, w))
            if kind == "float32":
                a, b = x.numpy(), np.ascontiguousarray(w.numpy().T)
                seconds = min(seconds, fastest(lambda a=a, b=b: a @ b))
        best = max(best, 2 * n * k * m / seconds)
    return best


def fastest(call: Callable[[], object], times: int = 12) -> float:
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def print_speeds(found: dict[str, list[dict[str, float]]], texts: int, flops: float) -> None:
    for reference in (BASELINE, "mteb"):
        if reference not in found:
            continue
        print(f"\nTimes as fast as {reference}, each round and the median: by the clock; by processor time,")
        print("which other work on the machine hardly changes")
        for system, rows in found.items():
            listed = []
            for what in ("seconds", "cpu"):
                pairs = zip(found[reference], rows, strict=True)
                ratios = [theirs[what] / ours[what] for theirs, ours in pairs]
                each = "  ".join(f"{ratio:5.2f}" for ratio in ratios)
                listed.append(f"{each}   median {statistics.median(ratios):5.2f}")
            print(f"  {system:26} {' ; '.join(listed)}")
    print("\nMedians: docs/s, docs per processor-second, peak memory, load, share of the matrix-product rate")
    for system, rows in found.items():
        seconds, cpu, load = (
            statistics.median(row[what] for row in rows) for what in ("seconds", "cpu", "load")
        )
        kind = "bfloat16" if system.endswith("bfloat16") else "float32"
        rate = max(row[f"matmul {kind}"] for row in rows)  # other work on the machine only lowers it
        peak = max(row["peak_mib"] for row in rows)
        print(
            f"  {system:26} {texts / seconds:6.1f} {texts / cpu:6.1f} {peak:6.0f} MiB {load:5.1f} s "
            f"{flops / seconds / rate:5.0%} of {rate / 1e9:,.0f} GFLOP/s ({kind})"
        )


def print_overlaps(folder: Path, systems: list[str], k: int = 10) -> None:
    if BASELINE not in systems:
        return
    print(f"\nAgainst {BASELINE}: top-{k} overlap, queries with the same top-{k} in the same order, cosines")
    first = np.load(folder / f"{BASELINE}.npz")
    expected = top(first, k)
    for system in systems:
        path = folder / f"{system.replace(' ', '-')}.npz"
        if system == BASELINE or not path.exists():
            continue
        own = np.load(path)
        ranked = top(own, k)
        shared = [len(set(a) & set(b)) / k for a, b in zip(ranked, expected, strict=True)]
        same = (ranked == expected).all(axis=1).mean()
        cosines = np.einsum("nd,nd->n", own["documents"], first["documents"])
        apart = np.abs(own["documents"] - first["documents"]).max()
        print(
            f"  {system:26} {statistics.mean(shared):.4f}  {same:.3f}  "
            f"cosine mean {cosines.mean():.6f} least {cosines.min():.6f}  largest difference {apart:.1e}"
        )


def top(vectors: Any, k: int) -> np.ndarray:
    found: np.ndarray = np.argsort(-(vectors["queries"] @ vectors["documents"].T), axis=1, kind="stable")[
        :, :k
    ]
    return found


if __name__ == "__main__":
    main()
