"""A user's file of queries: with gold ids of any level, with answers, or with neither yet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from dibs.data.content import ROWS
from dibs.data.qrels import relevance_grade
from dibs.data.rows import Row, cell, rows
from dibs.errors import InputError

_ENDINGS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet")
_IDS, _TEXTS, _ANSWERS = ("id", "_id", "query_id"), ("query", "text", "question"), ("answer", "gold_answer")
_GOLD = ("gold", "gold_ids", "gold_id")
_SEPARATOR = ";"


@dataclass(frozen=True)
class Query:
    """A query of the task to be."""

    id: str
    text: str
    gold: Mapping[str, int]
    """Ids of any level to their grade."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """`answer` and whatever else is known of it."""
    where: str = ""


def read_queries(path: Path) -> list[Query]:
    """The queries of a CSV, JSONL or parquet file; what has no id gets `q0001` by its row.

    Raises:
        InputError: it is of another kind, or a row is malformed; file and line are named.
    """
    if not path.name.lower().endswith(_ENDINGS):
        raise InputError(
            "is no table of queries", where=str(path), todo=f"Such end with {', '.join(_ENDINGS)}."
        )
    found: dict[str, Query] = {}
    for number, row in enumerate(rows(path), start=1):
        query = _query(row, number)
        if query.id in found:
            problem = f"the query id {query.id!r} is there twice, first at {found[query.id].where}"
            raise InputError(problem, where=row.where, todo="Give each query an id of its own.")
        found[query.id] = query
    if not found:
        raise InputError(
            "there is not one query", where=str(path), todo="Check that it is the file you mean."
        )
    return list(found.values())


def located(queries: Sequence[Query], table: pa.Table) -> dict[str, str]:
    """The document that each gold id is or is part of.

    Args:
        table: The corpus, with the columns id, part and document.

    Raises:
        InputError: a gold id is of no level; the query's row is named.
    """
    wanted = {name for query in queries for name in query.gold}
    found: dict[str, str] = {}
    for batch in table.select(["id", "part", "document"]).to_batches(max_chunksize=ROWS):
        for names in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            found |= {name: names[-1] for name in names if name in wanted}
    for query in queries:
        for name in query.gold:
            if name not in found:
                examples = dict.fromkeys(table.slice(0, 1)[c][0].as_py() for c in ("document", "part", "id"))
                raise InputError(
                    f"no document, or part of one, has the id {name!r}",
                    where=query.where,
                    todo=f"Ids are such as {', '.join(examples)}; make the task without gold to see all.",
                )
    return found


def _query(row: Row, number: int) -> Query:
    values = dict(row.values)
    text = cell(_first(values, _TEXTS), row.where).strip()
    if not text:
        listed = ", ".join(map(str, row.values)) or "none"
        raise InputError(
            "there is no query",
            where=row.where,
            todo=f"It stands in a column `query`; the columns are: {listed}.",
        )
    name = cell(_first(values, _IDS), row.where).strip() or f"q{number:04}"
    gold = dict(_gold(_first(values, _GOLD), row.where))
    answer = cell(_first(values, _ANSWERS), row.where).strip()
    rest = {str(key): cell(value, row.where) for key, value in values.items() if key != "metadata"}
    return Query(name, text, gold, ({"answer": answer} if answer else {}) | rest, row.where)


def _first(values: dict[str, Any], names: Sequence[str]) -> Any:
    """The first of some columns that holds something; all of them are taken out."""
    found = [value for name in names if (value := values.pop(name, None)) not in (None, "")]
    return found[0] if found else None


def _gold(value: Any, where: str) -> Iterator[tuple[str, int]]:
    """Ids and grades: an id, several with `;` between them, a list, or an object of grades."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            todo = 'Write ids with ; between them, or a list: ["a.pdf#p1", "b.md"].'
            raise InputError(f"the gold is not JSON: {value:.60}", where=where, todo=todo) from None
    if isinstance(value, str):
        value = value.split(_SEPARATOR)
    if isinstance(value, dict):
        for name, grade in value.items():
            yield _name(name, where), relevance_grade(grade, where)
    elif isinstance(value, list):
        for name in value:
            if name != "":
                yield _name(name, where), 1
    elif value is not None:
        yield _name(value, where), 1


def _name(value: Any, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise InputError(
            f"the gold id {value!r:.60} is not a text", where=where, todo="Give ids of documents."
        )
    return str(value).strip()
