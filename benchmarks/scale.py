"""What a large corpus would take, from what is measured here: encoding on N GPUs, storage, memory, money.

Measured: tokens of FinanceBench's pages; a small model's share of the matrix-product rate; what Ray adds to
a run, in pairs of runs with and without it; how many batches one command can hand out, fetch and store.
The rest is arithmetic from options, which are assumptions.

    python benchmarks/scale.py
    python benchmarks/scale.py --pages 1e6 --parameters 0.6e9 --dimension 1024 --gpus 1 --price 2
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from encode import flops_of, matmul_rate, read_texts

from dibs.cards.model import ModelCard
from dibs.distributed.engine import RayEngine
from dibs.distributed.pool import Pool, Task
from dibs.encoders.base import EncodedBatch, Encoder, EncoderContext, FloatArray, IntArray, make_encoder
from dibs.encoders.batches import Batch, by_budget
from dibs.encoders.embed import embed
from dibs.encoders.local import BATCH_TOKENS, LocalEncoder
from dibs.encoders.vectors import VectorStore, text_keys
from dibs.encoders.weights import locate
from dibs.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
GRAPH = 150
"""Bytes a vector of an HNSW graph: docs/search.md finds 83 MB for 49,241 vectors of 1,536 bytes."""
HELD = 200
"""Bytes a document that a search holds of ids, keys and rows, as docs/search.md says."""


class Echo:
    """A worker that encodes nothing: what is left is the way there and back."""

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension

    def start(self) -> bool:
        return True

    def encode(self, batch: Batch) -> EncodedBatch:
        return EncodedBatch(
            batch.positions, np.zeros((len(batch.texts), self._dimension), np.float32), batch.tokens
        )


def main() -> None:
    options = read_options()
    place = Workspace.find(ROOT)
    card = place.card(ModelCard, options.model).running("openvino", None)
    options.texts, options.limit = None, options.count
    texts = read_texts(options, place)
    encoder = make_encoder(card, EncoderContext(place.cache))
    assert isinstance(encoder, LocalEncoder)
    encoder.ready()
    counts = encoder.count_tokens(texts.documents)
    print(
        f"{len(counts):,} pages of {texts.source}: {counts.mean():.0f} tokens on average, "
        f"median {np.median(counts):.0f}, 95 % under {np.percentile(counts, 95):.0f} (by {card.name}); "
        f"padding adds {padding(counts):.1%} in batches of {BATCH_TOKENS:,}"
    )
    with RayEngines() as engine:
        spread = make_encoder(card, EncoderContext(place.cache, engine=engine))
        spread.ready()
        print_speeds(options, texts.documents[: options.encoded], encoder, spread, locate(card))
        handing = handed_out(engine, encoder, texts.documents, options.dimension)
    print_estimate(options, float(counts.mean()), handing)


def padding(counts: IntArray) -> float:
    """Tokens of padding for each of the texts' own, batched as encoders do, whole."""
    batches = [counts[places] for places in by_budget(counts, BATCH_TOKENS)]
    return float(sum(len(batch) * batch.max() for batch in batches) / counts.sum() - 1)


class RayEngines:
    """One worker with all cores, ended with the block."""

    def __enter__(self) -> RayEngine:
        self._engine = RayEngine(None, 1)
        return self._engine

    def __exit__(self, *_: object) -> None:
        self._engine.stop()


def print_speeds(
    options: argparse.Namespace, texts: list[str], own: LocalEncoder, spread: Encoder, folder: Path
) -> None:
    """Rounds of both, in turns; ratios are taken within a round."""
    lengths = np.minimum(own.count_tokens(texts), own.max_tokens)
    flops, batches = float(flops_of(lengths, folder).sum()), sum(1 for _ in own.stream(texts, "document"))
    rounds: list[tuple[float, float]] = []
    best = 0.0
    for number in range(options.rounds):
        best = max(best, matmul_rate("float32"))
        pair = [(own, 0), (spread, 1)] if number % 2 == 0 else [(spread, 1), (own, 0)]
        taken = [0.0, 0.0]
        found: list[Any] = [None, None]
        for encoder, which in pair:
            taken[which], found[which] = timed(encoder, texts)
        assert np.array_equal(*found), "Ray's vectors are not those of this process"
        rounds.append((taken[0], taken[1]))
        print(f"round {number + 1}: here {taken[0]:.1f} s, Ray {taken[1]:.1f} s", flush=True)
    here = statistics.median(own for own, _ in rounds)
    ratios = [ray / own for own, ray in rounds]
    print(
        f"{len(texts)} pages cut to {own.max_tokens} tokens, {batches} batches, equal to the last bit\n"
        f"here: {lengths.sum() / here:,.0f} tokens/s, {flops / here / best:.0%} of {best / 1e9:,.0f} GFLOP/s "
        f"(the matrix-product rate, float32)\n"
        f"Ray takes {statistics.median(ratios):.3f} times as long (each round: "
        f"{', '.join(f'{ratio:.3f}' for ratio in ratios)})"
    )


def timed(encoder: Encoder, texts: list[str]) -> tuple[float, FloatArray]:
    """Seconds into an empty store, and the vectors."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        embedded = embed(encoder, "document", texts, len(texts), Path(folder))
        return time.perf_counter() - started, embedded.vectors()


def handed_out(engine: RayEngine, encoder: LocalEncoder, texts: list[str], dimension: int) -> float:
    """Seconds that one command takes for a batch: to hand it out, fetch its vectors and store them."""
    batches = [batch for window in encoder.plan(texts, "document") for batch in window]
    if engine._pool is not None:
        engine._pool.close()  # its worker holds the cores
    pool = Pool(lambda seat: engine.cluster.actor(Echo, seat, dimension), engine.cluster.seats())
    pool.ready()
    with tempfile.TemporaryDirectory() as folder:
        store = VectorStore(Path(folder), "echo", {}, dimension)
        started, before = time.perf_counter(), time.process_time()
        tasks = deque(Task("encode", (batch,), "a batch") for batch in batches)
        for done in pool.work(tasks, iter(())):
            batch = done.result
            store.append(text_keys([texts[place] for place in batch.positions]), batch.vectors, batch.tokens)
        seconds, cpu = time.perf_counter() - started, time.process_time() - before
    pool.close()
    print(
        f"handing out, fetching and storing {len(batches)} batches of {len(texts) / len(batches):.0f} pages "
        f"with {dimension} dimensions: {seconds / len(batches) * 1e3:.1f} ms a batch, "
        f"{cpu / len(batches) * 1e3:.1f} of them this process's own"
    )
    return seconds / len(batches)


def print_estimate(options: argparse.Namespace, tokens: float, handing: float) -> None:
    """The arithmetic; see docs/scale.md."""
    flops = 2 * options.parameters * tokens * options.pages
    per_gpu = options.peak * options.share / (2 * options.parameters * tokens)
    hours = options.pages / (per_gpu * options.gpus) / 3600
    per_batch = 2 * options.parameters * BATCH_TOKENS / (options.peak * options.share)
    all_hours, vectors = hours * options.gpus, options.pages * options.dimension * 4
    print(
        f"\n{options.pages:,.0f} pages of {tokens:.0f} tokens, {options.parameters / 1e9:g}B parameters, "
        f"{options.gpus} GPUs of {options.peak / 1e12:,.0f} TFLOP/s at {options.share:.0%}:\n"
        f"  {flops:.2e} FLOP; {per_gpu:.0f} pages/s a GPU; {hours:,.1f} hours; {all_hours:,.0f} GPU-hours "
        f"at {options.price:g} = {all_hours * options.price:,.0f}\n"
        f"  one command feeds {per_batch / handing:.0f} such GPUs, for {per_batch * 1e3:.0f} ms a batch\n"
        f"  vectors {vectors / 1e9:,.0f} GB on disk; a search holds {options.pages * HELD / 1e9:.1f} GB "
        f"of ids and keys\n"
        f"  index in memory with a graph: float32 {(vectors + options.pages * GRAPH) / 1e9:,.0f} GB, "
        f"int8 {(vectors / 4 + options.pages * GRAPH) / 1e9:,.0f} GB, "
        f"binary {(vectors / 32 + options.pages * GRAPH) / 1e9:,.1f} GB"
    )


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="the small model that is measured")
    parser.add_argument("--count", type=int, default=2000, help="pages whose tokens are counted")
    parser.add_argument("--encoded", type=int, default=200, help="of them, those that are encoded")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pages", type=float, default=10e6)
    parser.add_argument("--parameters", type=float, default=7e9)
    parser.add_argument("--dimension", type=int, default=4096)
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--peak", type=float, default=989e12, help="FLOP/s of a GPU, dense bfloat16")
    parser.add_argument("--share", type=float, default=0.4, help="of the peak that is reached")
    parser.add_argument("--price", type=float, default=2.5, help="of a GPU-hour")
    return parser.parse_args()


if __name__ == "__main__":
    main()
