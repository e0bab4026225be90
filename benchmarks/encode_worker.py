"""One system encodes the texts once, in a process of its own: called by encode.py."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

CALL = {
    "sentence-transformers": "SentenceTransformer.encode with its defaults",
    "mteb": "mteb.evaluate of a SentenceTransformer with its defaults, queries and search included",
}


def encode_with_sentence_transformers(job: dict[str, Any]) -> Callable[[list[str]], np.ndarray]:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(job["folder"], device="cpu")
    return lambda texts: model.encode(texts, show_progress_bar=False)


def encode_with_dibs(job: dict[str, Any]) -> Callable[[list[str]], np.ndarray]:
    """Through the store, as `dibs run` does; the store is empty."""
    from dibs.cards.model import ModelCard
    from dibs.encoders.base import EncoderContext, make_encoder
    from dibs.encoders.embed import embed

    _, backend, precision = job["system"].split()
    card = ModelCard.model_validate_json(job["card"]).running(backend, precision)
    encoder = make_encoder(card, EncoderContext(Path(job["cache"])))
    encoder.ready()

    def encode(texts: list[str]) -> np.ndarray:
        with tempfile.TemporaryDirectory() as store:
            return embed(encoder, "document", texts, len(texts), Path(store)).vectors()

    return encode


def evaluate_with_mteb(job: dict[str, Any]) -> Callable[[list[str]], None]:
    import datasets
    import mteb
    from mteb.abstasks import AbsTaskRetrieval
    from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
    from mteb.abstasks.task_metadata import TaskMetadata
    from sentence_transformers import SentenceTransformer

    class Pages(AbsTaskRetrieval):  # type: ignore[misc]
        metadata = TaskMetadata(
            name="Pages",
            description="The texts of this benchmark.",
            type="Retrieval",
            category="t2t",
            modalities=["text"],
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
            dataset={"path": "dibs/pages", "revision": "1"},
            date=("2020-01-01", "2020-01-01"),
            domains=["Written"],
            task_subtypes=[],
            license="not specified",
            annotations_creators="derived",
            dialect=[],
            sample_creation="found",
            bibtex_citation="",
        )

        def load_data(self, *args: Any, **kwargs: Any) -> None:
            self.data_loaded = True

    model, task, queries = SentenceTransformer(job["folder"], device="cpu"), Pages(), job["queries"]

    def evaluate(texts: list[str]) -> None:
        ids = [f"d{place}" for place in range(len(texts))]
        names = [f"q{place}" for place in range(len(queries))]
        corpus = datasets.Dataset.from_dict({"id": ids, "text": texts})
        split = RetrievalSplitData(
            corpus=corpus,
            queries=datasets.Dataset.from_dict({"id": names, "text": queries}),
            relevant_docs={name: {ids[0]: 1} for name in names},
            top_ranked=None,
        )
        task.dataset = {"default": {"test": split}}
        mteb.evaluate(model, task, cache=None, show_progress_bar=False)

    return evaluate


def peak_mib() -> float:
    """The most memory that this process had. Linux's ru_maxrss has the parent's in it, from before exec."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    make = {"sentence-transformers": encode_with_sentence_transformers, "mteb": evaluate_with_mteb}
    started = time.perf_counter()
    encode = make.get(job["system"], encode_with_dibs)(job)
    loaded = time.perf_counter()
    before = time.process_time()
    vectors = encode(job["texts"])
    seconds, cpu = time.perf_counter() - loaded, time.process_time() - before
    if vectors is not None:
        np.savez(job["out"], documents=vectors, queries=encode(job["queries"]))
    Path(f"{job['out']}.json").write_text(
        json.dumps({"seconds": seconds, "cpu": cpu, "load": loaded - started, "peak_mib": peak_mib()})
    )


if __name__ == "__main__":
    main()
