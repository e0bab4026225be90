"""What a sweep of 10 query prompts and 3 poolings takes beside one run: processor time of encoding.

One run encodes documents and queries once. The sweep encodes what its 30 configurations need, through
the same code and each time into an empty store. Both are measured in turn, every other round in the
opposite order, and ratios are taken within a round. Loading the model is not timed; searching is not
encoding and not in it. How many queries come to a document decides the ratio, so several are measured:
the task's own proportion and two with more queries.

    python benchmarks/sweep.py
    python benchmarks/sweep.py --task FinanceBench-Sample --documents 200 --rounds 5
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dibs.cards.model import ModelCard, Pooling
from dibs.cards.task import TaskCard
from dibs.data.prepare import ensure
from dibs.encoders.base import Encoder, EncoderContext, FloatArray, Role, make_encoder
from dibs.encoders.embed import embed, embed_together
from dibs.encoders.pooled import passes
from dibs.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
POOLINGS: tuple[Pooling, ...] = ("mean", "cls", "last")
PROMPTS = (
    "", "query: ", "Query: ", "Question: ", "search_query: ", "Represent this question for search: ",
    "Find the page that answers: ", "Represent this sentence for searching relevant passages: ",
    "Given a question, retrieve the page that answers it: ", "Instruct: find the answer. Query: ",
)  # fmt: skip


class Took(NamedTuple):
    """Processor seconds of all threads."""

    documents: float
    queries: list[float]
    """For each number of queries."""
    vectors: FloatArray
    """The documents' of the card's own settings."""


def main() -> None:
    options = read_options()
    place = Workspace.find(ROOT)
    task = place.card(TaskCard, options.task)
    card = place.card(ModelCard, options.model).running(options.backend, None)
    data = ensure(task, place)
    documents = drawn([text for text in data.document_texts(task.template(None)) if text], options.documents)
    own = max(1, round(len(documents) * data.info.queries / data.info.documents))
    counts = sorted({own, *(round(len(documents) * share) for share in (1 / 30, 1 / 10))})
    queries = [drawn(data.query_texts(), count) for count in counts]
    print(
        f"{len(documents)} documents of {task.name}, {card.name} on {card.backend}; "
        f"{len(PROMPTS)} prompts x {len(POOLINGS)} poolings against one run; "
        f"{own} queries are the task's own proportion"
    )
    ratios: list[list[float]] = [[] for _ in counts]
    for number in range(options.rounds):
        order = (one_run, whole_sweep) if number % 2 == 0 else (whole_sweep, one_run)
        took = {each: each(card, documents, queries, place.cache) for each in order}
        run, sweep = took[one_run], took[whole_sweep]
        apart = np.abs(run.vectors - sweep.vectors).max()
        print(
            f"round {number + 1}: documents {run.documents:.2f} s and {sweep.documents:.2f} s, ratio "
            f"{sweep.documents / run.documents:.3f}; largest difference of their vectors {apart:.1e}"
        )
        for at, count in enumerate(counts):
            whole = [each.documents + each.queries[at] for each in (run, sweep)]
            ratios[at].append(whole[1] / whole[0])
            print(
                f"  with {count} queries ({run.queries[at]:.2f} s and {sweep.queries[at]:.2f} s): "
                f"ratio {ratios[at][-1]:.3f}",
                flush=True,
            )
    for count, found in zip(counts, ratios, strict=True):
        print(f"with {count} queries: median ratio {statistics.median(found):.3f}")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="a card of a local model")
    parser.add_argument("--task", default="DocsQA-Open", help="a task whose data is prepared")
    parser.add_argument("--documents", type=int, default=300, help="how many, drawn with a fixed seed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backend", default="torch", choices=("torch", "onnxruntime", "openvino"))
    return parser.parse_args()


def drawn(texts: Sequence[str], count: int) -> list[str]:
    return random.Random(0).sample(list(texts), min(count, len(texts)))


def one_run(card: ModelCard, documents: list[str], queries: list[list[str]], cache: Path) -> Took:
    return timed([make_encoder(card, EncoderContext(cache))], documents, queries)


def whole_sweep(card: ModelCard, documents: list[str], queries: list[list[str]], cache: Path) -> Took:
    context = EncoderContext(cache)
    cards = (
        card.with_settings({"pooling": pooling, "query_prompt": prompt})
        for pooling, prompt in product(POOLINGS, PROMPTS)
    )
    return timed([make_encoder(each, context) for each in cards], documents, queries)


def timed(encoders: list[Encoder], documents: list[str], queries: list[list[str]]) -> Took:
    encoders[0].encode(["so that all is loaded"], "query")
    with tempfile.TemporaryDirectory() as folder:
        took = seconds(encoders, "document", documents, Path(folder))
        kept = embed(encoders[0], "document", documents, len(documents), Path(folder))
        assert not kept.encoded
        vectors = kept.vectors()
    took_queries = []
    for texts in queries:
        with tempfile.TemporaryDirectory() as folder:
            took_queries.append(seconds(encoders, "query", texts, Path(folder)))
    return Took(took, took_queries, vectors)


def seconds(encoders: list[Encoder], role: Role, texts: list[str], store: Path) -> float:
    started = time.process_time()
    for together in passes(encoders, role):
        embed_together(together, role, texts, len(texts), store)
    return time.process_time() - started


if __name__ == "__main__":
    main()
