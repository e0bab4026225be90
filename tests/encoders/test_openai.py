from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tenacity import wait_none

from dibs.cards.model import ModelCard
from dibs.cards.read import read_card
from dibs.encoders.base import EncoderContext
from dibs.encoders.openai import OpenAIEncoder
from dibs.errors import ProviderError
from dibs.llm.calls import Patience
from tests.api_server import Fault
from tests.encoders.api_server import ApiServer, serving

MODELS = Path(__file__).resolve().parents[2] / "models"


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with serving() as api:
        yield api


def encoder(tmp_path: Path, **card: Any) -> OpenAIEncoder:
    fields: dict[str, Any] = {"name": "toy", "adapter": "openai", "dimension": 8} | card
    return OpenAIEncoder(
        ModelCard(**fields), EncoderContext(cache=tmp_path), patience=Patience(wait=wait_none())
    )


def body(server: ApiServer) -> dict[str, Any]:
    return server.asked[-1].body


def test_the_request_is_openais(server: ApiServer, tmp_path: Path) -> None:
    encoder(tmp_path, model="toy-v1", base_url=server.url).encode(["a", "b"], "query")
    assert server.asked[0].path == "/v1/embeddings"
    assert body(server) == {"model": "toy-v1", "input": ["a", "b"], "encoding_format": "base64"}


@pytest.mark.parametrize(
    ("model", "options", "sent"),
    [
        ("text-embedding-3-large", {}, 8),
        ("text-embedding-3-small", {}, 8),
        ("text-embedding-ada-002", {}, None),
        ("nomic-embed-text", {}, None),
        ("nomic-embed-text", {"send_dimensions": True}, 8),
        ("text-embedding-3-large", {"send_dimensions": False}, None),
    ],
)
def test_the_dimension_is_sent_to_models_that_have_several(
    server: ApiServer, tmp_path: Path, model: str, options: dict[str, bool], sent: int | None
) -> None:
    encoder(tmp_path, model=model, options=options, base_url=server.url).encode(["a"], "query")
    assert body(server).get("dimensions") == sent


def test_numbers_and_base64_give_the_same_vectors(server: ApiServer, tmp_path: Path) -> None:
    packed = encoder(tmp_path, base_url=server.url).encode(["a", "b"], "document")
    numbers = encoder(tmp_path, base_url=server.url, options={"encoding_format": "float"}).encode(
        ["a", "b"], "document"
    )
    assert body(server)["encoding_format"] == "float"
    np.testing.assert_array_equal(packed, numbers)


def test_a_server_that_ignores_the_format_is_understood(server: ApiServer, tmp_path: Path) -> None:
    made = encoder(tmp_path, base_url=server.url)
    wanted = made.encode(["a"], "document")
    numbers = server.content({"input": ["a"]})
    server.faults = [Fault(body=json.dumps(numbers).encode())]
    np.testing.assert_array_equal(made.encode(["a"], "document"), wanted)


def test_the_prompt_of_the_role_is_put_before(server: ApiServer, tmp_path: Path) -> None:
    made = encoder(tmp_path, base_url=server.url, query_prompt="query: ", document_prompt="passage: ")
    made.encode(["a"], "query")
    made.encode(["b"], "document")
    assert [asked.texts for asked in server.asked] == [["query: a"], ["passage: b"]]


def test_the_address_is_the_cards_then_the_environments_then_openais(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    made = encoder(tmp_path)
    made.encode(["a"], "query")
    assert len(server.asked) == 1
    assert made.settings("query")["base_url"] == server.url
    other = encoder(tmp_path, base_url="http://localhost:9/v1")
    assert other.settings("query")["base_url"] == "http://localhost:9/v1"
    monkeypatch.delenv("OPENAI_BASE_URL")
    assert "base_url" not in encoder(tmp_path).settings("query")
    assert "base_url" not in encoder(tmp_path, base_url="https://api.openai.com/v1/").settings("query")


def test_the_key_is_openais_by_default(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    encoder(tmp_path, base_url=server.url).encode(["a"], "query")
    assert server.asked[0].authorization == "Bearer sk-mine"


def test_an_account_without_quota_fails_at_once(server: ApiServer, tmp_path: Path) -> None:
    content = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    server.faults = [Fault(429, json.dumps(content).encode())]
    with pytest.raises(ProviderError, match="no quota left: You exceeded your current quota"):
        encoder(tmp_path, base_url=server.url).encode(["a"], "query")
    assert len(server.asked) == 1


def test_openais_own_retry_header_is_heeded(server: ApiServer, tmp_path: Path) -> None:
    server.faults = [Fault(429, b"{}", (("retry-after-ms", "40"), ("retry-after", "9")))]
    encoder(tmp_path, base_url=server.url).encode(["a"], "query")
    first, second = server.asked
    assert 0.04 <= second.at - first.at < 5


@pytest.mark.parametrize(
    "name", ["text-embedding-3-large", "text-embedding-3-small", "text-embedding-ada-002"]
)
def test_the_shipped_cards_suit_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    card = read_card(ModelCard, MODELS / f"{name}.toml")
    made = OpenAIEncoder(card, EncoderContext(cache=tmp_path))
    assert made.max_tokens == 2048
    assert made.settings("query")["model"] == name
    assert made.settings("query")["tokenizer"] == "tiktoken:cl100k_base"
    assert made.usd == 0


def test_making_one_imports_neither_the_package_nor_tokenizers() -> None:
    code = (
        "import sys, pathlib; from dibs.cards.model import ModelCard; "
        "from dibs.encoders.base import EncoderContext; from dibs.encoders.openai import OpenAIEncoder; "
        "card = ModelCard(name='a', adapter='openai', dimension=8); "
        "OpenAIEncoder(card, EncoderContext(pathlib.Path('.'))).settings('query'); "
        "print(sorted({'openai', 'tiktoken', 'tokenizers', 'voyageai', 'torch'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
