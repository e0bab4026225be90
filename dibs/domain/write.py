"""The files of a task in BEIR's layout, a row at a time, and its card as TOML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from dibs.data.content import ROWS
from dibs.domain.queries import Query

_HEADING = "query-id\tcorpus-id\tscore\n"
_OWN = ("id", "title", "text", "document", "part")


def write_corpus(path: Path, table: pa.Table, levels: Mapping[str, str]) -> None:
    """A line for each row of the table.

    Args:
        levels: What the columns `document` and `part` are called in the task; what is not in it is the
            row's own id. A field of the documents that has such a name gets a `_` behind it.
    """
    rest = {name: f"{name}_" if name in levels.values() else name for name in table.column_names}
    with path.open("w", encoding="utf-8") as stream:
        for batch in table.to_batches(max_chunksize=ROWS):
            for row in batch.to_pylist():
                above = {name: row[column] for column, name in levels.items()}
                fields = {rest[name]: value for name, value in row.items() if name not in _OWN}
                line = {
                    "_id": row["id"],
                    "title": row["title"],
                    "text": row["text"],
                    "metadata": above | fields,
                }
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")


def write_queries(path: Path, queries: Sequence[Query], documents: Mapping[str, str]) -> None:
    """A line for each query.

    Args:
        documents: The document of each gold id, where queries are to say which one they are of.
    """
    with path.open("w", encoding="utf-8") as stream:
        for query in queries:
            first = next(iter(query.gold), "")
            more = {"document": documents.get(first, "")} if documents else {}
            line = {"_id": query.id, "text": query.text, "metadata": {**more, **query.fields}}
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")


def write_judgements(path: Path, queries: Sequence[Query]) -> None:
    """A line for each gold id, below a heading."""
    path.parent.mkdir()
    with path.open("w", encoding="utf-8") as stream:
        stream.write(_HEADING)
        for query in queries:
            stream.writelines(f"{query.id}\t{name}\t{grade}\n" for name, grade in query.gold.items())


def card_text(fields: Mapping[str, Any]) -> str:
    """A card as TOML: its fields, then its tables."""
    plain = [f"{name} = {_value(value)}" for name, value in fields.items() if not isinstance(value, dict)]
    for name, table in fields.items():
        if isinstance(table, dict):
            plain += ["", f"[{name}]", *(f"{key} = {_value(value)}" for key, value in table.items())]
    return "\n".join(plain) + "\n"


def _value(value: Any) -> str:
    # JSON's texts, numbers, lists and truth values are TOML's too, but for one character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
