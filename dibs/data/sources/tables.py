"""What the sources that read corpus, query and qrels files have in common."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from dibs.data.prepare import SourceData
from dibs.data.qrels import judgements, qrels_table
from dibs.data.rows import rows, texts_table


def read_files(corpus: Sequence[Path], queries: Sequence[Path], qrels: Sequence[Path]) -> SourceData:
    """The data in those files, which are JSONL or parquet, or TSV for the qrels.

    Raises:
        InputError: a file is malformed; file, line and id are named.
    """
    documents = texts_table(chain.from_iterable(map(rows, corpus)), "document", _names(corpus), titles=True)
    asked = texts_table(chain.from_iterable(map(rows, queries)), "query", _names(queries), titles=False)
    found = chain.from_iterable(map(judgements, qrels))
    judged = qrels_table(found, asked, documents["id"].to_pylist(), _names(qrels))
    left = asked.num_rows - judged.queries.num_rows
    notes = [f"{left} queries have no relevant document and are left out"] if left else []
    return SourceData(documents, judged.queries, judged.qrels, notes=notes)


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))
