"""The documents that queries are made of: a task's corpus, or a folder's tables and texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

import pyarrow as pa

from dibs.cards import TaskCard
from dibs.data.content import content_of
from dibs.data.dataset import QRELS_SCHEMA, Dataset
from dibs.data.rows import Row, lines, rows, texts_table
from dibs.errors import InputError

_TABLES = (".jsonl", ".jsonl.gz", ".parquet", ".csv", ".csv.gz")
_TEXTS = (".txt", ".md")


@dataclass(frozen=True)
class Document:
    """One document, and what is known of it."""

    id: str
    text: str
    """As the template makes it, which is what retrievers index."""
    group: str
    fields: Mapping[str, str]
    """Every column, such as `title`, `company` or `year`."""


@dataclass(frozen=True)
class Collection:
    """Documents to make queries of."""

    name: str
    table: pa.Table
    """Columns id, title, text and further ones, all texts."""
    sha256: str
    """Of the data: the task's, or the folder's."""
    template: str
    group_field: str | None = None
    """The column whose equal values are one filing or section; None goes by the ids' folders."""
    gold: frozenset[str] = frozenset()
    """The ids of the documents that answer the task's own queries."""
    licence: str = "not stated"
    is_task: bool = False

    @cached_property
    def ids(self) -> list[str]:
        return [str(name) for name in self.table["id"].to_pylist()]

    @cached_property
    def groups(self) -> list[str]:
        """Each document's group: its column's value; else its id up to the last slash; else its id."""
        if self.group_field is None:
            return [name.rpartition("/")[0] or name for name in self.ids]
        column = self.table[self.group_field].to_pylist()
        return [value or name for value, name in zip(column, self.ids, strict=True)]

    def document(self, row: int) -> Document:
        """The document in that row of the table."""
        values = self.table.slice(row, 1).to_pylist()[0]
        text = self.template.format(**values).strip()
        return Document(values["id"], text, self.groups[row], values)


def of_task(card: TaskCard, dataset: Dataset, *, template: str | None, group: str | None) -> Collection:
    """The corpus of a task.

    Args:
        template: The name of one of its document templates; None is the default one.
        group: A column of the corpus; None is the field that the task clusters by, if the corpus has it.

    Raises:
        InputError: there is no such template or column.
    """
    columns = dataset.corpus.column_names
    if group is not None and group not in columns:
        raise InputError(
            f"the documents of {card.name} have no field {group!r}", todo=f"They have: {', '.join(columns)}."
        )
    field = group or (card.cluster if card.cluster in columns else None)
    text = card.template(template)
    next(dataset.document_texts(text), None)  # says what is wrong with a template
    gold = {doc for grades in dataset.qrels.values() for doc, grade in grades.items() if grade > 0}
    return Collection(
        card.name, dataset.corpus, dataset.info.sha256, text, field, frozenset(gold), card.licence, True
    )


def of_folder(folder: Path, *, group: str | None) -> Collection:
    """The documents of a folder: rows of its tables (id, text, title and more), and its texts, one each.

    Raises:
        InputError: it holds none, or a row is malformed; file and line are named.
    """
    if not folder.is_dir():
        raise InputError("there is no such folder", where=str(folder))
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    known = [path for path in paths if path.name.lower().endswith((*_TABLES, *_TEXTS))]
    if not known:
        kinds = ", ".join((*_TABLES, *_TEXTS))
        raise InputError("holds no documents", where=str(folder), todo=f"Files that are read: {kinds}.")
    found = chain.from_iterable(_rows(path, folder) for path in known)
    table = texts_table(found, "document", str(folder), titles=True)
    if group is not None and group not in table.column_names:
        columns = ", ".join(table.column_names)
        raise InputError(
            f"the documents have no field {group!r}", where=str(folder), todo=f"They have: {columns}."
        )
    nothing = pa.table({"id": pa.array([], pa.string()), "text": pa.array([], pa.string())})
    sha256 = content_of(table, nothing, QRELS_SCHEMA.empty_table()).sha256
    return Collection(folder.resolve().name, table, sha256, "{title} {text}", group)


def _rows(path: Path, folder: Path) -> Iterator[Row]:
    name = path.name.lower()
    if name.endswith(_TEXTS):
        for _ in lines(path):  # says what keeps the file from being read
            pass
        text = path.read_text(encoding="utf-8-sig")
        place = path.relative_to(folder)
        yield Row({"id": place.as_posix(), "title": _title(text, place), "text": text}, str(path))
    else:
        yield from rows(path)


def _title(text: str, place: Path) -> str:
    first = text.partition("\n")[0]
    return first.lstrip("# ").strip() if first.startswith("#") else place.stem.replace("_", " ")
