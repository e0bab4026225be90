"""A judge against people's labels, and the record that it leaves: counts by question, and no text."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from dibs.errors import DibsError, InputError
from dibs.llm.chat import Spent
from dibs.provenance import git, hardware, versions
from dibs.rag.agreement import VERDICTS, Compared, agreement, rates, three_way
from dibs.rag.judges.base import Case, Judge, Judgement, Verdict
from dibs.rag.labels import Label, Labels
from dibs.records import QUERIES, SCORES, Record, making, record_folder, table_bytes, write_record
from dibs.scoring.statistics import LEVEL, RESAMPLES, SEED
from dibs.workspace import Workspace

FOLDER = "calibration"
FOLDS = 5


@runtime_checkable
class Fitted(Protocol):
    """A judge with thresholds that were chosen on labels.

    On those labels it is measured out of fold: its thresholds for one fold of the questions are chosen
    on the other folds, so that no answer is judged by what was learnt from its own label.
    """

    def fit(self, cases: Sequence[Case], correct: Sequence[bool]) -> Judge:
        """The judge with the thresholds that agree best with those labels."""


@dataclass(frozen=True)
class Calibrating:
    """A judge and the labels it is to be measured on."""

    judge: Judge
    labels: Labels
    task: str | None = None
    """The task that the labels are of, if it is known."""
    command: str = ""

    @property
    def procedure(self) -> str:
        """How the verdicts are made."""
        if self.folds < 2:
            return "the judge as it is"
        return f"thresholds chosen on the other {self.folds - 1} of {self.folds} folds of the questions"

    @property
    def folds(self) -> int:
        """Folds of questions, 1 where nothing is fitted."""
        questions = len({row.question_id for row in self.labels.rows})
        return min(FOLDS, questions) if isinstance(self.judge, Fitted) else 1

    def inputs(self) -> dict[str, Any]:
        """Everything that the scores depend on; its hash is the record's name."""
        return {
            "kind": "calibration",
            "judge": self.judge.settings(),
            "procedure": self.procedure,
            "labels": {"sha256": self.labels.sha256, "rows": len(self.labels.rows)},
            "interval": {"method": "cluster bootstrap", "level": LEVEL, "resamples": RESAMPLES, "seed": SEED},
        }


@dataclass(frozen=True)
class Done:
    """A record, and whether it was there already."""

    record: Record
    reused: bool


def calibrate(work: Calibrating, workspace: Workspace) -> Done:
    """The record of that judge on those labels: the one on disk if it is whole, else a new one.

    A record with unscored answers is made anew; replies that are at hand are not asked for again.

    Raises:
        DibsError: the judge graded nothing.
    """
    inputs = work.inputs()
    record = Record(record_folder(workspace.results, FOLDER, work.judge.name, inputs))
    if _stands(record):
        return Done(record, True)
    with making(record.folder, workspace.cache):
        if _stands(Record(record.folder)):  # another process made it, while this one waited
            return Done(Record(record.folder), True)
        return Done(_made(work, record, inputs), False)


def _stands(record: Record) -> bool:
    return record.finished and not record.faults() and not record.scores["unscored"]


def _made(work: Calibrating, record: Record, inputs: dict[str, Any]) -> Record:
    told = judged(work)
    scores = scores_of(work.labels.rows, told)
    spent = getattr(work.judge, "spent", None)
    manifest = {
        "kind": "calibration",
        "task": {"name": FOLDER},
        "pipeline": work.judge.name,
        "judge": work.judge.settings(),
        "judge_name": work.judge.name,
        "labels": {
            "name": work.task or work.labels.name,
            "rows": len(work.labels.rows),
            "rows_dropped": work.labels.rows_dropped,
            "dropped": work.labels.dropped,
        },
        "inputs": inputs,
        "cost": {"judge": asdict(spent) if isinstance(spent, Spent) else None},
        "command": work.command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "hardware": hardware(),
        "git": git(),
    }
    files = {
        SCORES: (json.dumps(scores, indent=2) + "\n").encode(),
        QUERIES: table_bytes(counts_by_question(work.labels.rows, told)),
    }
    return write_record(record.folder, manifest, files)


def judged(work: Calibrating) -> list[Judgement]:
    """The judge's word on each answer, out of fold where it has thresholds to fit."""
    rows = work.labels.rows
    cases = [row.case for row in rows]
    if work.folds < 2:
        return _checked(work.judge.judge(cases), len(cases), work.judge.name)
    from sklearn.model_selection import GroupKFold

    groups = [row.question_id for row in rows]
    told: dict[int, Judgement] = {}
    for others, fold in GroupKFold(work.folds).split(cases, groups=groups):
        right = [rows[place].verdict is Verdict.CORRECT for place in others]
        judge = cast(Fitted, work.judge).fit([cases[place] for place in others], right)
        told |= zip(fold, judge.judge([cases[place] for place in fold]), strict=True)
    return [told[place] for place in range(len(cases))]


def _checked(told: list[Judgement], number: int, name: str) -> list[Judgement]:
    if len(told) != number:
        raise DibsError(f"the judge {name} gave {len(told)} verdicts on {number} answers")
    if all(one.verdict is None for one in told):
        raise DibsError(f"the judge {name} graded nothing: {told[0].reason}")
    return told


def scores_of(rows: Sequence[Label], told: Sequence[Judgement]) -> dict[str, Any]:
    """All that is measured, as JSON values; correct-or-not first, unscored answers in no share."""
    scored = [(row, one) for row, one in zip(rows, told, strict=True) if one.verdict is not None]
    compared = _compared(scored)
    return {
        **agreement(compared),
        "three_way": three_way(compared),
        **rates(compared),
        "unscored": len(rows) - len(scored),
        "roc_auc": _roc_auc(scored),
        "by_question_type": _by(scored, lambda row, _: row.question_type),
        "by_system": _by(scored, lambda row, _: row.system),
        "by_judge": _by(scored, lambda _, one: one.judge or None),
        "by_clear": _by(scored, lambda _, one: "clear" if one.clear else "not clear"),
    }


_Scored = Sequence[tuple[Label, Judgement]]


def _compared(scored: _Scored) -> Compared:
    return Compared.of(
        [row.verdict for row, _ in scored],
        [one.verdict for _, one in scored if one.verdict is not None],
        [row.question_id for row, _ in scored],
    )


def _by(scored: _Scored, key: Callable[[Label, Judgement], str | None]) -> dict[str, Any]:
    """`agreement` for each value of a key; answers without one are in none."""
    found = np.array([key(row, one) or "" for row, one in scored], dtype=np.str_)
    compared = _compared(scored)
    return {str(value): agreement(compared.where(found == value)) for value in np.unique(found) if value}


def _roc_auc(scored: _Scored) -> float | None:
    """The area under the ROC curve of the judge's `p_correct`, None where it does not say it."""
    from sklearn.metrics import roc_auc_score

    said = [
        (row.verdict is Verdict.CORRECT, one.p_correct) for row, one in scored if one.p_correct is not None
    ]
    if len({right for right, _ in said}) < 2:
        return None
    right, p = zip(*said, strict=True)
    return float(roc_auc_score(right, p))


def counts_by_question(rows: Sequence[Label], told: Sequence[Judgement]) -> dict[str, list[Any]]:
    """Columns: a question's id and type, and how many of its answers people and judge called what."""
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(row.question_id, []).append(place)
    columns: dict[str, list[Any]] = {
        "query_id": list(places),
        "question_type": [rows[found[0]].question_type for found in places.values()],
    }
    for people in VERDICTS:
        for verdict in (*VERDICTS, None):
            columns[column(people, verdict)] = [
                sum(rows[place].verdict is people and told[place].verdict is verdict for place in found)
                for found in places.values()
            ]
    return columns


def column(people: Verdict, judge: Verdict | None) -> str:
    """The column that counts answers with those two verdicts."""
    return f"{people}:{judge or 'unscored'}"


def with_types(labels: Labels, types: dict[str, str], task: str) -> Labels:
    """The labels with the task's question types where they lack them.

    Raises:
        InputError: not one of the labelled questions is the task's.
    """
    if not any(row.question_id in types for row in labels.rows):
        raise InputError(
            f"not one of the labelled questions has the id of a query of {task}",
            where=labels.name,
            todo=f"Ids there are such as {labels.rows[0].question_id}; here such as {next(iter(types))}.",
        )
    rows = [
        replace(row, question_type=row.question_type or types.get(row.question_id)) for row in labels.rows
    ]
    return replace(labels, rows=rows)
