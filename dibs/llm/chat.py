"""What a chat model is: requests in, replies out, each paid for once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dibs import plugins
from dibs.cards.model import LLMCard
from dibs.errors import DibsError, InputError


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: str
    """`system`, `user` or `assistant`."""
    content: str


@dataclass(frozen=True)
class Request:
    """What a chat model is asked."""

    messages: tuple[Message, ...]
    max_tokens: int
    """The longest answer."""
    schema: dict[str, Any] | None = None
    """A JSON schema that the answer has to fit, where the server can constrain it."""
    top_logprobs: int = 0
    """How many of each token's likeliest rivals are asked for; 0 is none."""


@dataclass(frozen=True)
class Token:
    """One token of an answer, and how likely it and its rivals were."""

    text: str
    logprob: float
    rivals: dict[str, float]
    """The likeliest tokens at that place, itself perhaps among them, with their log-probabilities."""


@dataclass(frozen=True)
class Reply:
    """What a chat model answered."""

    text: str
    finish: str
    """`stop`; `length` for an answer that was cut off; or another of the provider's words."""
    prompt_tokens: int | None
    """None where the server did not say."""
    completion_tokens: int | None
    tokens: tuple[Token, ...] = ()
    """With log-probabilities, where they were asked for and the server gives them."""
    cached: bool = False
    """Whether it was in the cache: nothing was paid for it now."""


@dataclass(frozen=True)
class Asked:
    """The reply to one of several requests, or what went wrong."""

    position: int
    """Which request it is of."""
    reply: Reply | DibsError


@dataclass(frozen=True)
class Estimate:
    """What requests would cost; those whose replies are at hand are left out."""

    requests: int
    """Those to send; equal ones are sent once."""
    cached: int
    """Those that cost nothing: their replies are at hand, or will be with that of an equal one."""
    prompt_tokens: int
    completion_tokens: int
    """At most: every answer as long as it may be."""
    usd: float | None
    """None where the card has no price."""
    exact: bool
    """Whether the tokens were counted by the model's own tokenizer."""
    batch_usd: float | None = None
    """The same through the provider's batch interface; None where it has none."""


@dataclass
class Spent:
    """What was asked of a chat model since it was made."""

    requests: int = 0
    """Those sent, in vain or not; one that was tried again counts once."""
    cached: int = 0
    """Those that cost nothing: their replies were at hand, or came with that of an equal one."""
    failed: int = 0
    """Those without a reply, and those that were given up unsent."""
    prompt_tokens: int = 0
    """As the server counts; 0 for replies that do not say, and for failed requests."""
    completion_tokens: int = 0
    usd: float | None = None
    """None where the card has no price, or a reply did not say its tokens."""


class ChatModel(Protocol):
    """A chat model behind a card. Any adapter of the plugin kind `llm` is one."""

    name: str
    spent: Spent

    def settings(self) -> dict[str, Any]:
        """Everything that changes a reply besides the request, as JSON values; no key."""

    def ask(self, requests: Sequence[Request], label: str = "") -> Iterator[Asked]:
        """Each reply as soon as it is there, in whatever order; replies are kept in the cache at once.

        A request that fails after retries comes as its error and is not kept.

        Args:
            label: What the progress bar says; empty shows none.

        Raises:
            MissingError: the key is missing or refused: no request can succeed.
        """

    def estimate(self, requests: Sequence[Request]) -> Estimate:
        """What `ask` would cost; nothing is asked."""


def make_llm(card: LLMCard, cache: Path, *, batch: bool = False) -> ChatModel:
    """The chat model that a card describes.

    Args:
        cache: The folder of all that DIBS keeps, as `Workspace.cache`.
        batch: Ask through the provider's batch interface; `ask` then ends in a PendingError while
            anything is still with the provider.

    Raises:
        InputError: no adapter has the card's name for it, or the card cannot be used.
        MissingError: a package, or a variable of the card's address, is missing.
    """
    made: ChatModel = plugins.adapter("llm", card)(card, cache)
    if batch:
        if not hasattr(made, "use_batches"):
            problem = f"the adapter {card.adapter} has no batch interface"
            raise InputError(problem, where=card.name, todo="Run without --batch-api.")
        made.use_batches()
    return made
