"""Relevance judgements: from files that anyone wrote to a table that refers to what is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from dibs.data.dataset import QRELS_SCHEMA
from dibs.data.rows import Row, lines, rows
from dibs.errors import InputError

_QUERY_NAMES = ("query-id", "query_id", "qid")
_DOCUMENT_NAMES = ("corpus-id", "corpus_id", "doc_id", "docid")
_GRADE_NAMES = ("score", "relevance", "rel")
_MOST = 2**31 - 1  # QRELS_SCHEMA keeps 32 bits


class Judgement(NamedTuple):
    """How relevant a document is to a query, and the place it was read at."""

    query: str
    document: str
    relevance: int
    where: str


class Judged(NamedTuple):
    """Qrels and the queries that they judge."""

    qrels: pa.Table
    """As QRELS_SCHEMA."""
    queries: pa.Table
    """Those that have at least one relevant document."""


def judgements(path: Path) -> Iterator[Judgement]:
    """The lines of a qrels file: TSV with or without a heading, JSONL, plain or gzipped, or parquet.

    Raises:
        InputError: a line has not three columns or its relevance is no number; file and line are named.
    """
    if not path.name.endswith((".tsv", ".tsv.gz")):
        yield from map(_judgement, rows(path))
        return
    for number, line in lines(path):
        where = f"{path}, line {number}"
        cells = line.split("\t")
        if len(cells) != 3:
            raise InputError(
                f"has {len(cells)} columns between tabs, not 3",
                where=where,
                todo="A line of qrels is: query-id, corpus-id, score.",
            )
        if number == 1 and cells[0] in _QUERY_NAMES and cells[1] in _DOCUMENT_NAMES:
            continue
        yield Judgement(cells[0], cells[1], relevance_grade(cells[2], where), where)


def qrels_table(
    found: Iterable[Judgement], queries: pa.Table, document_ids: Iterable[str], where: str
) -> Judged:
    """Qrels that refer to what is there, and the queries they judge.

    Args:
        where: The file or folder they are read from, for messages.

    Raises:
        InputError: a judgement of a document or query that does not exist, or the same one twice
            with different values; no query has a relevant document.
    """
    known_queries, known_documents = set(queries["id"].to_pylist()), set(document_ids)
    relevance: dict[tuple[str, str], int] = {}
    for query, document, grade, place in found:
        if query not in known_queries:
            problem = f"the qrels judge query {query!r}, which is not among the queries"
            raise InputError(problem, where=place, todo="Correct the id, or take the line out.")
        if document not in known_documents:
            problem = f"the qrels name document {document!r}, which is not in the corpus"
            raise InputError(problem, where=place, todo="Correct the id, or take the line out.")
        if relevance.setdefault((query, document), grade) != grade:
            problem = f"the qrels judge {query!r} and {document!r} twice, differently"
            raise InputError(problem, where=place, todo="Take one of the lines out.")
    judged = {query for (query, _), grade in relevance.items() if grade > 0}
    if not judged:
        problem = "no query has a relevant document"
        raise InputError(problem, where=where, todo="A document is relevant from a score of 1.")
    kept = [key for key in relevance if key[0] in judged]
    columns = [[q for q, _ in kept], [d for _, d in kept], [relevance[key] for key in kept]]
    mask = pa.array([name in judged for name in queries["id"].to_pylist()])
    return Judged(pa.table(columns, schema=QRELS_SCHEMA), queries.filter(mask))


def relevance_grade(value: Any, where: str) -> int:
    """A relevance as an integer; 1.0 and "1" are read as 1.

    Raises:
        InputError: it is not a whole number, or does not fit 32 bits.
    """
    try:
        grade = float(value)
        if grade == int(grade) and abs(grade) <= _MOST:
            return int(grade)
    except (TypeError, ValueError, OverflowError):
        pass
    raise InputError(
        f"the relevance {value!r:.60} is not a whole number that fits 32 bits",
        where=where,
        todo="Write 1 for relevant and 0 for not.",
    )


def _judgement(row: Row) -> Judgement:
    query, document, grade = (_named(row, names) for names in (_QUERY_NAMES, _DOCUMENT_NAMES, _GRADE_NAMES))
    return Judgement(str(query), str(document), relevance_grade(grade, row.where), row.where)


def _named(row: Row, names: tuple[str, ...]) -> object:
    for name in names:
        if name in row.values:
            return row.values[name]
    known = ", ".join(row.values) or "none"
    raise InputError(f"there is no column {names[0]!r}", where=row.where, todo=f"It has: {known}.")
