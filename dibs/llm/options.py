"""The options of a chat model's card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dibs.cards.model import LLMCard
from dibs.errors import InputError, unknown
from dibs.llm.http import Payload

_REQUEST = "request."
_FIELDS = ("max_tokens", "max_completion_tokens")
_KINDS: dict[str, type] = {
    "json_schema": bool,
    "logprobs": bool,
    "temperature": bool,
    "max_tokens_field": str,
    "concurrency": int,
    "timeout": float,
    "batch_requests": int,
}
_SAID = {bool: "true or false", str: "text", int: "a whole number above 0", float: "a number above 0"}
_QUIET = frozenset({"concurrency", "timeout", "batch_requests"})


@dataclass(frozen=True)
class ChatOptions:
    """How a server is asked.

    As a card's options:

        request.NAME      a further field of every request, such as request.seed or request.top_p
        json_schema       false: the server cannot constrain an answer to a schema
        logprobs          false: it gives no log-probabilities
        temperature       false: it takes no temperature
        max_tokens_field  `max_completion_tokens` for a server that wants it in place of `max_tokens`
        concurrency       requests under way at any time, at most (32)
        timeout           seconds without a byte after which a request has failed (120)
        batch_requests    requests in one batch of `--batch-api`, at most (what the provider takes)

    The second to the fifth are found out by asking, where the card does not say.
    """

    extra: Payload
    """Fields that are put into every request."""
    refused: frozenset[str]
    """Parts of a request that the server does not take, as `Dialect` calls them."""
    concurrency: int
    timeout: float | None
    batch_requests: int | None
    telling: dict[str, Any]
    """Those that change replies, as the card has them."""


def read_options(card: LLMCard, more: Mapping[str, type], quiet: frozenset[str] = frozenset()) -> ChatOptions:
    """The options of `card`.

    Args:
        more: Options of the adapter alone, and their types.
        quiet: Those of them that change no reply.

    Raises:
        InputError: an option is unknown, or its value cannot be used.
    """
    kinds = _KINDS | dict(more)
    for name, value in card.options.items():
        if name.startswith(_REQUEST):
            continue
        if name not in kinds:
            raise unknown(f"option of the adapter {card.adapter}", name, [*kinds, f"{_REQUEST}NAME"])
        if not _fits(value, kinds[name]):
            raise InputError(f"option {name} is {value!r}, not {_SAID[kinds[name]]}", where=card.name)
    options: dict[str, Any] = card.options
    field = options.get("max_tokens_field", _FIELDS[0])
    if field not in _FIELDS:
        raise unknown("field for the longest answer", field, _FIELDS)
    said = {"response_format": "json_schema", "logprobs": "logprobs", "temperature": "temperature"}
    refused = {part for part, option in said.items() if not options.get(option, True)}
    return ChatOptions(
        extra={name.removeprefix(_REQUEST): options[name] for name in options if name.startswith(_REQUEST)},
        refused=frozenset(refused | ({_FIELDS[0]} if field != _FIELDS[0] else set())),
        concurrency=options.get("concurrency", 32),
        timeout=options.get("timeout"),
        batch_requests=options.get("batch_requests"),
        telling={name: options[name] for name in sorted(options.keys() - _QUIET - quiet)},
    )


def _fits(value: str | float | bool, kind: type) -> bool:
    if isinstance(value, (bool, str)):
        return type(value) is kind
    return isinstance(value, (int, kind)) and kind in (int, float) and value > 0
