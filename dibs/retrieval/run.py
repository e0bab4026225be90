"""Runs: ranked lists as TREC means them, in one ranking order, and their files."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np

from dibs.data.rows import lines
from dibs.encoders.base import FloatArray
from dibs.errors import InputError
from dibs.files import write_bytes

_BLANK = re.compile(r"[\s%]")
_OVERFLOW = 2.0**128 - 2.0**103
"""The least number that float32 rounds to infinity."""


@dataclass(frozen=True)
class Ranking:
    """One query's documents, best first."""

    documents: list[str]
    scores: FloatArray
    """(n,) float32, never rising."""

    def top(self, k: int) -> Ranking:
        """The first k."""
        return Ranking(self.documents[:k], self.scores[:k])


@dataclass(frozen=True)
class Run:
    """Every query's ranking; a query for which nothing was found has an empty one.

    The order is trec_eval's: score as float32 descending, then document id descending.
    """

    rankings: dict[str, Ranking]

    @classmethod
    def of(cls, scores: Mapping[str, Mapping[str, float]], queries: Sequence[str]) -> Run:
        """The run of some scores; a query of `queries` without any has an empty ranking."""
        return cls({query: rank(scores.get(query, {})) for query in queries})

    def top(self, k: int) -> Run:
        """Each ranking's first k."""
        return Run({query: ranking.top(k) for query, ranking in self.rankings.items()})

    def scores(self) -> dict[str, dict[str, float]]:
        """Query id to document id to score, as pytrec_eval and MTEB take it."""
        return {
            query: dict(zip(ranking.documents, ranking.scores.tolist(), strict=True))
            for query, ranking in self.rankings.items()
        }


def rank(scores: Mapping[str, float]) -> Ranking:
    """The documents of one query in the ranking order.

    Raises:
        InputError: a score is not a number; rankings would differ between measures.
    """
    values = np.fromiter(scores.values(), dtype=np.float32, count=len(scores))
    if not np.isfinite(values).all():
        raise InputError("a score is not a finite number")
    names = list(scores)
    by_id = sorted(range(len(names)), key=names.__getitem__, reverse=True)
    order = (
        np.array(by_id, dtype=np.int64)[np.argsort(-values[by_id], kind="stable")]
        if names
        else np.empty(0, np.int64)
    )
    return Ranking([names[place] for place in order], values[order])


def write_run(run: Run, path: Path, name: str) -> None:
    """Write a gzipped TREC run: `query Q0 document rank score name`.

    Scores have the digits that give the same float32 back; the bytes are the same each time. Blanks
    in ids, which would end a column, are written as in web addresses (%20).
    """
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as packed:
        for query, ranking in run.rankings.items():
            rows = zip(ranking.documents, ranking.scores, strict=True)
            text = "".join(
                f"{column_text(query)} Q0 {column_text(doc)} {place} {score!s} {name}\n"
                for place, (doc, score) in enumerate(rows, 1)
            )
            packed.write(text.encode())
    write_bytes(path, buffer.getvalue())


def read_run(path: Path, queries: Sequence[str] | None = None) -> Run:
    """Read a TREC run, plain or gzipped; the rank column is ignored, as trec_eval does.

    Args:
        queries: Queries that must be there; those the file lacks have empty rankings.

    Raises:
        InputError: a line is malformed, or names a document twice; file and line are named.
    """
    scores: dict[str, dict[str, float]] = {}
    for query, document, score, where in _rows(path):
        ranked = scores.setdefault(query, {})
        if document in ranked:
            raise InputError(f"query {query!r} has document {document!r} twice", where=where)
        ranked[document] = score
    return Run.of(scores, list(dict.fromkeys([*(queries or []), *scores])))


def _rows(path: Path) -> Iterator[tuple[str, str, float, str]]:
    for number, line in lines(path):
        where = f"{path}, line {number}"
        cells = line.split()
        if len(cells) != 6:
            raise InputError(
                f"has {len(cells)} columns, not 6",
                where=where,
                todo="A TREC line is: query Q0 document rank score name.",
            )
        try:
            score = float(cells[4])
        except ValueError:
            raise InputError(f"the score {cells[4]!r} is not a number", where=where) from None
        if not abs(score) < _OVERFLOW:
            raise InputError(f"the score {cells[4]!r} is not a finite float32", where=where)
        yield unquote(cells[0]), unquote(cells[2]), score, where


def column_text(name: str) -> str:
    """An id as one column of a TREC file: blanks, which would end it, as in web addresses (%20)."""
    return _BLANK.sub(lambda blank: quote(blank[0]), name)
