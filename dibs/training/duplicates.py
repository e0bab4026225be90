"""Near-duplicate queries: those that share nearly all their words and every number."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from dibs.errors import InputError
from dibs.training.words import words


def near_duplicates(texts: Sequence[str], threshold: float) -> dict[int, int]:
    """The place of each text that is close to an earlier one, to the place of that one.

    Two texts are close if their sets of words have a Jaccard similarity of `threshold` or more, and the same
    words with a digit: queries that differ in a year are different queries. What is close to a text that
    was itself left out is kept, unless it is close to one that stays. Found exactly, by the prefix filter
    (Chaudhuri, Ganti and Kaushik, ICDE 2006): two sets this similar share a word among the rarest of each.

    Raises:
        InputError: the threshold is not above 0 and at most 1.
    """
    if not 0 < threshold <= 1:
        raise InputError(f"the similarity of near-duplicates is {threshold}, not above 0 and at most 1")
    sets = [frozenset(words(text)) for text in texts]
    known = Counter(word for some in sets for word in some)
    numbers = [frozenset(word for word in some if any(c.isdigit() for c in word)) for some in sets]
    by_word: dict[str, list[int]] = defaultdict(list)
    found: dict[int, int] = {}
    for place, some in enumerate(sets):
        rarest = sorted(some, key=lambda word: (known[word], word))
        prefix = rarest[: len(some) - math.ceil(threshold * len(some) - 1e-9) + 1]
        earlier = sorted({other for word in prefix for other in by_word[word]})
        for other in earlier:
            if numbers[place] == numbers[other] and _jaccard(some, sets[other]) >= threshold:
                found[place] = other
                break
        else:
            for word in prefix:
                by_word[word].append(place)
    return found


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    union = len(one | other)
    return len(one & other) / union if union else 1.0
