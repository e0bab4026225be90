"""Which key goes where."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from dibs.cards.model import LLMCard, ModelCard
from dibs.errors import DibsError, InputError, ProviderError
from dibs.keys import _say, check_key, is_loopback, may_go
from dibs.llm.address import filled_in
from dibs.llm.service import find_service
from dibs.redact import redacted


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("OPENAI_API_KEY", "https://api.openai.com/v1"),
        ("OPENAI_API_KEY", "https://eu.api.openai.com/v1"),
        ("OPENAI_API_KEY", "http://127.0.0.1:8000/v1"),
        ("DATABRICKS_TOKEN", "https://adb-1.2.azuredatabricks.net/serving-endpoints"),
        ("MY_API_KEY", "https://llm.example/v1"),
        ("MY_TOKEN", "https://llm.example/v1"),
        ("AWS_SECRET_ACCESS_KEY", "http://localhost:8000"),
    ],
)
def test_keys_that_go(variable: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    check_key(variable, url, "card")


@pytest.mark.parametrize(
    ("variable", "url", "why"),
    [
        ("AWS_SECRET_ACCESS_KEY", "https://llm.example/v1", "not for llm.example"),
        ("AWS_SESSION_TOKEN", "https://llm.example/v1", "not for llm.example"),
        ("GITHUB_TOKEN", "https://llm.example/v1", "not for llm.example"),
        ("GH_TOKEN", "https://llm.example/v1", "not for llm.example"),
        ("DATABASE_URL", "https://llm.example/v1", "not for llm.example"),
        ("HOME", "https://llm.example/v1", "not for llm.example"),
        ("OPENAI_API_KEY", "https://llm.example/v1", "not for llm.example.*OPENAI_BASE_URL"),
        ("OPENAI_API_KEY", "https://api.openai.com.evil.example/v1", "not for api.openai.com.evil.example"),
        ("OPENAI_API_KEY", "https://evilopenai.com/v1", "not for evilopenai.com"),
        ("OPENAI_API_KEY", "https://api.openai.com@evil.example/v1", "not for evil.example"),
        ("OPENAI_API_KEY", "http://api.openai.com/v1", "without encryption"),
        ("VOYAGE_API_KEY", "https://api.openai.com/v1", "not for api.openai.com"),
        ("MY_API_KEY", "http://llm.example/v1", "without encryption"),
        ("MY_API_KEY", "http://127.0.0.1.evil.example/v1", "without encryption"),
    ],
)
def test_keys_that_stay(variable: str, url: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv(variable, "a-secret-value")
    with pytest.raises(InputError, match=f"(?s)card: .*{why}") as caught:
        check_key(variable, url, "card")
    assert "a-secret-value" not in str(caught.value)


def test_the_user_s_own_address_is_the_user_s_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "https://gateway.example/openai/v1")
    assert may_go("OPENAI_API_KEY", "https://gateway.example/openai/v1")
    assert not may_go("OPENAI_API_KEY", "https://other.example/v1")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://[broken")
    assert not may_go("OPENAI_API_KEY", "https://other.example/v1")


@pytest.mark.parametrize(("url", "here"), [("http://[::1]:1", True), ("http://10.0.0.1", False), ("", False)])
def test_what_is_on_this_machine(url: str, here: bool) -> None:
    assert is_loopback(url) is here


def test_a_card_s_address_without_its_key_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-secret-value")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert find_service("m", "there", "https://evil.example/v1", None, "OPENAI_API_KEY").key is None
    own = find_service("m", "OpenAI", "https://api.openai.com/v1", None, "OPENAI_API_KEY")
    assert own.key == "a-secret-value"


def test_where_a_key_goes_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "a-secret-value")
    _say.cache_clear()
    with pytest.warns(
        UserWarning, match=r"^the key in MY_API_KEY is sent to llm.example, as the card m says$"
    ):
        find_service("m", "there", "https://llm.example/v1", "MY_API_KEY", "OPENAI_API_KEY")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        find_service("m", "there", "https://llm.example/v1", "MY_API_KEY", "OPENAI_API_KEY")


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/${OPENAI_API_KEY}/v1",
        "https://evil.example/${MY_HOST}/v1",
        "https://${MY_HOST}.evil.example/v1",
        "https://evil.example/?${MY_HOST}",
        "${AWS_SECRET_ACCESS_KEY}/v1",
        "https://${GITHUB_TOKEN}/v1",
        "${MY_HOST}/${MY_HOST}",
        "https://${MY_HOST}@evil.example",
    ],
)
def test_an_address_tells_no_variable_to_its_host(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "MY_HOST"):
        monkeypatch.setenv(name, "a-secret-value")
    with pytest.raises(InputError, match="may begin with the variable of a host") as caught:
        filled_in(url, "card")
    assert "a-secret-value" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "filled"),
    [
        ("${MY_HOST}/v1", "https://h.example/v1"),
        ("https://${MY_NAME}:8000/v1", "https://h.example:8000/v1"),
        ("https://plain.example", "https://plain.example"),
    ],
)
def test_a_variable_may_be_the_host(url: str, filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_HOST", "https://h.example/")
    monkeypatch.setenv("MY_NAME", "h.example")
    assert filled_in(url, "card") == filled


@pytest.mark.parametrize("key", ["sk-proj-abcdef", "", "TWO WORDS", "a=b", "sk_live_abc"])
def test_a_card_s_key_is_a_variable_s_name(key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        ModelCard(name="m", adapter="openai", key=key)


@pytest.mark.parametrize("option", ["request.api_key", "request.apikey", "request.token", "client_secret"])
def test_a_key_among_a_card_s_options_is_refused(option: str) -> None:
    with pytest.raises(ValueError, match="a key belongs into the environment"):
        LLMCard(name="m", adapter="openai", options={option: "sk-abc"})


@pytest.mark.parametrize("name", ["tokenizer.add_eos_token", "request.max_tokens", "tokenizer.pad_token"])
def test_other_options_that_read_like_one_stay(name: str) -> None:
    LLMCard(name="m", adapter="openai", options={name: "x"})


# What is shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("refused sk-1234567", "refused $MY_API_KEY"),
        ("at https://me:pass@host/v1 it failed", "at https://***@host/v1 it failed"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer ***"),
        ("Proxy-Authorization: basic dXNlcjpwYXNz=", "Proxy-Authorization: basic ***"),
        ("token a/secret+word and a%2Fsecret%2Bword", "token $OTHER_TOKEN and $OTHER_TOKEN"),
        ("through the proxy with pass-word", "through the proxy with $HTTPS_PROXY"),
        ("mail me@example.org, a none", "mail me@example.org, a none"),
        ("plain text", "plain text"),
    ],
)
def test_what_is_shown_of_a_text(text: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "sk-1234567")
    monkeypatch.setenv("OTHER_TOKEN", "a/secret+word")
    monkeypatch.setenv("SHORT_KEY", "none")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:pass-word@proxy:1")
    assert redacted(text) == shown


def test_an_error_of_any_kind_hides_keys_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "sk-1234567")
    for kind in (DibsError, InputError, ProviderError):
        error = kind("bad sk-1234567", where="https://a:b@host", todo="unset sk-1234567")
        assert str(error) == "https://***@host: bad $MY_API_KEY\n  unset $MY_API_KEY"
        assert "sk-1234567" not in repr(error) + repr(vars(error))


def test_a_github_token_goes_to_no_mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from dibs.data.github import _headers

    monkeypatch.setenv("GITHUB_TOKEN", "a-secret-value")
    monkeypatch.delenv("GITHUB_API_URL", raising=False)
    assert "Authorization" in _headers("https://api.github.com")
    assert "Authorization" not in _headers("https://mirror.example")
    assert "Authorization" not in _headers("http://api.github.com")
