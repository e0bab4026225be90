"""All but encoding, DIBS beside mteb.evaluate: both are given every vector, and search and score with them.

FinanceBench's 49,241 pages and 150 questions with MiniLM's vectors where they are at hand, else a made-up
corpus of that size. Each system runs in a process of its own, one after another, round by round, every
other round in the opposite order; ratios are taken within a round, the first round is not counted.

    python benchmarks/search.py [--rounds 5]
    python benchmarks/search.py --made-up --documents 100000
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from ready import store_vectors
from search_worker import CALL

from dibs.cards.model import ModelCard
from dibs.cards.task import TaskCard
from dibs.data.dataset import QRELS_SCHEMA, Dataset
from dibs.data.prepare import prepared
from dibs.data.write import write_dataset
from dibs.encoders.base import EncoderContext, FloatArray, Role, make_encoder, unit_length
from dibs.encoders.embed import missing
from dibs.encoders.vectors import VectorStore, text_keys
from dibs.errors import DibsError
from dibs.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
BLOCK = 8192
CPU_SECONDS, PEAK_MIB = 3.0, 1024
"""What DIBS's process may take, from its start to its end."""
SHOWN = {
    "cpu": "processor seconds, evaluating",
    "seconds": "seconds, evaluating",
    "cpu_whole": "processor seconds, whole process",
    "seconds_whole": "seconds, whole process",
    "peak_mib": "peak memory, MiB",
}


class Ready(NamedTuple):
    """A task's data and its vectors."""

    card: TaskCard
    dataset: Dataset
    documents: FloatArray
    queries: FloatArray
    source: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--made-up", action="store_true", help="do not look for FinanceBench")
    parser.add_argument("--documents", type=int, default=49_241, help="of the made-up corpus")
    parser.add_argument("--queries", type=int, default=150)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = None if options.made_up else financebench()
        data = data or made_up(folder, options.documents, options.queries)
        info = data.dataset.info
        print(f"{info.documents:,} documents and {info.queries} queries: {data.source}")
        for system, call in CALL.items():
            print(f"  {system}: {call}")
        job = write_job(data, folder)
        found: dict[str, list[dict[str, float]]] = {system: [] for system in CALL}
        for number in range(options.rounds + 1):
            for system in CALL if number % 2 == 0 else reversed(CALL):
                command = [sys.executable, str(Path(__file__).with_name("search_worker.py")), system]
                subprocess.run([*command, str(job)], check=True, stdout=subprocess.DEVNULL)
                if number:  # the first fills caches
                    found[system].append(json.loads((folder / f"{system}.json").read_text()))
        show(found)


def financebench() -> Ready | None:
    """The task and MiniLM's vectors, read from the cache; None where anything is lacking."""
    place = Workspace.find(ROOT)
    card, model = place.card(TaskCard, "FinanceBench"), place.card(ModelCard, "all-MiniLM-L6-v2")
    dataset = prepared(card, place)
    if dataset is None:
        return None
    try:
        encoder = make_encoder(model, EncoderContext(place.cache, card.query_prompt or "", card.max_tokens))
        roles: tuple[Role, Role] = ("document", "query")
        stores = [
            VectorStore(place.vectors, model.name, encoder.settings(role), encoder.dimension)
            for role in roles
        ]
    except DibsError as error:
        print(f"{model.name}: {error}")
        return None
    texts = list(dataset.document_texts(card.template(None))), dataset.query_texts()
    keys = [text_keys(column) for column in texts]
    if any(len(missing(store, column)) for store, column in zip(stores, keys, strict=True)):
        return None
    vectors = [store.vectors(store.find(column)) for store, column in zip(stores, keys, strict=True)]
    return Ready(card, dataset, *vectors, f"FinanceBench, {model.name}'s vectors")


def made_up(folder: Path, documents: int, queries: int, dimension: int = 384) -> Ready:
    """Texts of 1,500 characters, and vectors around random centres; each query is near its own document."""
    chance = np.random.default_rng(0)
    words = [f"w{number}" for number in range(5000)]
    texts = [f"{number} " + " ".join(chance.choice(words, 300)) for number in range(documents)]
    centres = chance.standard_normal((500, dimension))
    vectors = unit_length(
        centres[chance.integers(0, 500, documents)] + chance.standard_normal((documents, dimension))
    )
    gold = chance.choice(documents, queries, replace=False)
    near = unit_length(vectors[gold] + 0.08 * chance.standard_normal((queries, dimension)))
    names, asked = [f"d{number}" for number in range(documents)], [f"q{number}" for number in range(queries)]
    dataset = write_dataset(
        folder / "made-up",
        "MadeUp",
        pa.table({"id": names, "text": texts}),
        pa.table({"id": asked, "text": [f"question {number}" for number in gold]}),
        pa.table([asked, [names[place] for place in gold], [1] * queries], schema=QRELS_SCHEMA),
    )
    card = TaskCard.model_validate(
        {
            "name": "MadeUp",
            "description": "Random words.",
            "source": {"kind": "beir"},
            "documents": {"template": "{text}"},
            "licence": "cc0-1.0",
            "citation": "none",
        }
    )
    return Ready(card, dataset, vectors, near, "made up, vectors around 500 centres")


def write_job(data: Ready, folder: Path) -> Path:
    """What the workers read: the data in the form of each, the vectors in DIBS's store and as arrays."""
    import datasets

    datasets.disable_progress_bars()
    texts = {"document": list(data.dataset.document_texts(data.card.template(None)))}
    texts["query"] = data.dataset.query_texts()
    ids = {"document": data.dataset.document_ids, "query": data.dataset.query_ids}
    roles: tuple[Role, Role] = ("document", "query")
    for role, vectors in zip(roles, (data.documents, data.queries), strict=True):
        np.save(folder / f"{role}.npy", vectors)
        store_vectors(folder / "cache", role, blocks(texts[role], vectors))
        columns = {"id": ids[role], "text": texts[role]}
        datasets.Dataset.from_dict(columns).save_to_disk(folder / f"mteb-{role}")
    (folder / "root").mkdir()
    job = {
        "card": data.card.model_dump_json(),
        "dataset": str(data.dataset.folder.parent),
        "folder": str(folder),
        "dimension": data.documents.shape[1],
    }
    path = folder / "job.json"
    path.write_text(json.dumps(job))
    return path


def blocks(texts: list[str], vectors: FloatArray) -> Iterator[tuple[list[str], FloatArray]]:
    for begin in range(0, len(texts), BLOCK):
        yield texts[begin : begin + BLOCK], vectors[begin : begin + BLOCK]


def show(found: dict[str, list[dict[str, float]]]) -> None:
    ours = found["dibs"]
    for key, label in SHOWN.items():
        print(f"{label}: DIBS {statistics.median(row[key] for row in ours):.2f}")
        for system, theirs in found.items():
            if system != "dibs":
                ratios = [b[key] / a[key] for a, b in zip(ours, theirs, strict=True)]
                each = " ".join(f"{ratio:.1f}" for ratio in ratios)
                median = statistics.median(row[key] for row in theirs)
                print(f"  {system:10}{median:9.2f}, {statistics.median(ratios):.1f} x DIBS (rounds: {each})")
    for key in sorted(ours[0].keys() - SHOWN.keys()):
        print(f"{key}: " + ", ".join(f"{system} {rows[0][key]:.5f}" for system, rows in found.items()))
    cpu, peak = (max(row[key] for row in ours) for key in ("cpu_whole", "peak_mib"))
    kept = cpu < CPU_SECONDS and peak < PEAK_MIB
    print(
        f"DIBS's process at most {cpu:.1f} s of processor time and {peak:,.0f} MiB: "
        f"{'within' if kept else 'NOT within'} {CPU_SECONDS:.0f} s and {PEAK_MIB:,} MiB"
    )


if __name__ == "__main__":
    main()
