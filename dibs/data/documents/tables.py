"""Tables of documents, a row each: CSV, JSONL, parquet and Delta tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dibs.data.documents.delta import is_delta, read_delta
from dibs.data.rows import Row, cell, rows
from dibs.errors import InputError, MissingError


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are read as what."""

    id: str | None = None
    """None is `_id` or `id`."""
    text: str = "text"
    title: str = "title"
    document: str = "document"
    """What a row is part of, if the table has that column."""


def read_table_rows(path: Path, columns: Columns) -> Iterator[Row]:
    """A table's rows with `id`, `title`, `text`, `document`, `part` and every further field.

    `part` is the row's own id; `document` is the same where the table does not say.

    Raises:
        InputError: a row is malformed, or has no id or text; file and row are named.
    """
    for row in read_delta(path) if is_delta(path) else rows(path):
        values = {**_metadata(row), **row.values}
        values.pop("metadata", None)
        own = columns.id or ("_id" if "_id" in values else "id")
        name = cell(_taken(row, values, own, "id"), row.where).strip()
        text = cell(_taken(row, values, columns.text, "text"), row.where)
        title = cell(values.pop(columns.title, ""), row.where)
        document = cell(values.pop(columns.document, ""), row.where).strip()
        rest = {key: value for key, value in values.items() if key not in ("id", "_id", "part")}
        named = {"id": name, "title": title, "text": text, "document": document or name, "part": name}
        yield Row(rest | named, row.where)


def _taken(row: Row, values: dict[str, object], field: str, what: str) -> object:
    if field not in values:
        listed = ", ".join(sorted(map(str, values))) or "none"
        raise InputError(
            f"there is no field {field!r}",
            where=row.where,
            todo=f"The fields are: {listed}. Name the one that is the {what}: --{what}-field NAME.",
        )
    return values.pop(field)


def _metadata(row: Row) -> dict[str, object]:
    inner = row.values.get("metadata") or {}
    return dict(inner) if isinstance(inner, dict) else {}


def check_table(path: Path) -> None:
    """Refuse a Delta table where what reads it is not installed: that is no fault of the table.

    Raises:
        MissingError: the package is not here.
    """
    if is_delta(path):
        try:
            import deltalake  # noqa: F401
        except ModuleNotFoundError:
            raise MissingError(
                "is a Delta table", where=str(path), todo='Run: pip install "dibs[delta]"'
            ) from None
