"""FinanceBench's two tables: the filings that it lists, and its questions with their evidence."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dibs.cards.task import TaskCard
from dibs.data.prepare import check_pinned
from dibs.data.rows import Row, cell, jsonl
from dibs.errors import InputError, MissingError

QUESTIONS = "financebench_open_source.jsonl"
FILINGS = "financebench_document_information.jsonl"
FORMS = {
    "10k": "10-K",
    "10q": "10-Q",
    "8k": "8-K",
    "Earnings": "Earnings",
    "10k_annualreport": "10-K annual report",
}

_ANEW = "Get that file anew, from the repository patronus-ai/financebench."
_KEPT = ("question_type", "question_reasoning", "company", "doc_name", "answer", "justification")


@dataclass(frozen=True)
class Filing:
    """What is said of a listed filing."""

    name: str
    company: str
    form: str
    """As people write it: 10-K, 8-K, ..."""
    year: str


@dataclass(frozen=True)
class Gold:
    """A page that holds the answer, as the question file has it."""

    doc_name: str
    page: int
    """From 0."""
    text: str


@dataclass(frozen=True)
class Question:
    """A question and the pages that answer it."""

    id: str
    fields: dict[str, Any]
    """What becomes the query's columns."""
    gold: list[Gold]
    """Each page once; at least one."""
    where: str
    """File and line, as errors name them."""


def find_table(card: TaskCard, folder: Path, name: str) -> Path:
    """The table of that name in a copy of the repository, in `data/` or not, gzipped or not.

    Raises:
        MissingError: it is not there.
        InputError: it is not the one that the card pins.
    """
    home = folder / "data"
    for path in (home / name, folder / name, home / f"{name}.gz", folder / f"{name}.gz"):
        if path.is_file():
            check_pinned(card, name, path)
            return path
    raise MissingError(
        f"there is no {name} (or {name}.gz), nor in a folder data/",
        where=str(folder),
        todo="Give a folder with the files of the repository patronus-ai/financebench.",
    )


def read_filings(path: Path) -> dict[str, Filing]:
    """The listed filings by name; the one name that is listed twice counts once.

    Raises:
        InputError: a row is malformed; file and line are named.
    """
    filings: dict[str, Filing] = {}
    for row in jsonl(path):
        name, company, form = (_text(row, key) for key in ("doc_name", "company", "doc_type"))
        year = cell(_field(row, "doc_period"), row.where)
        filings.setdefault(name, Filing(name, company, FORMS.get(form, form), year))
    return filings


def read_questions(path: Path, listed: Collection[str]) -> list[Question]:
    """The questions in their order.

    Raises:
        InputError: a row is malformed, or its evidence is on no listed filing; file and line are named.
    """
    questions = []
    for row in jsonl(path):
        name, items = _text(row, "financebench_id"), _field(row, "evidence")
        if not items:
            raise InputError("the question has no evidence", where=row.where, todo=_ANEW)
        gold: dict[tuple[str, int], Gold] = {}
        for item in items if isinstance(items, list) else [items]:
            page = _gold(Row(item if isinstance(item, dict) else {}, f"{row.where}, evidence"), listed)
            gold.setdefault((page.doc_name, page.page), page)
        fields = {"id": name, "text": _field(row, "question")} | {key: _field(row, key) for key in _KEPT}
        questions.append(Question(name, fields, list(gold.values()), row.where))
    return questions


def _gold(part: Row, listed: Collection[str]) -> Gold:
    name, text = (_text(part, key) for key in ("doc_name", "evidence_text_full_page"))
    page = _field(part, "evidence_page_num")
    if name not in listed:
        problem = f"the filing {name!r} is not among the listed ones"
        raise InputError(problem, where=part.where, todo=f"List it in {FILINGS}.")
    if type(page) is not int or page < 0:
        problem = f"evidence_page_num is {page!r:.60}, not a page from 0"
        raise InputError(problem, where=part.where, todo=_ANEW)
    return Gold(name, page, text)


def _field(row: Row, name: str) -> Any:
    if name not in row.values:
        known = ", ".join(row.values) or "none"
        raise InputError(f"there is no field {name!r}", where=row.where, todo=f"The fields are: {known}.")
    return row.values[name]


def _text(row: Row, name: str) -> str:
    value = _field(row, name)
    if not isinstance(value, str):
        raise InputError(f"{name} is {value!r:.60}, not a text", where=row.where, todo=_ANEW)
    return cell(value, f"{row.where}, field {name!r}")
