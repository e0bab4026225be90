"""The passages that a generator is given: beginnings of documents, as data that cannot pass for more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from dibs.data.dataset import Dataset
from dibs.errors import InputError
from dibs.rag.pieces import PIECES, passage_tokenizer

Order = Literal["rank", "reverse", "sides"]
TEMPLATE = "{title}\n{text}"
"""A passage's text, whatever template the retriever indexed."""
NOTHING = "(No passage was found.)"

_TAG = re.compile(r"<(?=[^\w<>]*(?:passage|question)\b)", re.IGNORECASE)


@dataclass(frozen=True)
class Cut:
    """How many documents are given, how long, and in which order."""

    k: int = 10
    tokens: int = 512
    tokenizer: str = PIECES
    order: Order = "rank"
    """`rank`: the best first; `reverse`: the best last, next to the question; `sides`: the best at both
    ends, the worst in the middle."""

    def __post_init__(self) -> None:
        if self.k < 1 or self.tokens < 1:
            raise InputError(f"{self.k} passages of {self.tokens} tokens: both are to be at least 1")
        if self.order not in get_args(Order):
            raise InputError(
                f"no order is called {self.order!r}", todo=f"Known: {', '.join(get_args(Order))}."
            )

    def settings(self) -> dict[str, Any]:
        """Everything that changes the passages of given documents."""
        return {
            "k": self.k,
            "tokens": self.tokens,
            "tokenizer": self.tokenizer,
            "order": self.order,
            "template": TEMPLATE,
        }


def inert(text: str) -> str:
    """The text, unable to begin or end a part of the prompt."""
    return _TAG.sub("&lt;", text)


def ordered(documents: Sequence[str], order: Order) -> list[str]:
    """Ranked documents, best first, in the order they are given in."""
    if order == "reverse":
        return list(documents[::-1])
    if order == "sides":
        return [*documents[::2], *documents[1::2][::-1]]
    return list(documents)


@dataclass
class Passages:
    """Makes the part of a prompt that holds passages; a document is cut once however often it is given."""

    dataset: Dataset
    cut: Cut

    def __post_init__(self) -> None:
        self._tokenizer = passage_tokenizer(self.cut.tokenizer)
        self._texts: dict[str, str] = {}
        self._shortened: set[str] = set()

    def text(self, document: str) -> str:
        """A document's passage.

        Raises:
            InputError: the data has no such document.
        """
        if document not in self._texts:
            whole = TEMPLATE.format(**self.dataset.document(document)).strip()
            kept = self._tokenizer.cut(whole, self.cut.tokens)
            if len(kept) < len(whole):
                self._shortened.add(document)
            self._texts[document] = inert(kept)
        return self._texts[document]

    def is_cut(self, document: str) -> bool:
        """Whether a document is longer than a passage."""
        self.text(document)
        return document in self._shortened

    def render(self, documents: Sequence[str]) -> str:
        """The passages of ranked documents, best first, in the order that was chosen, numbered as shown."""
        texts = [self.text(name) for name in ordered(documents, self.cut.order)]
        numbered = (
            f'<passage number="{place}">\n{text}\n</passage>' for place, text in enumerate(texts, start=1)
        )
        return "\n\n".join(numbered) or NOTHING
