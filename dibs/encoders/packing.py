"""Texts as an embedding API is sent them: cut to what the model reads, and packed into requests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dibs.encoders.base import IntArray
from dibs.llm.tokens import Tokenizer


def cut_texts(
    texts: Sequence[str], prompt: str, tokenizer: Tokenizer, max_tokens: int
) -> tuple[IntArray, list[str]]:
    """(n,) tokens of whole texts, the prompt included, and what is sent of each: empty if nothing is."""
    whole = [prompt + text if text.strip() else "" for text in texts]
    counts = tokenizer.count(whole)
    tokens = np.array(
        [count if text else 0 for count, text in zip(counts, whole, strict=True)], dtype=np.int64
    )
    sent = [
        text if count <= max_tokens else tokenizer.cut(text, max_tokens)
        for text, count in zip(whole, tokens, strict=True)
    ]
    return tokens, [text if text.strip() else "" for text in sent]


def packed(sent: Sequence[str], tokens: IntArray, size: int, most: int | None) -> list[IntArray]:
    """Places of the texts of each request, in order; empty texts are in none.

    Args:
        tokens: (n,) of what is sent.
        size: Texts in a request, at most.
        most: Tokens in one, at most; a longer text goes alone. None is no limit.
    """
    packs: list[list[int]] = []
    room = 0
    for place in (place for place, text in enumerate(sent) if text):
        need = int(tokens[place])
        if not packs or len(packs[-1]) == size or (most is not None and need > room):
            packs.append([])
            room = most or 0
        packs[-1].append(place)
        room -= need
    return [np.array(pack, dtype=np.int64) for pack in packs]
