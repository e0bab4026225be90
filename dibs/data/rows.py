"""From rows that anyone wrote to columns that can be relied on; every fault names file, line and id."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dibs.errors import InputError

IGNORED = frozenset({"_id", "metadata"})
_ONE_OBJECT = 'Each line is one JSON object, such as {"_id": "1", "text": "..."}.'


@dataclass(frozen=True)
class Row:
    """One row and the place it was read at, as errors name it."""

    values: dict[str, Any]
    where: str


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """A text file's lines, plain or gzipped, with their numbers from 1; blank lines are passed over.

    Raises:
        InputError: not there, not UTF-8 (with the line), or a damaged gzip file.
    """
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            for number, raw in enumerate(stream, start=1):
                line = raw.decode("utf-8").removeprefix("\ufeff").rstrip("\r\n")
                if line.strip():
                    yield number, line
    except FileNotFoundError:
        raise InputError("there is no such file", where=str(path)) from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"is not UTF-8: {error.reason}", where=f"{path}, line {number}", todo="Save it as UTF-8."
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(
            f"is a damaged gzip file: {error}",
            where=f"{path}, after line {number}",
            todo="Get or pack it anew.",
        ) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from None


def jsonl(path: Path) -> Iterator[Row]:
    """The objects of a JSONL file.

    Raises:
        InputError: a line is not a JSON object; file and line are named.
    """
    for number, line in lines(path):
        where = f"{path}, line {number}"
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            problem = f"is not JSON: {error.msg}, column {error.colno}"
            raise InputError(problem, where=where, todo=_ONE_OBJECT) from None
        except (ValueError, RecursionError) as error:  # a number of 5,000 digits; 1,000 lists in each other
            raise InputError(f"is JSON of no use: {error}", where=where, todo=_ONE_OBJECT) from None
        if not isinstance(values, dict):
            raise InputError(f"is not a JSON object: {line:.60}", where=where, todo=_ONE_OBJECT)
        yield Row(values, where)


def parquet(path: Path) -> Iterator[Row]:
    """The rows of a parquet file.

    Raises:
        InputError: it cannot be read; file and row are named.
    """
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(values, f"{path}, row {number}")
    except (OSError, ValueError, OverflowError, pa.ArrowException) as error:
        raise InputError(
            f"is not a whole parquet file: {error}",
            where=f"{path}, after row {number}",
            todo="Get or write it anew.",
        ) from None


def _csv(path: Path) -> Iterator[Row]:
    for _ in lines(path):  # says in DIBS' words what keeps the file from being read
        pass
    with (
        gzip.open(path, "rt", encoding="utf-8-sig", newline="")
        if path.suffix == ".gz"
        else path.open(encoding="utf-8-sig", newline="") as stream
    ):
        reader = csv.DictReader(stream, strict=True)
        try:
            for values in reader:
                where = f"{path}, line {reader.line_num}"
                if None in values or None in values.values():
                    raise InputError(
                        f"the row has {'more' if None in values else 'fewer'} cells than the heading",
                        where=where,
                        todo='Put cells that hold a comma, a quote or a line end in quotes: "...".',
                    )
                yield Row(values, where)
        except csv.Error as error:
            raise InputError(f"is not CSV: {error}", where=f"{path}, line {reader.line_num}") from None


def rows(path: Path) -> Iterator[Row]:
    """The rows of a file that is parquet, CSV or JSONL by its name; the last two may be gzipped."""
    name = path.name.lower()
    if name.endswith(".parquet"):
        return parquet(path)
    return _csv(path) if name.endswith((".csv", ".csv.gz")) else jsonl(path)


def texts_table(found: Iterable[Row], kind: str, where: str, *, titles: bool) -> pa.Table:
    """Corpus or query rows as a table: `id`, `title` if wanted, `text`, and every further field as text.

    BEIR's `_id` and MTEB's `id` are both read; fields below `metadata` become columns of their own.

    Args:
        kind: "document" or "query", for messages.
        where: The file or folder they are read from, for messages.

    Raises:
        InputError: a missing, doubled or non-text id or text; no rows at all.
    """
    first = ("id", "title", "text") if titles else ("id", "text")
    columns: dict[str, list[str]] = {name: [] for name in first}
    seen: dict[str, str] = {}
    for count, row in enumerate(found):
        values = _flat(row)
        name = _text(row, values, "id", f"{kind} id")
        if not name:
            raise InputError(f"the {kind} has an empty id", where=row.where, todo=f"Give each {kind} an id.")
        if name in seen:
            raise InputError(
                f"the {kind} id {name!r} is there twice, first at {seen[name]}",
                where=row.where,
                todo=f"Give each {kind} an id of its own.",
            )
        seen[name] = row.where
        values["id"] = name
        values["text"] = _text(row, values, "text", f"text of {kind} {name!r}")
        for column in values.keys() - columns.keys():
            columns[cell(column, f"{row.where}, a field's name")] = [""] * count
        for column, cells in columns.items():
            cells.append(cell(values.get(column), f"{row.where}, field {column!r}"))
    if not seen:
        raise InputError(f"there is not one {kind}", where=where, todo="Check that it is the file you mean.")
    order = [*first, *sorted(columns.keys() - set(first))]
    return pa.table({name: pa.array(columns[name], pa.string()) for name in order})


def _flat(row: Row) -> dict[str, Any]:
    values = {key: value for key, value in row.values.items() if key not in IGNORED}
    if "_id" in row.values:
        values["id"] = row.values["_id"]
    metadata = row.values.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise InputError(
            f"the field 'metadata' is {metadata!r:.60}, not an object",
            where=row.where,
            todo='Write it as {"name": "value"}.',
        )
    return {str(key): value for key, value in metadata.items()} | values


def _text(row: Row, values: dict[str, Any], field: str, what: str) -> str:
    if field not in values:
        raise InputError(
            f"there is no field {field!r}",
            where=row.where,
            todo=f"The fields are: {', '.join(row.values) or 'none'}.",
        )
    value = values[field]
    if not isinstance(value, str):
        raise InputError(
            f"the {what} is {value!r:.60}, not a text", where=row.where, todo='Write it as a text: "1".'
        )
    return value


def cell(value: Any, where: str) -> str:
    """A value as the text that a column keeps: itself, "" for none, JSON for a number, list or object.

    Raises:
        InputError: it is not Unicode.
    """
    if isinstance(value, (bool, int, float, list, dict)):
        text = json.dumps(value, ensure_ascii=False, default=str)
    else:
        text = "" if value is None else str(value)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, as JSON can spell it
        raise InputError(
            "holds half a character (a lone surrogate)", where=where, todo="Remove it."
        ) from None
    return text
