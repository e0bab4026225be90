"""The records that a diagnosis compares, and their questions side by side."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dibs.errors import DamagedError, MissingError, unknown
from dibs.files import canonical_json
from dibs.rag.record import read_stored
from dibs.rag.resampling import Floats
from dibs.records import Record, all_records

CONTROLS = ("oracle", "closed-book", "random")
_SHARED = ("data", "generator", "judge", "gold", "max_tokens")
_GIVEN = ("passages", "prompt")
"""Inputs that closed book does not have, or has of its own."""


@dataclass(frozen=True)
class Arms:
    """Answers from retrieved passages, and the controls of the same generator, judge and data."""

    retrieved: Record
    controls: dict[str, Record]

    @property
    def generator(self) -> str:
        return str(self.retrieved.manifest["generator"]["name"])

    @property
    def judge(self) -> str:
        return str(self.retrieved.manifest["judge_name"])


@dataclass(frozen=True)
class Sheet:
    """The questions that both the retrieved and the oracle arm have a verdict on; a row each."""

    queries: list[str]
    clusters: list[str] | None
    correct: dict[str, Floats]
    """By arm (queries,): 1, or 0, or NaN where that arm has no verdict."""
    passages: list[list[str]]
    """What the retrieved arm was given, best first."""
    unscored: int
    """Questions left out because one of the two has no verdict on them."""
    disputed: int
    """Questions left out because their gold answer is disputed."""


def find_arms(results: Path, task: str, generator: str | None) -> list[Arms]:
    """Every record of answers from retrieved passages that has an oracle arm to compare with.

    Raises:
        MissingError: nothing was answered, or no record can be compared; it says what to run.
        InputError: no answers of that task or generator are recorded.
    """
    records = list(_answers(results))
    if not records:
        raise MissingError("no answers are recorded yet", where=str(results), todo=_run("RECORD", "NAME"))
    tasks = {record.task for record in records}
    if task not in tasks:
        raise unknown("task with recorded answers", task, tasks, todo=_run("RECORD", "NAME"))
    records = [record for record in records if record.task == task]
    names = {str(record.manifest["generator"]["name"]) for record in records}
    if generator is not None and generator not in names:
        raise unknown(f"generator with recorded answers of {task}", generator, names)
    chosen = [record for record in records if generator in (None, record.manifest["generator"]["name"])]
    retrieved = [record for record in chosen if record.manifest["arm"] == "retrieved"]
    if not retrieved:
        problem = f"no answers of {task} from retrieved passages are recorded"
        raise MissingError(problem, todo=_run("RECORD", generator or min(names)))
    found = [arms for arms in (_with_controls(record, chosen) for record in retrieved) if arms]
    if not found:
        first = retrieved[0]
        raise MissingError(
            f"no oracle arm of the same generator, judge and prompt is recorded for {first.name}",
            todo=_run(str(first.manifest["retrieval"]), str(first.manifest["generator"]["name"])),
        )
    return found


def side_by_side(arms: Arms) -> Sheet:
    """The questions of some arms with their verdicts.

    Raises:
        DamagedError: a record is not as it was written.
        MissingError: the arms share no question with a verdict.
    """
    answers, _ = read_stored(arms.retrieved)
    given = {answer.query_id: answer.passages for answer in answers}
    frame = arms.retrieved.queries().set_index("query_id")
    verdicts = {"retrieved": _correct(arms.retrieved)}
    verdicts |= {name: _correct(record) for name, record in arms.controls.items()}
    asked = [query for query in frame.index if query in verdicts["oracle"]]
    fair = [query for query in asked if not frame.at[query, "known_issue"]]
    kept = [q for q in fair if not np.isnan([verdicts["retrieved"][q], verdicts["oracle"][q]]).any()]
    if not kept:
        raise MissingError(
            f"share no question with a verdict: {arms.retrieved.name}, {arms.controls['oracle'].name}",
            todo="Look at their verdicts.jsonl for what failed, and run them again with --retry-errors.",
        )
    return Sheet(
        queries=kept,
        clusters=frame.loc[kept, "cluster"].tolist() if "cluster" in frame else None,
        correct={name: np.array([told.get(q, np.nan) for q in kept]) for name, told in verdicts.items()},
        passages=[given[query] for query in kept],
        unscored=len(fair) - len(kept),
        disputed=len(asked) - len(fair),
    )


def _answers(results: Path) -> Iterator[Record]:
    for record in all_records(results, "answers"):
        try:
            record.manifest["arm"], record.manifest["inputs"]["judge"]
        except (DamagedError, KeyError, TypeError) as error:
            warnings.warn(f"{record.name} is passed over: its manifest cannot be read: {error}", stacklevel=3)
            continue
        yield record


def _with_controls(retrieved: Record, records: list[Record]) -> Arms | None:
    controls: dict[str, Record] = {}
    mine = set(retrieved.queries()["query_id"])
    for name in CONTROLS:
        fields = _SHARED if name == "closed-book" else _SHARED + _GIVEN
        alike = [r for r in records if r.manifest["arm"] == name and _of(r, fields) == _of(retrieved, fields)]
        if alike:  # one on a sample of the questions stands beside one on all
            shared = {r.name: len(mine.intersection(r.queries()["query_id"])) for r in alike}
            controls[name] = max(alike, key=lambda r: (shared[r.name], r.manifest.get("created", "")))
    return Arms(retrieved, controls) if "oracle" in controls else None


def _of(record: Record, fields: tuple[str, ...]) -> str:
    inputs: dict[str, Any] = record.manifest["inputs"]
    return canonical_json({name: inputs.get(name) for name in fields})


def _correct(record: Record) -> dict[str, float]:
    """By query: 1, or 0, or NaN without a verdict."""
    frame = record.queries()
    correct = (frame["verdict"] == "correct").astype(float).where(frame["verdict"].notna())
    return dict(zip(frame["query_id"], correct, strict=True))


def _run(retrieval: str, generator: str) -> str:
    return f"Run: dibs rag --retrieval {retrieval} --generator {generator} --controls"
