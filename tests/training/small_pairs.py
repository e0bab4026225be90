"""Pairs over the vocabulary of the small local model: three words, and the same words backwards."""

from __future__ import annotations

from itertools import permutations
from typing import Any

from dibs.training.pairs import Pair, PairSet
from tests.encoders.local_models import WORDS

DOCUMENTS = [" ".join(words) for words in permutations(WORDS[4:10], 3)][::3]
"""Forty texts, no two of the same words in the same order."""


def small_pairs(train: int = 16, development: int = 6, **manifest: Any) -> PairSet:
    """Pairs of the first documents; the last of them are held out, each a group of its own."""
    pairs = [
        Pair(
            query=" ".join(reversed(text.split())),
            document_id=f"d{place}",
            document=text,
            kind="lookup",
            group=f"g{place}",
            split="train" if place < train else "development",
        )
        for place, text in enumerate(DOCUMENTS[: train + development])
    ]
    return PairSet("small", pairs, {"files": {"pairs.jsonl.gz": "0" * 64}, "task": None} | manifest)
