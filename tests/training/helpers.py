"""A small collection of documents, and pairs and chat models made for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from dibs.cards.model import LLMCard
from dibs.llm.chat import ChatModel, make_llm
from dibs.training.documents import Collection, Document
from dibs.training.pairs import Pair, Split

STATEMENT = """Consolidated Balance Sheets
Zappa Corporation
December 31, 2021 2020
Cash and cash equivalents $ 1,204 $ 998
Inventories 310 295
Total current assets 2,450 2,101
Total current liabilities 1,225 1,190
Long-term debt (a) 3,300 3,420
Total assets $ 9,871 $ 9,003
Inventories increased because customers of our paint division delayed their orders until the spring.
If the covenant is not met at the end of a quarter, lenders may call the loans at once.
57
"""
GUIDE = """# Rotating the anvil key

The anvil key is a secret that the forge uses to sign hammers.

## Before you begin

If your key has already expired, ask an operator for a temporary one before the forge is restarted.

To rotate the key of a forge, call `RotateAnvil` with the name of the forge in your region.

A forge can have a maximum of 12 keys. When a call ends in "forge not found", check the region.
"""
FIELDS = {"title": "Zappa, 10-K, FY2021", "company": "Zappa", "year": "2021", "form": "10-K"}


def document(text: str = STATEMENT, **fields: str) -> Document:
    """A page of a filing, or of whatever `fields` say."""
    return Document("zappa-2021-p1", text, "zappa-2021", fields or FIELDS)


def collection(texts: dict[str, str], **more: Any) -> Collection:
    """A collection of those texts; an id's part before `-` is its filing."""
    table = pa.table(
        {
            "id": list(texts),
            "title": pa.array([""] * len(texts), pa.string()),
            "text": list(texts.values()),
            "filing": [name.partition("-")[0] for name in texts],
        }
    )
    return Collection("Small", table, "0" * 64, "{text}", **{"group_field": "filing"} | more)


def pair(query: str, document_id: str = "d1", split: Split = "train", **more: str) -> Pair:
    """A lookup, whose document is its own group."""
    values = {"document": f"Text of {document_id}.", "kind": "lookup", "group": document_id} | more
    return Pair(query=query, document_id=document_id, split=split, **values)


def llm(
    cache: Path, script: dict[str, Any] | None = None, name: str = "scripted", **options: Any
) -> ChatModel:
    """A model that answers a request that contains a key with its value, as JSON unless it is a text."""
    path = cache / f"{name}.jsonl"
    rows = [
        {"contains": key, "answer": said if isinstance(said, str) else json.dumps(said)}
        for key, said in (script or {}).items()
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = {"mode": "fixed", "text": "no object", "answers": str(path)} | options
    card = LLMCard(
        name=name,
        adapter="mock",
        usd_per_million_tokens=1.0,
        usd_per_million_output_tokens=2.0,
        options=settings,
    )
    return make_llm(card, cache)
