from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tenacity import wait_none

from dibs.cards.model import ModelCard
from dibs.cards.read import read_card
from dibs.encoders.base import EncoderContext
from dibs.encoders.voyage import VoyageEncoder
from dibs.errors import InputError, MissingError
from dibs.llm.calls import Patience
from tests.api_server import Fault
from tests.encoders.api_server import ApiServer, serving

MODELS = Path(__file__).resolve().parents[2] / "models"
SHIPPED = sorted(path.stem for path in MODELS.glob("*.toml") if 'adapter = "voyage"' in path.read_text())


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with serving() as api:
        yield api


def encoder(tmp_path: Path, **card: Any) -> VoyageEncoder:
    fields: dict[str, Any] = {"name": "toy", "adapter": "voyage", "dimension": 8} | card
    return VoyageEncoder(
        ModelCard(**fields), EncoderContext(cache=tmp_path), patience=Patience(wait=wait_none())
    )


def test_the_request_is_voyages(server: ApiServer, tmp_path: Path) -> None:
    encoder(tmp_path, model="toy-v1", base_url=server.url).encode(["a", "b"], "query")
    asked = server.asked[0]
    assert asked.path == "/v1/embeddings"
    assert asked.body == {
        "model": "toy-v1",
        "input": ["a", "b"],
        "input_type": "query",
        "truncation": False,
        "encoding_format": "base64",
    }


def test_the_role_is_the_input_type_and_makes_other_vectors(server: ApiServer, tmp_path: Path) -> None:
    made = encoder(tmp_path, base_url=server.url)
    query, document = made.encode(["a"], "query"), made.encode(["a"], "document")
    assert [asked.body["input_type"] for asked in server.asked] == ["query", "document"]
    assert (query != document).any()
    assert made.settings("document")["input_type"] == "document"


@pytest.mark.parametrize(
    ("model", "options", "sent"),
    [
        ("voyage-3-large", {}, 8),
        ("voyage-3.5", {}, 8),
        ("voyage-3.5-lite", {}, 8),
        ("voyage-4-large", {}, 8),
        ("voyage-code-3", {}, 8),
        ("voyage-finance-2", {}, None),
        ("voyage-law-2", {}, None),
        ("voyage-3", {}, None),
        ("voyage-5", {"send_dimensions": True}, 8),
    ],
)
def test_the_dimension_is_sent_to_models_that_have_several(
    server: ApiServer, tmp_path: Path, model: str, options: dict[str, bool], sent: int | None
) -> None:
    encoder(tmp_path, model=model, options=options, base_url=server.url).encode(["a"], "query")
    assert server.asked[0].body.get("output_dimension") == sent


def test_voyages_words_are_given(server: ApiServer, tmp_path: Path) -> None:
    server.faults = [Fault(400, b'{"detail": "The max allowed tokens per batch is 120000."}')]
    with pytest.raises(InputError, match="answered 400: The max allowed tokens per batch is 120000"):
        encoder(tmp_path, base_url=server.url).encode(["a"], "query")


def test_the_key_is_voyages_by_default(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOYAGE_API_KEY", "pa-mine")
    encoder(tmp_path, base_url=server.url).encode(["a"], "query")
    assert server.asked[0].authorization == "Bearer pa-mine"
    monkeypatch.delenv("VOYAGE_API_KEY")
    with pytest.raises(MissingError, match="VOYAGE_API_KEY is not set\n  Set it to your key for Voyage"):
        encoder(tmp_path).encode(["a"], "query")


@pytest.mark.parametrize(("key", "own"), [("pa-mine", True), ("al-mine", False)])
def test_a_key_of_atlas_goes_to_atlas(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, own: bool
) -> None:
    monkeypatch.setenv("VOYAGE_API_KEY", key)
    monkeypatch.setattr("dibs.encoders.voyage._ATLAS_URL", server.url)
    monkeypatch.setattr(VoyageEncoder, "own_url", "http://127.0.0.1:9/v1" if not own else server.url)
    made = encoder(tmp_path)
    made.encode(["a"], "query")
    assert server.asked[0].authorization == f"Bearer {key}"
    assert "base_url" not in made.settings("query")


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_cards_suit_it(name: str, tmp_path: Path) -> None:
    made = VoyageEncoder(read_card(ModelCard, MODELS / f"{name}.toml"), EncoderContext(cache=tmp_path))
    assert made.max_tokens == 2048
    assert made.settings("document")["model"] == name
    assert "base_url" not in made.settings("document")


def test_there_are_shipped_cards() -> None:
    assert "voyage-3.5" in SHIPPED
