"""JSON over HTTP to a provider; failures become what `call` understands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from dibs.llm.calls import FailedCallError, check_reply
from dibs.retry import connected

Payload = dict[str, Any]
Post = Callable[[Payload], bytes]
"""Sends one request; gives the reply's body or raises FailedCallError. Any threads may call it."""


@contextmanager
def posting(address: str, key: str | None, *, timeout: float, connections: int) -> Iterator[Post]:
    """Connections to `address` while the block runs.

    Args:
        key: Sent as a bearer token; None sends none.
        timeout: Seconds without a byte after which a request has failed.
        connections: Requests under way at any time, at most.
    """
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    with connected(lambda: httpx.Client(headers=headers, timeout=timeout, limits=limits)) as client:

        def post(payload: Payload) -> bytes:
            try:
                reply = client.post(address, json=payload)
            except httpx.RequestError as error:
                raise FailedCallError(f"{type(error).__name__}: {error}") from None
            body = without(key, reply.content)
            check_reply(reply.status_code, reply.headers, body)
            return body

        yield post


def without(key: str | None, body: bytes) -> bytes:
    """What a server said, which is kept and shown: a key that it repeats is cut out."""
    return body.replace(key.encode(), b"***") if key else body
