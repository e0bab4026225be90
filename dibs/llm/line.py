"""How a chat model is reached: from this process, or through others."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from dibs.llm.http import Post
from dibs.llm.service import Service


class Line(NamedTuple):
    """How a model is reached."""

    service: Service
    post: Post


class Relay(Protocol):
    """Other processes that send a model's requests."""

    about: dict[str, Any]
    """What a record says of them."""

    def line(self, own: Line, most: int) -> AbstractContextManager[Line]:
        """The way through them while the block runs, for `most` requests at once."""
