from __future__ import annotations

import pytest

from dibs.errors import InputError, MissingError
from dibs.llm.service import Service, find_service, plain_url


@pytest.mark.parametrize("url", ["http://localhost:8000/v1", "http://127.0.0.1:1", "http://[::1]:8000/v1"])
def test_a_server_on_this_machine_needs_no_key(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_API_KEY", raising=False)
    assert find_service("small", "here", url, "MY_API_KEY", "X").key is None
    monkeypatch.setenv("MY_API_KEY", " abc\n")
    assert find_service("small", "here", url, "MY_API_KEY", "X").key == "abc"


@pytest.mark.parametrize("value", [None, "", "  "])
def test_elsewhere_a_key_is_needed(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_API_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("MY_API_KEY", value)
    with pytest.raises(
        MissingError, match=r"small: .*MY_API_KEY is not set\n  Set it to your key for OpenAI"
    ):
        find_service("small", "OpenAI", "https://api.openai.com/v1", "MY_API_KEY", "X")


@pytest.mark.parametrize("value", ["two words", "line\nend", "schlüssel", "a\tb", "a\x7fb"])
def test_what_cannot_be_a_key_is_refused_unseen(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", value)
    with pytest.raises(MissingError, match="MY_API_KEY holds what cannot be a key") as caught:
        find_service("small", "OpenAI", "https://api.openai.com/v1", "MY_API_KEY", "X")
    assert value not in str(caught.value)


def test_a_message_without_a_key_to_hide_stays() -> None:
    assert Service("small", "here", "MY_API_KEY", None).shown("none\n of  it ") == "none of it"
    assert Service("small", "here", "MY_API_KEY", "key").shown(" ") == "no reason given"


@pytest.mark.parametrize(
    "url",
    [
        "api.openai.com/v1",
        "ftp://host/v1",
        "https://",
        "https://me:secret@host/v1",
        "https://secret@host/v1",
        "https://host/v1?key=secret",
        "http://[::1/v1",
    ],
)
def test_addresses_that_hold_more_than_an_address_are_refused(url: str) -> None:
    with pytest.raises(InputError, match="base_url") as caught:
        plain_url(url, "small")
    assert "secret" not in str(caught.value)


def test_a_final_slash_is_dropped() -> None:
    assert plain_url("https://host/v1/", "small") == "https://host/v1"
