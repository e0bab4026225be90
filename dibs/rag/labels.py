"""People's labels of answers, from a file of theirs: CSV or JSONL, plain or gzipped, or parquet."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dibs.data.rows import Row, rows
from dibs.errors import InputError
from dibs.files import digest
from dibs.rag.judges.base import Case, Verdict
from dibs.scoring.statistics import SEED

COLUMNS = {
    "question": ("question", "query"),
    "gold": ("gold", "gold_answer", "reference", "reference_answer", "expected_answer"),
    "answer": ("answer", "model_answer", "response", "prediction"),
    "label": ("label", "verdict", "human_label", "grade", "correct"),
    "id": ("id", "question_id", "query_id", "financebench_id"),
    "system": ("system", "model", "model_name"),
    "question_type": ("question_type", "type"),
}
"""What a column may be called, letter case aside. The first four have to be there."""
_NEEDED = ("question", "gold", "answer", "label")
_MODE = "eval_mode"
"""FinanceBench's labels name a system by its model and by what it was given."""
_VERDICTS = {
    Verdict.CORRECT: ("correct", "correct answer", "right", "true", "yes", "1"),
    Verdict.INCORRECT: ("incorrect", "incorrect answer", "wrong", "false", "no", "0"),
    Verdict.REFUSAL: ("refusal", "refused", "no answer", "not answered", "abstained"),
}
WITHDRAWN = {"financebench_id_00070": "its gold answer was reversed after the answers were labelled"}
"""Questions whose labels are left out, and why."""


@dataclass(frozen=True)
class Label:
    """A person's verdict on one answer."""

    case: Case
    verdict: Verdict
    question_id: str
    system: str | None = None
    question_type: str | None = None


@dataclass(frozen=True)
class Labels:
    """The labels of a file."""

    rows: Sequence[Label]
    dropped: dict[str, str]
    """Why the rows of a question were left out, by its id."""
    rows_dropped: int
    name: str
    """The file's name, without where it lies."""

    @property
    def sha256(self) -> str:
        """Of what was read, so that the same labels packed otherwise are known to be the same."""
        return digest([asdict(row) for row in self.rows])

    def sample(self, count: int) -> Labels:
        """`count` of the rows, drawn with a fixed seed, for judges that cost; more hold fewer.

        Raises:
            InputError: `count` is not at least 1.
        """
        if count < 1:
            raise InputError(f"a sample of {count} labels is no sample", todo="Ask for at least 1.")
        drawn = sorted(range(len(self.rows)), key=lambda place: digest([SEED, asdict(self.rows[place])]))
        return replace(self, rows=[self.rows[place] for place in sorted(drawn[:count])])


def read_labels(path: Path, drop: Collection[str] = ()) -> Labels:
    """The labels of a file, without those of the questions in `drop` and in `WITHDRAWN`.

    A question without an id gets one made of its text.

    Raises:
        InputError: the file, a column or a row is not as it has to be; the line is named.
    """
    names: dict[str, str] | None = None
    found: list[Label] = []
    for row in _rows(path):
        names = names if names is not None else _columns(row)
        found.append(_label(row, names))
    reasons = WITHDRAWN | dict.fromkeys(drop, "by --drop")
    dropped = {name: reason for name, reason in reasons.items() if any(name == r.question_id for r in found)}
    if unknown := sorted(set(drop) - set(dropped)):
        raise InputError(
            f"no row is of the question {unknown[0]!r}, which is to be dropped",
            where=str(path),
            todo=f"Its column of ids has values such as {found[0].question_id}." if found else None,
        )
    kept = [label for label in found if label.question_id not in dropped]
    if not kept:
        raise InputError(
            "there is not one label", where=str(path), todo="Check that it is the file you mean."
        )
    return Labels(kept, dropped, len(found) - len(kept), path.name)


def _rows(path: Path) -> Iterator[Row]:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if {".csv", ".jsonl"} & set(suffixes[-2:]) or suffixes[-1:] == [".parquet"]:
        return rows(path)
    raise InputError(
        "is neither CSV nor JSONL nor parquet by its name",
        where=str(path),
        todo="Name it .csv, .jsonl or .parquet; the first two may be gzipped (.gz).",
    )


def _columns(row: Row) -> dict[str, str]:
    """What each of `COLUMNS` is called in this file."""
    here = {name.strip().lower(): name for name in row.values}
    found = {}
    for meant, synonyms in COLUMNS.items():
        there = [here[name] for name in synonyms if name in here]
        if len(there) > 1:
            raise InputError(
                f"two columns may be the {meant}: {there[0]!r} and {there[1]!r}",
                where=row.where,
                todo="Rename the one that is not meant.",
            )
        if there:
            found[meant] = there[0]
        elif meant in _NEEDED:
            raise InputError(
                f"there is no column for the {meant}",
                where=row.where,
                todo=f"It may be called {', '.join(synonyms)}. There are: {', '.join(row.values) or 'none'}.",
            )
    if "system" in found and _MODE in here:
        found[_MODE] = here[_MODE]
    return found


def _label(row: Row, names: dict[str, str]) -> Label:
    texts = {meant: _text(row, name) for meant, name in names.items()}
    for meant in ("question", "gold"):
        if not texts[meant]:
            raise InputError(f"the {meant} is empty", where=row.where, todo="Give each row one.")
    system = " ".join(filter(None, (texts.get("system"), texts.get(_MODE))))
    question = texts["question"]
    return Label(
        case=Case(question, texts["gold"], texts["answer"]),
        verdict=_verdict(texts["label"], row.where),
        question_id=texts.get("id") or f"q-{hashlib.sha256(question.encode()).hexdigest()[:12]}",
        system=system or None,
        question_type=texts.get("question_type") or None,
    )


def _text(row: Row, name: str) -> str:
    value: Any = row.values.get(name)
    if isinstance(value, list | dict):
        raise InputError(
            f"the field {name!r} is {value!r:.60}, not a text or a number", where=row.where, todo="Write one."
        )
    text = "" if value is None else str(value).strip()
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"the field {name!r} holds half a character (a lone surrogate)",
            where=row.where,
            todo="Remove it.",
        ) from None
    return text


def _verdict(label: str, where: str) -> Verdict:
    word = label.lower().removesuffix(".0")  # a column of 1 and 0 that a spreadsheet made into fractions
    for verdict, words in _VERDICTS.items():
        if word in words:
            return verdict
    known = "; ".join(f"{verdict}: {', '.join(words)}" for verdict, words in _VERDICTS.items())
    raise InputError(f"{label!r} is no label", where=where, todo=f"Labels are {known}.")
