"""What the sources that read corpus, query and qrels files have in common."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from dibs.data.dataset import QRELS_SCHEMA
from dibs.data.prepare import SourceData
from dibs.data.qrels import judgements, qrels_table
from dibs.data.rows import rows, texts_table
from dibs.data.spool import Spool
from dibs.errors import InputError


def read_files(
    corpus: Sequence[Path],
    queries: Sequence[Path],
    qrels: Sequence[Path],
    *,
    parents: Sequence[str] = (),
    scratch: Path | None = None,
) -> SourceData:
    """The data in those files, which are JSONL or parquet, or TSV for the qrels.

    Args:
        parents: Columns of the corpus with ids that qrels may name too: of what a document is part of.
        scratch: A folder with room for the corpus, which is read row by row; None is the system's.

    Raises:
        InputError: a file is malformed; file, line and id are named.
    """
    with Spool(scratch, _names(corpus)) as spool:
        for row in chain.from_iterable(map(rows, corpus)):
            spool.add(row)
        documents = spool.table()
    if absent := [name for name in parents if name not in documents.column_names]:
        raise InputError(
            f"the documents have no field {absent[0]!r}, which the card's levels name",
            where=_names(corpus),
            todo=f"They have: {', '.join(documents.column_names)}.",
        )
    asked = texts_table(chain.from_iterable(map(rows, queries)), "query", _names(queries), titles=False)
    found = list(chain.from_iterable(map(judgements, qrels)))
    if not found and qrels and all(path.stat().st_size for path in qrels):  # a heading, and nothing below it
        return SourceData(documents, asked, QRELS_SCHEMA.empty_table(), notes=["no query is judged yet"])
    names = chain.from_iterable(documents[name].to_pylist() for name in ("id", *parents))
    judged = qrels_table(found, asked, names, _names(qrels))
    left = asked.num_rows - judged.queries.num_rows
    notes = [f"{left} queries have no relevant document and are left out"] if left else []
    return SourceData(documents, judged.queries, judged.qrels, notes=notes)


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))
