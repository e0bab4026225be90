"""What a data set consists of, in numbers: its counts, and one hash of every value in it."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import pyarrow as pa

ROWS = 4096
"""How many rows of a memory-mapped table are made Python values at a time."""


class Content(NamedTuple):
    """Counts and hash of corpus, queries and qrels, named as `dataset.json` names them."""

    sha256: str
    documents: int
    queries: int
    qrels: int
    empty_documents: int
    duplicate_documents: int


def content_of(corpus: pa.Table, queries: pa.Table, qrels: pa.Table) -> Content:
    """Count and hash what the tables hold, whatever their batches' sizes.

    Raises:
        pyarrow.ArrowException, ValueError: a table's bytes are no values of its columns.
    """
    total = hashlib.sha256()
    empty = duplicate = 0
    seen: set[bytes] = set()
    for table in (corpus, queries, qrels):
        table.validate(full=True)  # a damaged offset would be followed anywhere
        for batch in table.to_batches(max_chunksize=ROWS):
            _hash(total, batch)
    for batch in corpus.select(["text"]).to_batches(max_chunksize=ROWS):
        for text in batch.column("text").to_pylist():
            empty += not text.strip()
            key = hashlib.blake2b(text.encode(), digest_size=16).digest()
            duplicate += key in seen
            seen.add(key)
    return Content(total.hexdigest(), corpus.num_rows, queries.num_rows, qrels.num_rows, empty, duplicate)


def _hash(total: Any, batch: pa.RecordBatch) -> None:
    """Add the rows' values to `total`, each with its column and length."""
    names = [name.replace(":", "::") for name in batch.schema.names]  # a name ends at its single colon
    for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
        for name, value in zip(names, row, strict=True):
            raw = b"" if value is None else str(value).encode()
            length = "null" if value is None else len(raw)
            total.update(f"{name}:{length}:".encode() + raw)
