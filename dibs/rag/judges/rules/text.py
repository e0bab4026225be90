"""Sentences, terms, and the part of an answer that concludes."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Any

_ABBREVIATED = "".join(rf"(?<!\b{word}\.)" for word in ("[A-Z]", "Inc", "Corp", "Co", "Ltd", "Mr", "Ms", "Dr", "No", "vs"))
_SENTENCE = re.compile(rf"(?<=[.!?]){_ABBREVIATED}[\"')\]]*\s+(?=[\"'(\[$]*[A-Z0-9])|\s*\n\s*")
_CONCLUDES = re.compile(
    r"\b(therefore|thus|hence|consequently|accordingly|in conclusion|to conclude|in summary|to summari[sz]e"
    r"|overall|in short|the (?:final |correct )?answer is|round(?:ed|ing))\b|^\W*so\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+(?:[&'][^\W_]+)*")
_STOP = frozenset(
    "a an the this that these those it its itself they them their he she his her him we our us you your i my"
    " of in on at to from by for with within into onto over under about as per via than then and or but nor"
    " so if while because since during between among both either each all any some such other only own same"
    " is are was were be been being am do does did doing done has have had having will would shall should can"
    " could may might must which what who whom whose when where why how there here also more most very much"
    " due following based according provided information context company's answer question".split()
)


def sentences(text: str) -> list[str]:
    """The text's sentences and lines, in order, without those that are blank."""
    return [part.strip() for part in _SENTENCE.split(plain(text)) if part and part.strip()]


def plain(text: str) -> str:
    """The text in compatibility form, with plain quotes and spaces, and without Markdown's emphasis."""
    text = unicodedata.normalize("NFKC", text).replace("’", "'").replace("`", "").replace("**", "")
    return re.sub(r"[^\S\n]+", " ", text)


def conclusions(parts: list[str]) -> list[str]:
    """The sentences that say they conclude; without any, the first and the last."""
    return [part for part in parts if _CONCLUDES.search(part)] or parts[:1] + parts[1:][-1:]


@cache
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english")


def terms(text: str) -> set[str]:
    """Stems of the words that carry meaning, numbers left out."""
    words = (word.removesuffix("'s") for word in _WORD.findall(plain(text).lower()))
    return set(_stemmer().stemWords([w for w in words if w not in _STOP and not w[0].isdigit()]))
