"""MTEB's corpus and queries as tables of DIBS, with the texts that every model there is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    import datasets

TEMPLATE = "{title} {text}"
"""How MTEB joins a document's title and text, before it strips the whole."""

Turns = Sequence[str | Mapping[str, str]]
"""A conversation: what was said, or who said what (`role`, `content`)."""


def corpus_table(corpus: datasets.Dataset) -> pa.Table:
    """Columns id, title and text; a title that is absent or None is empty."""
    titles = corpus["title"] if "title" in corpus.column_names else [""] * len(corpus)
    columns = {"id": _ids(corpus), "title": _texts(titles), "text": _texts(corpus["text"])}
    return pa.table({name: pa.array(cells, pa.string()) for name, cells in columns.items()})


def queries_table(queries: datasets.Dataset) -> pa.Table:
    """Columns id and text; an instruction of the query's own is part of its text, as it is in MTEB."""
    said = queries["text"]
    instructions = queries["instruction"] if "instruction" in queries.column_names else [None] * len(queries)
    texts = [_query(text, instruction) for text, instruction in zip(said, instructions, strict=True)]
    return pa.table({"id": pa.array(_ids(queries), pa.string()), "text": pa.array(texts, pa.string())})


def _query(text: str | Turns, instruction: str | None) -> str:
    if isinstance(text, str):
        return text if instruction is None else f"{text} {instruction}"
    turns = [turn if isinstance(turn, str) else f"{turn['role']}: {turn['content']}" for turn in text]
    said = "; ".join(turns)
    return said if instruction is None else f"{instruction} {said}"


def _ids(rows: datasets.Dataset) -> list[str]:
    return [str(name) for name in rows["id"]]


def _texts(cells: Sequence[str | None]) -> list[str]:
    return ["" if cell is None else cell for cell in cells]
