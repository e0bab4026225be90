"""Writing a data set: beside the current one, which stays until the new one is whole."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from dibs.data.content import ROWS, content_of
from dibs.data.dataset import Dataset, DatasetInfo, read_table
from dibs.files import folder_aside, sha256_file, write_bytes, write_json

_VERSION = re.compile(r"[0-9a-f]{12}-[0-9a-f]{6}")


def write_dataset(
    folder: Path,
    task: str,
    corpus: pa.Table | Iterator[pa.RecordBatch],
    queries: pa.Table,
    qrels: pa.Table,
    *,
    corpus_schema: pa.Schema | None = None,
    source: dict[str, Any] | None = None,
    notes: Sequence[str] = (),
    check: Callable[[Dataset], None] | None = None,
) -> Dataset:
    """Write a data set below `folder`, make it the current one and delete those that were there before.

    Whoever has an older one open goes on: its files are mapped, and live until the last reader is gone.

    Args:
        corpus: A table, or record batches of `corpus_schema` where it need not fit in memory.
        queries: Columns id, text and further ones.
        qrels: Columns as QRELS_SCHEMA.
        check: Called with what was written; if it raises, nothing is kept and the older one stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Those that are there now: what another process writes meanwhile is to become the current one.
    older = [path for path in folder.iterdir() if _VERSION.fullmatch(path.name)]
    with folder_aside(folder) as work:
        _write_corpus(work / "corpus.arrow", corpus, corpus_schema)
        _write_table(work / "queries.arrow", queries)
        _write_table(work / "qrels.arrow", qrels)
        tables = [read_table(work / f"{name}.arrow") for name in ("corpus", "queries", "qrels")]
        content = content_of(*tables)._asdict()
        hashes = {path.name: sha256_file(path) for path in sorted(work.iterdir())}
        info = DatasetInfo(task=task, **content, source=source or {}, notes=list(notes), files=hashes)
        write_json(work / "dataset.json", asdict(info))
        if check is not None:
            check(Dataset(work, info))
        version = folder / f"{info.sha256[:12]}-{os.urandom(3).hex()}"
        work.rename(version)
    dataset = Dataset(version, info).opened()
    write_bytes(folder / "current", f"{version.name}\n".encode())
    for path in older:
        shutil.rmtree(path, ignore_errors=True)
    return dataset


def _write_corpus(path: Path, corpus: pa.Table | Iterator[pa.RecordBatch], schema: pa.Schema | None) -> None:
    if isinstance(corpus, pa.Table):
        batches, schema = iter(corpus.to_batches(max_chunksize=ROWS)), corpus.schema
    else:
        assert schema is not None, "batches come with their schema"
        batches = corpus
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _write_table(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
