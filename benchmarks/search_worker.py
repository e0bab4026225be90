"""One system searches and scores once, in a process of its own: called by search.py."""

from __future__ import annotations

import json
import shutil
import sys
import time

_STARTED = time.perf_counter()

from collections.abc import Callable  # noqa: E402 - what is imported is part of the whole
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from ready import ReadyEncoder, status_mib  # noqa: E402

CALL = {
    "dibs": "evaluate, as `dibs run` does it: every text looked up and its vector checked, exact search, the "
    "run's file, every measure with its interval, the record",
    "mteb": "mteb.evaluate, same cut-offs, of an encoder that finds each text's vector in a dict",
    "mteb-rows": "mteb.evaluate, same cut-offs, of an encoder that looks at no text and gives the next rows",
}
"""What each system does. Of neither the imports and the opening of the data are part of the evaluation; what
mteb.evaluate prepares is kept on disk by `datasets`, from the uncounted first round on."""
Scores = dict[str, float]


def dibs(job: dict[str, Any]) -> Callable[[], Scores]:
    import pandas  # noqa: F401 - pyarrow imports it
    import pyarrow.parquet  # noqa: F401
    import pytrec_eval  # noqa: F401

    from dibs.cards.model import ModelCard
    from dibs.cards.task import TaskCard
    from dibs.data.dataset import open_dataset
    from dibs.evaluate import Work, evaluate
    from dibs.retrieval.dense import DenseRetriever
    from dibs.workspace import Workspace

    folder = Path(job["folder"])

    def run() -> Scores:
        retriever = DenseRetriever(ReadyEncoder(job["dimension"]))
        card, dataset = TaskCard.model_validate_json(job["card"]), open_dataset(Path(job["dataset"]))
        work = Work(card, dataset, retriever, ModelCard(name=retriever.name, adapter="ready"))
        record = evaluate(work, Workspace(folder / "root", folder / "cache")).record
        measures = json.loads((record.folder / "scores.json").read_text())["subsets"]["all"]["measures"]
        shutil.rmtree(folder / "root" / "results")  # so that the next round does it again
        return {"recall@10": measures["recall@10"]["value"], "ndcg@10": measures["ndcg@10"]["value"]}

    return run


def mteb(job: dict[str, Any], by_text: bool = True) -> Callable[[], Scores]:
    import datasets
    import mteb
    import numpy as np
    import sentence_transformers  # noqa: F401 - mteb.evaluate imports it
    from mteb.abstasks import AbsTaskRetrieval
    from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.models import ModelMeta
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ScoringFunction
    from mteb.types import PromptType

    from dibs.cards.task import TaskCard
    from dibs.data.dataset import open_dataset
    from dibs.scoring.measures import parse_measures

    datasets.disable_progress_bars()
    folder, card = Path(job["folder"]), TaskCard.model_validate_json(job["card"])
    dataset = open_dataset(Path(job["dataset"]))

    kinds = {PromptType.document: "document", PromptType.query: "query"}
    places = {
        (kind, hash(text)): place
        for kind, name in kinds.items()
        for place, text in enumerate(datasets.load_from_disk(str(folder / f"mteb-{name}"))["text"])
        if by_text
    }

    class Rows(AbsEncoder):  # type: ignore[misc]
        mteb_model_meta = ModelMeta.create_empty(
            overwrites={
                "name": "dibs/ready",
                "revision": "1",
                "similarity_fn_name": ScoringFunction.DOT_PRODUCT,
            }
        )
        given = 0

        def encode(self, inputs: Any, *, prompt_type: Any = None, **kwargs: Any) -> np.ndarray:
            vectors = np.load(folder / f"{kinds[prompt_type]}.npy", mmap_mode="r")
            if by_text:
                texts = (text for batch in inputs for text in batch["text"])
                return np.array(vectors[[places[prompt_type, hash(text)] for text in texts]])
            if prompt_type == PromptType.query:
                return np.array(vectors)
            begin = self.given  # documents come in the corpus's order, some thousands at a time
            self.given += len(inputs.dataset)
            return np.array(vectors[begin : self.given])

    class Pages(AbsTaskRetrieval):  # type: ignore[misc]
        k_values = tuple(sorted({1, *(measure.k for measure in parse_measures(card.measures))}))
        metadata = TaskMetadata(
            name="Pages",
            description="The texts of this benchmark.",
            type="Retrieval",
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
            dataset={"path": "dibs/pages", "revision": "1"},
        )

        def load_data(self, *args: Any, **kwargs: Any) -> None:
            split = RetrievalSplitData(
                corpus=datasets.load_from_disk(str(folder / "mteb-document")),
                queries=datasets.load_from_disk(str(folder / "mteb-query")),
                relevant_docs={query: dict(dataset.qrels[query]) for query in dataset.query_ids},
                top_ranked=None,
            )
            self.dataset = {"default": {"test": split}}
            self.data_loaded = True

    task = Pages()
    task.load_data()

    def run() -> Scores:
        found = mteb.evaluate(Rows(), task, cache=None, show_progress_bar=False)
        (scores,) = found.task_results[0].scores["test"]
        return {"recall@10": scores["recall_at_10"], "ndcg@10": scores["ndcg_at_10"]}

    return run


def main() -> None:
    system, job = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    evaluate = dibs(job) if system == "dibs" else mteb(job, by_text=system == "mteb")
    started, before = time.perf_counter(), time.process_time()
    scores = evaluate()
    ended = time.perf_counter()
    row = {
        "seconds": ended - started,
        "cpu": time.process_time() - before,
        "seconds_whole": ended - _STARTED,
        "cpu_whole": time.process_time(),
        "peak_mib": status_mib("VmHWM"),
    }
    (Path(job["folder"]) / f"{system}.json").write_text(json.dumps(row | scores))


if __name__ == "__main__":
    main()
