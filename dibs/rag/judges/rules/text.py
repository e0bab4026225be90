"""Sentences, terms, and the part of an answer that concludes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any

_SHORT = "[A-Z] Inc Corp Co Ltd Mr Ms Dr No vs Jan Feb Mar Apr Aug Sep Sept Oct Nov Dec"
_ABBREVIATED = "".join(rf"(?<!\b{word}\.)" for word in _SHORT.split())
_SENTENCE = re.compile(rf"(?<=[.!?]){_ABBREVIATED}[\"')\]]*\s+(?=[\"'(\[$]*[A-Z0-9])|\s*\n\s*")
_CONCLUDES = re.compile(
    r"\b(?:therefore|thus|hence|consequently|accordingly|in conclusion|to conclude|in summary"
    r"|to summari[sz]e|overall|in short|the (?:final |correct )?answer is|round(?:ed|ing))\b|^\W*so\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+(?:[&'][^\W_]+)*")
_LONG = 6
"""Letters from which on a stem is also found in words written as one: `cashflow`, `cash flow`."""
_STOP_WORDS = """
    a an the this that these those it its itself they them their he she his her him we our us you your i my
    of in on at to from by for with within into onto over under about as per via than then and or but nor so
    if while because since during between among both either each all any some such other only own same is are
    was were be been being am do does did doing done has have had having will would shall should can could
    may might must which what who whom whose when where why how there here also more most very much due
    following based according provided information context answer question thousand million billion percent
"""
_STOP = frozenset(_STOP_WORDS.split())
_PLAIN = str.maketrans({"\u2019": "'", "\u2013": "-", "\u2212": "-", "\u2014": " - ", "`": None})


def plain(text: str) -> str:
    """The text in compatibility form (NFKC), with plain quotes, dashes and blanks, without Markdown's
    emphasis. The other functions here take such text."""
    text = unicodedata.normalize("NFKC", text).translate(_PLAIN).replace("**", "")
    return re.sub(r"[^\S\n]+", " ", text)


def sentences(text: str) -> list[str]:
    """The text's sentences and lines, in order, without those that are blank."""
    return [part.strip() for part in _SENTENCE.split(text) if part.strip()]


def conclusions(parts: Sequence[str]) -> list[str]:
    """The sentences that say they conclude; without any, the first and the last."""
    return [part for part in parts if _CONCLUDES.search(part)] or [*parts[:1], *parts[1:][-1:]]


def asked(question: str) -> str:
    """What of a question asks: its sentences with a question mark, or all of it."""
    return " ".join(part for part in sentences(question) if "?" in part) or question


@cache
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english")


class Terms:
    """The words of a text that carry meaning, as stems; numbers are no terms.

    `in` also finds a long stem in words that are written apart, or as one.
    """

    def __init__(self, text: str) -> None:
        text = text.lower()
        words = (word.removesuffix("'s") for word in _WORD.findall(text))
        chosen = [word for word in words if word not in _STOP and not word[0].isdigit()]
        self.stems = frozenset(_stemmer().stemWords(chosen))
        self._squeezed = re.sub(r"\W+", "", text)

    def __contains__(self, stem: str) -> bool:
        return stem in self.stems or (len(stem) >= _LONG and stem in self._squeezed)

    def share(self, stems: frozenset[str]) -> float:
        """The share of `stems` that are here, 0 of none."""
        return sum(stem in self for stem in stems) / max(1, len(stems))

    def beyond(self, other: Terms) -> frozenset[str]:
        """The stems that `other` lacks."""
        return frozenset(stem for stem in self.stems if stem not in other)


def tokens(text: str) -> frozenset[str]:
    """Words and numbers as they stand, these without the ending of `1st`."""
    return frozenset(re.findall(r"\d+|[^\W\d_]+", re.sub(r"(?<=\d)(?:st|nd|rd|th)\b", "", text.lower())))
