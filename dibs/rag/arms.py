"""Arms: which documents each question is answered from, and the controls that accuracy is read against."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dibs.data.dataset import Dataset
from dibs.errors import InputError
from dibs.rag.questions import Question
from dibs.records import RUN, Record
from dibs.retrieval.run import read_run
from dibs.scoring.statistics import SEED

Kind = Literal["retrieved", "closed-book", "oracle", "random"]


@dataclass(frozen=True)
class Arm:
    """One way to answer the questions."""

    kind: Kind
    name: str
    """The retrieving pipeline's name, or that of the control."""
    documents: dict[str, list[str]] | None
    """Query id to the documents that are given, best first; None gives nothing and is closed book."""
    inputs: dict[str, Any]
    """Everything that decides the documents, besides the data and their number."""
    retrieval: str | None = None
    """The record whose run it is."""

    @property
    def closed(self) -> bool:
        """Whether no documents are given: closed book."""
        return self.documents is None


def retrieved(record: Record, dataset: Dataset, asked: Sequence[Question], k: int) -> Arm:
    """The first k documents of a stored run.

    Raises:
        InputError: it is no record of a retrieval, or of other data; DamagedError: it is not whole.
    """
    if record.kind not in ("retrieval", "run"):
        raise InputError(f"is a record of {record.kind}, not of a retrieval", where=record.name)
    record.check()
    if record.manifest["data"]["sha256"] != dataset.info.sha256:
        todo = "Run the retrieval again on the data that is here."
        raise InputError("was made with other data than is here", where=record.name, todo=todo)
    if (depth := record.manifest["inputs"].get("depth", k)) < k:
        raise InputError(f"the run has {depth:,} documents for each query, not {k:,}", where=record.name)
    rankings = read_run(record.folder / RUN, dataset.query_ids).top(k).rankings
    documents = {question.id: rankings[question.id].documents for question in asked}
    inputs = {"record": record.hash, "run": record.manifest["files"][RUN]}
    return Arm("retrieved", record.pipeline, documents, inputs, record.name)


def control_arms(dataset: Dataset, asked: Sequence[Question], k: int) -> list[Arm]:
    """Closed book, what the model knows; oracle, the gold documents; random, k that are not gold.

    Random documents are drawn for each query with a seed of its own, so that a sample of the queries
    is given what all of them would be.
    """
    names = dataset.document_ids
    gold = {question.id: list(question.relevant[:k]) for question in asked}
    drawn = {question.id: _random(names, question, k) for question in asked}
    return [
        Arm("closed-book", "closed-book", None, {}),
        Arm("oracle", "oracle", gold, {}),
        Arm("random", "random", drawn, {"seed": SEED}),
    ]


def _random(names: Sequence[str], question: Question, k: int) -> list[str]:
    draw = random.Random(f"{SEED} {question.id}")
    wanted = min(len(names), k + len(question.relevant))
    return [name for name in draw.sample(names, wanted) if name not in question.relevant][:k]
