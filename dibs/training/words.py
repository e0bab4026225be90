"""Words of documents and queries: how they are compared, how rare they are, and what stands out by them."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_STOP_TEXT = """
a about above after all also although am an and any are as at be because been before being below between
both but by can cannot could did do does doing done don't down during each either else etc even every
few for from further get go had has have having he her here hers him his how however i if in into is it
it's its itself just like made make many may me might more most much must my need no nor not now of off
on once one only onto or other our out over own per please same see shall she should so some such than
that the their them then there these they this those through thus to too two under until up upon us use
used using very via was we well were what when where whether which while who whom whose why will with
within without would yes yet you your
"""
STOP = frozenset(_STOP_TEXT.split())
"""Words that say nothing of what a text is about."""

_WORD = re.compile(r"\w+")
_HEAD = re.compile(
    r"\b(?:the|a|an|my|your|this|its|our|each|any)\s+(?:[a-z][\w-]*\s+)?([a-z][\w+/&'-]*\w)"
    r"(?=\s*[,.;:!?)]|\s+(?:is|are|was|were|be|to|of|in|on|and|or|for|with|from|at|as|that|which|has|have|will|"
    r"can|by|not|into|when|if|you|i|it)\b)",
    re.IGNORECASE,
)
"""The last word of what an article begins: a noun, nearly always."""
_TERM = re.compile(r"[^\W\d_][\w.+/&'-]*\w")


def normalised(text: str) -> str:
    """`text` without letter case, punctuation and repeated blanks, in one Unicode form (NFKC)."""
    return " ".join(words(text))


def words(text: str) -> list[str]:
    """The words of a text, normalised."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


_ENOUGH = 100
"""Documents from which on it is known which words are frequent."""


@dataclass(frozen=True)
class Rarity:
    """In how many of some documents each word stands."""

    documents: int
    found_in: Counter[str]
    """Words without letter case."""
    small_in: Counter[str]
    """Words as they are written in small letters: names are not among them."""
    noun_in: Counter[str]
    """Words without letter case, where they end what an article begins."""

    @classmethod
    def of(cls, texts: Iterable[str]) -> Rarity:
        """Count the words of documents."""
        found: Counter[str] = Counter()
        small: Counter[str] = Counter()
        nouns: Counter[str] = Counter()
        documents = 0
        for documents, text in enumerate(texts, start=1):  # noqa: B007 - the last is how many there are
            spelled = set(_TERM.findall(text))
            found.update({word.casefold() for word in spelled})
            small.update({word for word in spelled if word.islower()})
            nouns.update({word.casefold() for word in _HEAD.findall(text)})
        return cls(documents, found, small, nouns)

    def idf(self, word: str) -> float:
        """Inverse document frequency, smoothed: log((n + 1) / (df + 1)); 0 for a stop word."""
        key = word.casefold()
        return 0.0 if key in STOP else math.log((self.documents + 1) / (self.found_in[key] + 1))

    def lowered(self, text: str) -> str:
        """A heading or label as it stands inside a sentence: words that others write small are small."""
        return _TERM.sub(lambda word: word[0].lower() if self._is_common(word[0]) else word[0], text)

    def is_noun(self, word: str) -> bool:
        """Whether a word names a thing: an identifier, or one that ends what an article begins at times."""
        if any(c.isdigit() or c in "_/+" for c in word) or word[1:] != word[1:].lower():
            return len(word) > 2
        key = word.casefold()
        return self.noun_in[key] > 1 and 5 * self.noun_in[key] > self.found_in[key]

    def is_frequent(self, word: str) -> bool:
        """Whether more than a tenth of the documents have the word; of few documents nobody can say."""
        return self.documents >= _ENOUGH and 10 * self.found_in[word.casefold()] > self.documents

    def _is_common(self, word: str) -> bool:
        key = word.casefold()
        return key in STOP or 4 * self.small_in[key] > self.found_in[key]

    def mean(self, text: str) -> float:
        """The mean idf of a phrase's words that are not stop words; 0 where it has none."""
        values = [self.idf(word) for word in _TERM.findall(text) if word.casefold() not in STOP]
        return sum(values) / len(values) if values else 0.0


def terms(text: str, rarity: Rarity, most: int = 8) -> list[str]:
    """What a text is about: nouns, and pairs of words that end in one, by their counts times idf.

    A pair counts from its second time on, and stands for its words. The first spelling is kept.
    """
    counts: Counter[str] = Counter()
    spelled: dict[str, str] = {}
    for line in re.split(r"[\n.,;:!?()\[\]{}\"|]+", text):
        found = [word for word in line.split() if _TERM.fullmatch(word)]
        for size in (1, 2):
            for at in range(len(found) - size + 1):
                some = found[at : at + size]
                if any(word.casefold() in STOP or len(word) > 30 for word in some):
                    continue
                if not rarity.is_noun(some[-1]) or (size == 1 and rarity.is_frequent(some[0])):
                    continue
                phrase = " ".join(some)
                key = phrase.casefold()
                spelled.setdefault(key, phrase)
                counts[key] += 1

    def weight(key: str) -> float:
        named = 1.5 if not spelled[key].islower() else 1.0  # a name, an identifier: what people ask about
        return named * (1 + math.log(counts[key])) * sum(map(rarity.idf, key.split()))

    pairs = {key for key, count in counts.items() if " " in key and count > 1}
    covered = {word for key in pairs for word in key.split()}
    best = sorted(
        (key for key in counts if (key in pairs or " " not in key) and key not in covered and len(key) > 2),
        key=lambda key: (-weight(key), key),
    )
    return [spelled[key] for key in best[:most] if weight(key) > 0]


def copied(query: str, sentences: Sequence[str]) -> bool:
    """Whether a whole sentence, of four words or more, stands in the query word for word."""
    asked = f" {normalised(query)} "
    return any(len(words(one)) > 3 and f" {normalised(one)} " in asked for one in sentences)
