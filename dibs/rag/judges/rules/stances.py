"""Which side an answer takes: yes or no, more or less, that there is none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dibs.rag.judges.rules.text import Terms, conclusions

Side = Literal["yes", "no"]
_DENIES = re.compile(
    r"\b(?:no(?! (?:doubt|question|wonder))|not(?! only)|none|never|neither|nor|nothing|without|cannot"
    r"|unlikely|rather than)\b|n't\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"(?:\b(?:not(?! only)|never|rather than|instead of|except)\b|n't\b)[^,;.:()]*?(?=\bbut\b|[,;.:()]|$)",
    re.IGNORECASE,
)
_OPENING = re.compile(r"^\W*(yes|no|true|false)\b(?=\s*[,.;:!]|\s*$|\s+-)", re.IGNORECASE)
_SAYS = re.compile(
    r"^\W*(?:(?:therefore|so|thus|overall|hence|in (?:summary|conclusion|short)"
    r"|(?:based on|according to|as of)[^,]*),?\s*)?(?P<plain>yes|no|true|false)\b(?=\s*[,.;:!]|\s*$|\s+-)"
    r"|\banswer(?:\s+to\s+[^.]{0,80})?\s+is\s*:?\s*[\"']?(?P<named>yes|no|true|false)\b",
    re.IGNORECASE,
)
_UP = Terms(
    "increase improve improvement improving grow grew grown growth rise rose risen high higher expand gain up"
).stems
_DOWN = Terms(
    "decrease decline fall fell fallen drop lower low reduce reduction worsen shrink shrank contract down"
    " deteriorate"
).stems


@dataclass(frozen=True)
class Stance:
    """The side that an answer takes, and the sentence that says so."""

    side: Side
    sentence: str
    on_topic: float
    """The share of the question's terms in that sentence; 1 for a plain yes or no."""


def opening(text: str) -> Side | None:
    """The yes or no, true or false, that a text begins with."""
    found = _OPENING.match(text)
    return None if found is None else _side(found[1])


def denies(sentence: str) -> bool:
    """Whether it says that something is not, or that there is none."""
    return bool(_DENIES.search(sentence))


def undenied(text: str) -> str:
    """The text without what it says is not so, up to the next comma, full stop or `but`."""
    return _DENIED.sub(" ", text)


def opposed(one: Terms, other: Terms) -> bool:
    """Whether one goes up alone and the other goes down alone."""
    return {_way(one), _way(other)} == {"up", "down"}


def stance(question: str, parts: Sequence[str], clear: Sequence[str]) -> Stance | None:
    """A yes or no where one is said; else the side of the concluding sentence nearest to the question.

    That sentence takes the side "no" if it denies, or if it goes down where the question goes up.

    Args:
        question: What is asked.
        parts: The answer's sentences.
        clear: Those of them that do not refuse to answer.
    """
    for part in [*parts[:2], *conclusions(parts)]:
        if found := _SAYS.search(part):
            return Stance(_side(found["plain"] or found["named"]), part, 1.0)
    topic = Terms(question)
    best: Stance | None = None
    for part in [*clear[:1], *conclusions(clear)]:
        here = Terms(part)
        share = here.share(topic.stems)
        if best is None or share > best.on_topic:
            best = Stance("no" if denies(part) or opposed(topic, here) else "yes", part, share)
    return best


def _side(word: str) -> Side:
    return "yes" if word.lower() in ("yes", "true") else "no"


def _way(terms: Terms) -> Literal["up", "down"] | None:
    up, down = bool(terms.stems & _UP), bool(terms.stems & _DOWN)
    return None if up == down else "up" if up else "down"
