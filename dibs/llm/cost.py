"""What requests cost: counted before they are sent, and charged when they are answered."""

from __future__ import annotations

from collections.abc import Sequence

from dibs.cards.model import LLMCard
from dibs.errors import MissingError
from dibs.files import canonical_json
from dibs.llm.chat import Request
from dibs.llm.tokens import CharacterTokenizer, Tokenizer, make_tokenizer

_A_MESSAGE, _A_REQUEST = 4, 3
"""Tokens around each message, and before the answer, in OpenAI's form; other chat templates have as many."""


def tokenizer_of(card: LLMCard) -> Tokenizer:
    """The card's tokenizer; estimates by characters where it cannot be had.

    Raises:
        InputError: the card names none that there is.
    """
    try:
        return make_tokenizer(card.tokenizer)
    except MissingError:
        return CharacterTokenizer()


def prompt_tokens(requests: Sequence[Request], tokenizer: Tokenizer) -> int:
    """The tokens that all requests have together; a schema counts as the text it is."""
    texts = [message.content for request in requests for message in request.messages]
    schemas = [canonical_json(request.schema) for request in requests if request.schema is not None]
    around = _A_MESSAGE * len(texts) + _A_REQUEST * len(requests)
    return sum(tokenizer.count(texts + schemas)) + around


def price(card: LLMCard, read: int | None, written: int | None) -> float | None:
    """US dollars for tokens read and written; None if a price or a count is not known."""
    prices = (card.usd_per_million_tokens, card.usd_per_million_output_tokens)
    if read is None or written is None or prices[0] is None or prices[1] is None:
        return None
    return (read * prices[0] + written * prices[1]) / 1_000_000


def batch_price(card: LLMCard, read: int | None, written: int | None) -> float | None:
    """The same through the provider's batch interface; the full price where the card knows no discount."""
    full = price(card, read, written)
    return None if full is None else full * (1 - (card.batch_discount or 0.0))


def at_batch_price(card: LLMCard) -> LLMCard:
    """The card as one who uses the batch interface pays."""
    names = ("usd_per_million_tokens", "usd_per_million_output_tokens")
    share = 1 - (card.batch_discount or 0.0)
    prices = {name: value * share for name in names if (value := getattr(card, name)) is not None}
    return card.model_copy(update=prices)
