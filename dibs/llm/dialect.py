"""What a server of `/chat/completions` does not take, learned from its refusals."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable

from dibs.llm.calls import FailedCallError
from dibs.llm.http import Payload, Post

_PARTS = {
    "response_format": "response_format",
    "logprobs": "logprobs",
    "top_logprobs": "logprobs",
    "max_tokens": "max_tokens",
    "temperature": "temperature",
}
"""Fields that some servers refuse, and the part of a request that each is of."""
_WORDS = {
    "max_tokens": ("max_completion_tokens",),
    "temperature": ("temperature",),
    "logprobs": ("logprobs",),
    "response_format": ("response_format", "json_schema", "schema"),
}
"""What a refusal of a part says; one that names several, as not going together, is first about the first."""
_UNNAMED = ("response_format", "logprobs")
"""Parts that are tried to be left out, one after the other, if a refusal names none."""


class Dialect:
    """Sends requests as one server takes them: without `response_format`, `logprobs` or `temperature`, or
    with `max_completion_tokens` for `max_tokens` (OpenAI's newer models).

    A refusal (400 or 422) costs nothing, so the request is sent again without what the server may have
    meant. If that is taken, a warning says so, and the part is not sent again while the process runs.
    """

    def __init__(self, name: str, refused: frozenset[str] = frozenset()) -> None:
        """A server about which that is known.

        Args:
            name: What warnings call it.
            refused: The parts that it does not take.
        """
        self._name, self._refused = name, refused
        self._learning = threading.Lock()

    def send(self, post: Post, body: Payload, shown: Callable[[str], str]) -> bytes:
        """The reply's body.

        Args:
            shown: Makes what a server says fit to be printed.

        Raises:
            FailedCallError: as `post`; of a refusal, the last one.
        """
        left_out, said = self._refused, ""
        while True:
            try:
                reply = post(_without(body, left_out))
            except FailedCallError as failed:
                part = _suspect(body, left_out, failed)
                if part is None:
                    raise
                left_out |= {part}
                said = shown(failed.message)
            else:
                self._learn(left_out, said)
                return reply

    def spoken(self, body: Payload) -> Payload:
        """The request as the server takes it, by what is known of it."""
        return _without(body, self._refused)

    def _learn(self, left_out: frozenset[str], said: str) -> None:
        with self._learning:
            new = sorted(left_out - self._refused)
            self._refused |= left_out
        for part in new:
            problem = f"refuses {part}, and is asked without it from now on: {said}"
            warnings.warn(f"{self._name} {problem}", stacklevel=2)


def _without(body: Payload, parts: frozenset[str]) -> Payload:
    sent = {name: value for name, value in body.items() if _PARTS.get(name) not in parts}
    if "max_tokens" in parts and "max_tokens" in body:
        sent["max_completion_tokens"] = body["max_tokens"]
    return sent


def _suspect(body: Payload, left_out: frozenset[str], failed: FailedCallError) -> str | None:
    """The part of the request, among those that were sent, that the refusal is likeliest about."""
    if failed.status not in (400, 422):
        return None
    sent = {_PARTS[name] for name in body if name in _PARTS} - left_out
    said = failed.message.lower()
    named = [part for part, words in _WORDS.items() if any(word in said for word in words)]
    return next((part for part in (*named, *_UNNAMED) if part in sent), None)
