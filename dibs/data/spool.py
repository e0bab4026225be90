"""Rows of documents from anywhere as one table on disk, whatever their number and their fields."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

from dibs.data.dataset import read_table
from dibs.data.rows import Row, texts_table
from dibs.errors import InputError
from dibs.files import folder_aside

_ROWS, _CHARACTERS = 1024, 16 << 20
"""What is held in memory before it is written."""
_FIRST = ("id", "title", "text")


class TwiceError(InputError):
    """Two documents have one id; nothing can be told of either."""


class Spool:
    """Collects documents in files that are gone when the block ends; the table of them stays mapped.

    Rows are `id`, `text`, `title` and any further fields, as `texts_table` reads them; fields that come
    up late are empty before.

    Args:
        parent: A folder on a disk with room for the documents; None is the system's for such files.
        where: What is read, for messages.
    """

    def __init__(self, parent: Path | None, where: str) -> None:
        self._ending = ExitStack()
        self._home = self._ending.enter_context(
            folder_aside(parent or Path(tempfile.gettempdir()), ".spool-")
        )
        self._where = where
        self._held: list[Row] = []
        self._size = 0
        self._ids: set[str] = set()
        self._new: set[str] = set()
        """Those of the file that is being read."""
        self._parts: list[Path] = []
        self._schema: pa.Schema | None = None
        self._writer: pa.RecordBatchFileWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._ending:  # the folder goes, though a full disk may not let its last file be closed
            self._close()

    def add(self, row: Row) -> None:
        """Put a row behind the others.

        Raises:
            InputError: it has no id or text; TwiceError: its id was there before.
        """
        name = _id(row)
        if isinstance(name, str) and name:
            if name in self._ids:
                first = next((one.where for one in self._held if _id(one) == name), "an earlier row")
                raise TwiceError(
                    f"the document id {name!r} is there twice, first at {first}",
                    where=row.where,
                    todo="Give each document an id of its own.",
                )
            self._ids.add(name)
            self._new.add(name)
        self._held.append(row)
        self._size += len(text) if isinstance(text := row.values.get("text"), str) else 0
        if len(self._held) >= _ROWS or self._size >= _CHARACTERS:
            self._flush()

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Rows of a file that may turn out to be broken: if the block raises, none of them is kept."""
        self._flush()
        self._close()
        before, schema = len(self._parts), self._schema
        self._new = set()
        try:
            yield
            self._flush()
        except BaseException:
            self._held, self._size, self._schema = [], 0, schema
            self._close()
            for path in self._parts[before:]:
                path.unlink(missing_ok=True)
            del self._parts[before:]
            self._ids -= self._new
            raise

    def table(self) -> pa.Table:
        """All rows: id, title, text, and the further fields by their names; memory-mapped.

        Raises:
            InputError: there is not one.
        """
        self._flush()
        self._close()
        if not self._parts:
            texts_table((), "document", self._where, titles=True)
        found = pa.concat_tables([read_table(path) for path in self._parts], promote_options="default")
        order = [*_FIRST, *sorted(set(found.column_names) - set(_FIRST))]
        columns = {name: found[name] for name in order}
        return pa.table({n: c.fill_null("") if c.null_count else c for n, c in columns.items()})

    def _flush(self) -> None:
        if not self._held:
            return
        rows, self._held, self._size = self._held, [], 0
        table = texts_table(rows, "document", self._where, titles=True)
        if self._writer is None or self._schema is None or set(table.column_names) - set(self._schema.names):
            self._open(table.schema)
        assert self._writer is not None
        assert self._schema is not None
        blank = pa.array([""] * table.num_rows, pa.string())
        columns = [table[n] if n in table.column_names else blank for n in self._schema.names]
        self._writer.write_table(pa.table(columns, schema=self._schema))

    def _open(self, schema: pa.Schema) -> None:
        known = self._schema.names if self._schema is not None else []
        names = [*_FIRST, *sorted({*known, *schema.names} - set(_FIRST))]
        self._close()
        self._schema = pa.schema([(name, pa.string()) for name in names])
        path = self._home / f"{len(self._parts)}.arrow"
        self._writer = pa.ipc.new_file(str(path), self._schema)
        self._parts.append(path)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _id(row: Row) -> object:
    return row.values.get("_id", row.values.get("id"))
