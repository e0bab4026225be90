from __future__ import annotations

import httpx
import pytest

from dibs.llm.calls import FailedCallError
from dibs.llm.http import posting
from tests.api_server import DROPPED, status
from tests.encoders.api_server import serving

KEY = "sk-a-key-that-nobody-may-see"


def test_json_is_posted_with_the_key_and_the_body_comes_back() -> None:
    with serving() as server, posting(f"{server.url}/embeddings", KEY, timeout=5, connections=2) as post:
        assert b'"data"' in post({"input": ["a text"]})
        assert server.asked[0].authorization == f"Bearer {KEY}"
        assert server.asked[0].body == {"input": ["a text"]}


def test_without_a_key_none_is_sent() -> None:
    with serving() as server, posting(f"{server.url}/embeddings", None, timeout=5, connections=2) as post:
        post({"input": ["a text"]})
        assert server.asked[0].authorization == ""


def test_an_error_has_the_status_and_the_providers_words() -> None:
    with serving() as server, posting(f"{server.url}/embeddings", KEY, timeout=5, connections=2) as post:
        server.faults = [status(429, "slowly", Retry_After="7")]
        with pytest.raises(FailedCallError, match="slowly") as caught:
            post({"input": []})
        assert (caught.value.status, caught.value.retry_after) == (429, 7)


def test_no_reply_is_a_failure_without_a_status() -> None:
    with serving() as server, posting(f"{server.url}/embeddings", KEY, timeout=5, connections=2) as post:
        server.faults = [DROPPED]
        with pytest.raises(FailedCallError, match="RemoteProtocolError") as caught:
            post({"input": []})
        assert caught.value.status is None


def test_the_key_is_in_no_words_of_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(self: httpx.Client, request: httpx.Request, **more: object) -> httpx.Response:
        raise httpx.ConnectError("no route to host")

    monkeypatch.setattr(httpx.Client, "send", send)
    with posting("http://rerank.invalid", KEY, timeout=5, connections=2) as post:
        with pytest.raises(FailedCallError, match="ConnectError: no route") as caught:
            post({})
        assert KEY not in repr(caught.value)
