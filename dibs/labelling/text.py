"""Documents as they are shown: as text alone, with the query's words marked."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

LONGEST = 20_000
"""Characters of a document that are shown."""
_WORD = re.compile(r"(\w+)")


class Piece(NamedTuple):
    """A part of a text, and whether it is a word of the query."""

    text: str
    marked: bool


def plain(text: str) -> str:
    """The text without what a terminal would obey or what turns its direction; lines stay lines."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def pieces(text: str, query: str) -> list[Piece]:
    """The text, cut to `LONGEST`, in parts; a word is the query's if both have one stem, as BM25 has it."""
    cut = text[:LONGEST]
    wanted = _stems(query)
    found: list[Piece] = []
    for place, part in enumerate(_WORD.split(plain(cut))):
        marked = place % 2 == 1 and _stem(part.lower()) in wanted
        if found and found[-1].marked == marked:
            found[-1] = Piece(found[-1].text + part, marked)
        elif part:
            found.append(Piece(part, marked))
    if len(cut) < len(text):
        found.append(Piece(f" ... (cut: {len(text) - len(cut):,} more characters)", False))
    return found


@cache
def _stems(query: str) -> frozenset[str]:
    from bm25s.stopwords import STOPWORDS_EN

    words = (word.lower() for word in _WORD.findall(query))
    return frozenset(_stem(word) for word in words if word not in STOPWORDS_EN and len(word) > 1)


def _stem(word: str) -> str:
    stem: str = _stemmer().stemWord(word)
    return stem


@cache
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english")
