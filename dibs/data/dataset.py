"""The one form that a task's data has on disk: Arrow files with their content's hash.

    corpus.arrow    id, title, text, and a text column for each further field
    queries.arrow   id, text, and a text column for each further field (answer, ...)
    qrels.arrow     query_id, doc_id, relevance
    dataset.json    counts, the content's SHA-256, where it came from, what is to be known of it

Files are memory-mapped: opening a data set costs nothing, and a corpus larger than memory works.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from dibs.data.content import ROWS, content_of
from dibs.errors import DamagedError, InputError
from dibs.files import sha256_file

Qrels = dict[str, dict[str, int]]
"""Query id to document id to relevance (an integer, relevant from 1)."""

QRELS_SCHEMA = pa.schema([("query_id", pa.string()), ("doc_id", pa.string()), ("relevance", pa.int32())])


@dataclass(frozen=True)
class DatasetInfo:
    """What `dataset.json` says."""

    task: str
    sha256: str
    """Of the content: every column of corpus, queries and qrels, whatever the files' layout."""
    queries: int
    documents: int
    qrels: int
    empty_documents: int
    duplicate_documents: int
    """Documents whose text stands in an earlier document."""
    source: dict[str, Any] = field(default_factory=dict)
    """The source as the task card names it; a changed card makes the data out of date."""
    notes: list[str] = field(default_factory=list)
    """What a reader of a result has to know, such as absent files."""
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 of each Arrow file; older data sets have none."""


@dataclass(frozen=True)
class Dataset:
    """A task's corpus, queries and qrels, memory-mapped from `folder`."""

    folder: Path
    info: DatasetInfo

    @cached_property
    def corpus(self) -> pa.Table:
        return read_table(self.folder / "corpus.arrow")

    @cached_property
    def queries(self) -> pa.Table:
        return read_table(self.folder / "queries.arrow")

    @cached_property
    def judgements(self) -> pa.Table:
        """The qrels as QRELS_SCHEMA has them."""
        return read_table(self.folder / "qrels.arrow")

    @cached_property
    def qrels(self) -> Qrels:
        qrels: Qrels = {}
        columns = (self.judgements[name].to_pylist() for name in QRELS_SCHEMA.names)
        for query, document, relevance in zip(*columns, strict=True):
            qrels.setdefault(query, {})[document] = relevance
        return qrels

    @cached_property
    def document_ids(self) -> list[str]:
        return _texts(self.corpus, "id")

    @cached_property
    def query_ids(self) -> list[str]:
        return _texts(self.queries, "id")

    def opened(self) -> Dataset:
        """This data set with all its files mapped, so that it lasts though they be deleted.

        Raises:
            OSError, pyarrow.ArrowException: a file is absent or damaged.
        """
        for name in ("corpus", "queries", "judgements"):
            getattr(self, name)
        return self

    def query_texts(self) -> list[str]:
        return _texts(self.queries, "text")

    def query_field(self, name: str) -> list[str]:
        """One text a query, in the order of the queries.

        Raises:
            InputError: the queries have no such field.
        """
        if name not in self.queries.column_names:
            known = ", ".join(self.queries.column_names)
            raise InputError(
                f"the queries of {self.info.task} have no field {name!r}", todo=f"They have: {known}."
            )
        return _texts(self.queries, name)

    def document_texts(self, template: str) -> Iterator[str]:
        """The corpus's texts in order, each made by `template` over its columns and stripped.

        Raises:
            InputError: the template names a column that is not there, or is malformed.
        """
        try:
            template.format(**dict.fromkeys(self.corpus.column_names, ""))
        except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
            known = ", ".join(self.corpus.column_names)
            raise InputError(
                f"the document template {template!r} does not fit the corpus of {self.info.task}: {error}",
                todo=f"Its columns are: {known}.",
            ) from None
        for batch in self.corpus.to_batches(max_chunksize=ROWS):
            for row in batch.to_pylist():
                yield template.format(**row).strip()

    def document(self, doc_id: str) -> dict[str, str]:
        """One document's columns.

        Raises:
            InputError: no document has that id.
        """
        return self._row(self.corpus, self._document_rows, "document", doc_id)

    def query(self, query_id: str) -> dict[str, str]:
        """One query's columns.

        Raises:
            InputError: no query has that id.
        """
        return self._row(self.queries, self._query_rows, "query", query_id)

    @cached_property
    def _document_rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.document_ids)}

    @cached_property
    def _query_rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.query_ids)}

    def _row(self, table: pa.Table, rows: Mapping[str, int], kind: str, name: str) -> dict[str, str]:
        if name not in rows:
            raise InputError(f"{self.info.task} has no {kind} with the id {name!r}")
        row: dict[str, str] = table.slice(rows[name], 1).to_pylist()[0]
        return row


def open_dataset(folder: Path) -> Dataset:
    """The data set that was last written below `folder`; its files are open, and may then be deleted.

    Raises:
        FileNotFoundError: none was written.
        DamagedError: it is there and not whole.
    """
    current = (folder / "current").read_bytes()
    while True:
        try:
            return _open(folder, current)
        except DamagedError:
            tried, current = current, (folder / "current").read_bytes()
            if current == tried:  # else another process has put a newer one in its place
                raise


def check_content(dataset: Dataset) -> None:
    """Count and hash the whole content anew and compare it with what was written.

    Raises:
        DamagedError: it differs.
    """
    where, todo = str(dataset.folder), _again(dataset.folder.parent)
    try:
        content = content_of(dataset.corpus, dataset.queries, dataset.judgements)
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise DamagedError(f"the data set is damaged: {error}", where=where, todo=todo) from None
    for name, found in content._asdict().items():
        if found != (written := getattr(dataset.info, name)):
            problem = f"the data set is not as it was written: {name} is {found}, was {written}"
            raise DamagedError(problem, where=where, todo=todo)


def check_files(dataset: Dataset) -> None:
    """Hash the files and compare them with what was written: 170 MB, FinanceBench's, take 0.3 s.

    A flipped bit in a text is found by nothing else: opening maps the files and reads none of it.

    Raises:
        DamagedError: one differs.
    """
    for name, sha256 in dataset.info.files.items():
        if sha256_file(dataset.folder / name) != sha256:
            raise DamagedError(
                f"{name} is not as it was written",
                where=str(dataset.folder),
                todo=_again(dataset.folder.parent),
            )


def _open(folder: Path, current: bytes) -> Dataset:
    try:
        version = folder / current.decode().strip()
        values = json.loads((version / "dataset.json").read_text(encoding="utf-8"))
        dataset = Dataset(version, DatasetInfo(**values)).opened()
    except (OSError, ValueError, TypeError, RecursionError, pa.ArrowException) as error:
        problem = f"the data set is damaged: {error}"
        raise DamagedError(problem, where=str(folder), todo=_again(folder)) from None
    info, tables = dataset.info, (dataset.corpus, dataset.queries, dataset.judgements)
    if [table.num_rows for table in tables] != [info.documents, info.queries, info.qrels]:
        problem = "the data set's files and its counts differ"
        raise DamagedError(problem, where=str(folder), todo=_again(folder))
    return dataset


def _again(folder: Path) -> str:
    return f"Make it anew: dibs data prepare {folder.name} (with --from FOLDER if it came from a copy)"


def _texts(table: pa.Table, column: str) -> list[str]:
    texts: list[str] = table[column].to_pylist()
    return texts


def read_table(path: Path) -> pa.Table:
    """The table in an Arrow file, memory-mapped; the mapping stays though the file be deleted."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()
