"""The documents that queries are made of: a task's corpus, or a folder's files."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from dibs.cards.task import TaskCard
from dibs.data.content import content_of
from dibs.data.dataset import QRELS_SCHEMA, Dataset
from dibs.data.documents.gather import gather
from dibs.data.documents.scan import scan
from dibs.data.spool import Spool
from dibs.errors import InputError
from dibs.scoring.levels import unit_qrels

_NAMED = 5
"""Files that are named of those that cannot be read."""


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
    levels: tuple[str, ...] = ()
    """The task's."""

    @cached_property
    def ids(self) -> list[str]:
        return [str(name) for name in self.table["id"].to_pylist()]

    @cached_property
    def groups(self) -> list[str]:
        """Each document's group: its column's value; else its folder; else the file that it is a page of."""
        if self.group_field is None:
            whole = self.ids if self.is_task else [str(name) for name in self.table["document"].to_pylist()]
            return [name.rpartition("/")[0] or name for name in whole]
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
    qrels = unit_qrels(dataset, card.levels)
    gold = {doc for grades in qrels.values() for doc, grade in grades.items() if grade > 0}
    return Collection(
        card.name,
        dataset.corpus,
        dataset.info.sha256,
        text,
        field,
        frozenset(gold),
        card.licence,
        True,
        card.levels,
    )


def of_folder(folder: Path, *, group: str | None) -> Collection:
    """The documents of a folder, or of one table: rows of tables, pages of PDFs, and other files whole.

    What cannot be read is passed over with a warning that names it.

    Raises:
        InputError: nothing in it can be read; file and line are named.
    """
    found = scan(folder)
    with Spool(None, str(folder)) as spool:
        gathered = gather(found, spool, by="page")
    for one in gathered.skipped[:_NAMED]:
        warnings.warn(f"{one.place} is passed over: {one.why}", stacklevel=2)
    if (more := len(gathered.skipped) - _NAMED) > 0:
        warnings.warn(f"{more:,} more files are passed over", stacklevel=2)
    return of_table(found.name, gathered.table, group=group, where=str(folder))


def of_table(name: str, table: pa.Table, *, group: str | None, where: str) -> Collection:
    """The documents that were gathered from files.

    Raises:
        InputError: they have no such field.
    """
    if group is not None and group not in table.column_names:
        columns = ", ".join(table.column_names)
        raise InputError(f"the documents have no field {group!r}", where=where, todo=f"They have: {columns}.")
    nothing = pa.table({"id": pa.array([], pa.string()), "text": pa.array([], pa.string())})
    sha256 = content_of(table, nothing, QRELS_SCHEMA.empty_table()).sha256
    return Collection(name, table, sha256, "{title} {text}", group)
