"""A generator that asks an LLM: one request a document, for several queries of different kinds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dibs.errors import InputError
from dibs.llm.chat import ChatModel, Estimate, Spent
from dibs.training.ask import ask_each
from dibs.training.base import KINDS, Made, Query
from dibs.training.documents import Document
from dibs.training.prompt import load_prompt, shortened
from dibs.training.words import normalised

VERSION = "v1"
_REPLY = (
    "Reply with one JSON object and nothing else: "
    '{"questions": [{"kind": "lookup", "question": "..."}, ...]}, or {"questions": []}.'
)
_EACH = 100
"""Tokens of a question in the reply, at most."""


class LLMGenerator:
    """Makes queries with a chat model. Replies are kept: what was asked is not asked again.

    The seed of a set of pairs draws its documents; a model's answer depends on its own settings.
    """

    def __init__(self, llm: ChatModel, domain: str, each: int, document_tokens: int) -> None:
        self.llm = llm
        self.name = llm.name
        self._each = each
        self._document_tokens = document_tokens
        schema = _schema()
        self._prompt = load_prompt(f"{domain}.{VERSION}", _REPLY, schema, _EACH * each + _EACH)

    @property
    def spent(self) -> Spent:
        """What the model was asked since it was made."""
        return self.llm.spent

    def settings(self) -> dict[str, Any]:
        return {
            "generator": "llm",
            "llm": self.llm.settings(),
            **self._prompt.settings(),
            "document_tokens": self._document_tokens,
        }

    def estimate(self, documents: Sequence[Document]) -> Estimate:
        """What the queries would cost if every reply can be read; nothing is asked."""
        return self.llm.estimate([self._prompt.request(self._values(document)) for document in documents])

    def make(self, documents: Sequence[Document], each: int, seed: int) -> list[Made]:
        if each != self._each:
            raise InputError(f"this generator makes {self._each} queries a document, not {each}")
        items = [self._values(document) for document in documents]
        told = ask_each(self.llm, self._prompt, items, _read, f"queries: {self.name}")
        return [
            Made(document, [] if one.value is None else _distinct(one.value)[:each], one.error)
            for document, one in zip(documents, told, strict=True)
        ]

    def _values(self, document: Document) -> dict[str, str]:
        title = document.fields.get("title", "").strip()
        text = document.text if document.text.startswith(title) else f"{title}\n{document.text}"
        return {"count": str(self._each), "document": shortened(text, self._document_tokens)}


def _read(found: dict[str, Any]) -> list[Query]:
    rows = found.get("questions")
    if found.keys() != {"questions"} or not isinstance(rows, list):
        raise ValueError(f"has not the one field questions: {found!r:.80}")
    return [_query(row) for row in rows]


def _query(row: Any) -> Query:
    if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in ("kind", "question")):
        raise ValueError(f"has a question that is no kind and text: {row!r:.80}")
    kind, text = row["kind"].strip().casefold(), " ".join(row["question"].split())
    if kind not in KINDS:
        raise ValueError(f"has a question of the kind {kind!r:.40}")
    if not normalised(text):
        raise ValueError("has a question without a word")
    return Query(text.encode(errors="replace").decode(), kind)


def _distinct(queries: Sequence[Query]) -> list[Query]:
    return list({normalised(query.text): query for query in reversed(queries)}.values())[::-1]


def _schema() -> dict[str, Any]:
    question = {
        "type": "object",
        "properties": {"kind": {"type": "string", "enum": list(KINDS)}, "question": {"type": "string"}},
        "required": ["kind", "question"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"questions": {"type": "array", "items": question}},
        "required": ["questions"],
        "additionalProperties": False,
    }
