"""The tokenizer that cuts passages: a rule that needs no file, so that a cut is the same everywhere."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dibs.errors import MissingError
from dibs.llm.tokens import Tokenizer, make_tokenizer

PIECES = "pieces.v1"

_PIECE = re.compile(
    r"\d{1,3}"  # digits by threes, as OpenAI's encodings have them
    r"|[\u2e80-\U0010ffff]"  # scripts without blanks between words, and emoji: each character
    r"|[A-Z]?[^\W\d_A-Z\u2e80-\U0010ffff]{1,9}"  # a word, with its capital; what is longer is several
    r"|[A-Z]{1,4}"
    r"|_+|[^\w\s]{1,3}|[\r\n]+"  # other blanks belong to the piece before
)


class PieceTokenizer:
    """Words of up to 9 letters, numbers of up to 3 digits, short runs of signs: one piece each.

    It stands for the tokenizers of today's models without a download. On English texts it gives about as
    many pieces as OpenAI's `o200k_base` gives tokens: 1.01 times as many on FinanceBench's pages, 1.02 on
    DocsQA-Open's, 1.04 on ManufactQA-Open's (300 documents of each; standard deviation of one document .07).
    """

    exact = True

    def count(self, texts: Sequence[str]) -> list[int]:
        return [sum(1 for _ in _PIECE.finditer(text)) for text in texts]

    def cut(self, text: str, limit: int) -> str:
        for number, piece in enumerate(_PIECE.finditer(text), start=1):
            if number > limit:
                return text[: piece.start()].rstrip()
        return text


def passage_tokenizer(name: str) -> Tokenizer:
    """The tokenizer of that name: `pieces.v1`, or any that a model's card may name.

    Raises:
        InputError: there is none; MissingError: it cannot be downloaded.
    """
    if name == PIECES:
        return PieceTokenizer()
    try:
        return make_tokenizer(name)
    except MissingError as error:
        todo = f"Run once with a network, or leave it out: {PIECES} needs no file."
        raise MissingError(error.problem, where="--tokenizer", todo=todo) from None
