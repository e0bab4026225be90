"""Chunks: windows of so many tokens over a part's text, each beginning so many after the one before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dibs.data.rows import Row
from dibs.errors import InputError
from dibs.llm.tokens import Tokenizer
from dibs.rag.pieces import PIECES, passage_tokenizer

_CHARACTERS = 8
"""Of a token, at most, in the first try to find where a window ends."""
_WORD = 64
"""Characters within which a window's end is moved back to the last blank, so that no word is cut."""


@dataclass(frozen=True)
class Chunks:
    """How parts are cut into chunks."""

    tokens: int
    stride: int
    """Tokens from a chunk's beginning to the next one's; fewer than `tokens` lets them overlap."""
    tokenizer: str = PIECES

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= self.tokens:
            raise InputError(
                f"chunks of {self.tokens} tokens that begin every {self.stride}",
                todo="The stride is from 1 to the chunk's length: beyond it, text would be in no chunk.",
            )

    @property
    def overlap(self) -> bool:
        """Whether a text can be in two chunks."""
        return self.stride < self.tokens

    def settings(self) -> dict[str, Any]:
        """Everything that changes a chunk."""
        return {"tokens": self.tokens, "stride": self.stride, "tokenizer": self.tokenizer, "version": 1}

    @cached_property
    def _cutter(self) -> Tokenizer:
        return passage_tokenizer(self.tokenizer)

    def divide(self, part: Row) -> Iterator[Row]:
        """The chunks of a part, numbered from 1; one that is empty has one, empty too."""
        for number, text in enumerate(windows(part.values["text"], self, self._cutter), start=1):
            yield Row({**part.values, "id": f"{part.values['id']}#c{number}", "text": text}, part.where)


def windows(text: str, chunks: Chunks, cutter: Tokenizer) -> Iterator[str]:
    """The windows over a text. Each ends at a blank, if one is near; every word is in one of them.

    Raises:
        InputError: a chunk's tokens are too few to hold a single one of the text's.
    """
    end_of_text, begin = len(text.rstrip()), len(text) - len(text.lstrip())
    if begin >= end_of_text:
        yield ""
    while begin < end_of_text:
        end = _end(text, begin, chunks.tokens, cutter)
        yield text[begin:end].strip()
        if end >= end_of_text:
            return
        begin = end if not chunks.overlap else _end(text, begin, chunks.stride, cutter)
        while text[begin].isspace():
            begin += 1


def _end(text: str, begin: int, tokens: int, cutter: Tokenizer) -> int:
    """Where the longest window of so many tokens that begins there ends."""
    size = _CHARACTERS * tokens
    while len(cut := cutter.cut(piece := text[begin : begin + size], tokens)) == len(piece):
        if begin + size >= len(text):
            return len(text)
        size *= 2
    end = begin + len(cut)
    if end == begin:
        raise InputError(f"a chunk or stride of {tokens} tokens holds no text", todo="Make it longer.")
    if not text[end - 1].isspace() and not text[end].isspace():
        blanks = list(re.finditer(r"\s", text[max(begin + 1, end - _WORD) : end]))
        if blanks:
            end = max(begin + 1, end - _WORD) + blanks[-1].start()
    return end
