"""Delta tables: the current version's rows, batch by batch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from dibs.data.rows import Row
from dibs.errors import InputError, MissingError
from dibs.files import sha256_file

_LOG = "_delta_log"


def is_delta(folder: Path) -> bool:
    """Whether a folder is a Delta table."""
    return (folder / _LOG).is_dir()


def read_delta(folder: Path) -> Iterator[Row]:
    """The table's rows; deleted ones are not among them.

    Raises:
        InputError: it cannot be read, or files of it are absent.
        MissingError: the package deltalake is not installed.
    """
    table, number = _table(folder), 0
    from deltalake import QueryBuilder

    try:
        found = QueryBuilder().register("documents", table).execute("SELECT * FROM documents")
        for batch in found:
            for values in pa.record_batch(batch).to_pylist():
                number += 1
                yield Row(values, f"{folder}, row {number}")
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - the library raises plain exceptions of many kinds
        problem = f"is not a whole Delta table: {error!s:.300}"
        raise InputError(problem, where=f"{folder}, after row {number}") from None


def delta_sha256(folder: Path) -> str:
    """One hash of the files that hold the current version and of the deletions in them.

    Raises:
        InputError: it cannot be read, or a file is absent.
    """
    table, total = _table(folder), hashlib.sha256()
    logs = sorted((folder / _LOG).glob("*.json"))[-1:]
    try:
        for path in sorted(folder / Path(uri).relative_to(folder.resolve()) for uri in table.file_uris()):
            total.update(sha256_file(path).encode())
        for path in (*logs, *sorted(folder.glob("deletion_vector_*"))):
            total.update(sha256_file(path).encode())
    except (OSError, ValueError) as error:
        problem = f"is not a whole Delta table: {error}"
        raise InputError(problem, where=str(folder), todo="Copy it with all its files.") from None
    return total.hexdigest()


def _table(folder: Path) -> Any:
    try:
        from deltalake import DeltaTable
    except ModuleNotFoundError:
        raise MissingError(
            "is a Delta table, which needs the package deltalake",
            where=str(folder),
            todo='Run: pip install "dibs[delta]"',
        ) from None
    try:
        return DeltaTable(str(folder.resolve()))
    except Exception as error:  # noqa: BLE001 - as above
        raise InputError(
            f"is not a Delta table that can be read: {error!s:.300}", where=str(folder)
        ) from None
