"""The questions of a task with their gold answers, a sample of them, and those that are disputed."""

from __future__ import annotations

import hashlib
import tomllib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from dibs.cards.task import TaskCard
from dibs.data.dataset import Dataset
from dibs.errors import InputError, unknown
from dibs.scoring.levels import unit_qrels
from dibs.scoring.statistics import SEED
from dibs.workspace import Workspace


@dataclass(frozen=True)
class Question:
    """One query, as it is asked and graded."""

    id: str
    text: str
    gold: str
    """The gold answer; empty where the data has none."""
    relevant: tuple[str, ...]
    """Its gold documents, the most relevant first."""


def questions(task: TaskCard, dataset: Dataset, chosen: Sequence[str]) -> list[Question]:
    """The questions of those ids, in that order.

    Raises:
        InputError: the task has no gold answers, or no query has such an id.
    """
    answers = None if task.answers.from_document else _gold_answers(task, dataset)
    found = []
    qrels = unit_qrels(dataset, task.levels)
    for name in chosen:
        grades = qrels.get(name, {})
        relevant = sorted((doc for doc, grade in grades.items() if grade > 0), key=lambda d: (-grades[d], d))
        if answers is None:
            gold = dataset.document(relevant[0])["text"] if relevant else ""
        else:
            gold = answers[name]
        found.append(Question(name, dataset.query(name)["text"], gold.strip(), tuple(relevant)))
    return found


def _gold_answers(task: TaskCard, dataset: Dataset) -> dict[str, str]:
    try:
        return dict(zip(dataset.query_ids, dataset.query_field(task.answers.field), strict=True))
    except InputError as error:
        raise InputError(
            f"{task.name} has no gold answers to grade with: {error.problem}",
            todo="Name the queries' field in the card: [answers] field = NAME; "
            "where the gold document is itself the answer: from_document = true.",
        ) from None


def sample(dataset: Dataset, count: int | None = None, ids: Sequence[str] = ()) -> list[str]:
    """Query ids in the data's order: all, those that are named, or `count` drawn with a fixed seed.

    A larger sample holds the smaller ones, so that what was asked is not asked again.

    Raises:
        InputError: a named query is not there, both are given, or `count` is not at least 1.
    """
    if count is not None and ids:
        raise InputError(
            "a number of questions and questions by name are both given", todo="Give one of them."
        )
    for name in ids:
        if name not in dataset.query_ids:
            raise unknown("query of this task", name, dataset.query_ids)
    if count is not None and count < 1:
        raise InputError(f"{count} questions are asked for", todo="Ask for at least 1.")
    kept = set(ids or sorted(dataset.query_ids, key=_drawn)[:count])
    return [name for name in dataset.query_ids if name in kept]


def _drawn(query: str) -> str:
    return hashlib.sha256(f"{SEED} {query}".encode()).hexdigest()


def known_issues(task: TaskCard, dataset: Dataset, workspace: Workspace) -> dict[str, str]:
    """Why the gold answer of a query is disputed, by query id: `known-issues/TASK.toml` beside the card.

    Raises:
        InputError: the file is malformed.
    """
    card = workspace.card_files(TaskCard).get(task.name)
    path = card and card.parent / "known-issues" / card.name
    if path is None or not path.is_file():
        return {}
    try:
        issues = tomllib.loads(path.read_text(encoding="utf-8"))["queries"]
        if not all(isinstance(reason, str) for reason in issues.values()):
            raise ValueError("a reason is not a text")
    except (OSError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            f"is no list of known issues: {error!r}",
            where=str(path),
            todo='It has a table [queries] with lines such as QUERY_ID = "why its gold answer is disputed".',
        ) from None
    if absent := sorted(set(issues) - set(dataset.query_ids)):
        warnings.warn(f"{path}: {', '.join(absent)}: no such query in {task.name}", stacklevel=2)
    return {query: reason for query, reason in issues.items() if query not in absent}
