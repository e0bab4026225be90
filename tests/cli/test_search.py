"""`dibs run --set index=... --set stored=...`: how vectors are searched, on the command line or a card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dibs.workspace import Workspace
from tests.cli.test_cli import Said, add_card
from tests.encoders.local_models import make_model

pytestmark = pytest.mark.xdist_group("torch")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_model(tmp_path_factory.mktemp("model")))


def manifest(place: Workspace, said: Said) -> dict[str, Any]:
    assert said.code == 0, said.err
    found: dict[str, Any] = json.loads((place.root / said.json[0]["record"] / "manifest.json").read_text())
    return found


def run(model: str, *settings: str) -> Said:
    words = [word for setting in settings for word in ("--set", setting)]
    return Said("run", "--model", model, "--task", "Tiny", "--json", *words)


def test_an_index_is_chosen_and_its_loss_recorded_with_the_vectors_that_are_there(
    folder: str, tiny_workspace: Workspace
) -> None:
    plain = manifest(tiny_workspace, run(folder))
    chosen = ["index=hnsw", "stored=int8", "options={ef_search=64}"]
    found = manifest(tiny_workspace, run(folder, *chosen))
    assert "search" not in plain["inputs"]["pipeline"]
    assert "search" not in plain["about"]
    assert found["inputs"]["pipeline"] == plain["inputs"]["pipeline"] | {
        "search": {
            "stored": "int8",
            "index": "hnsw",
            "rescore": 4,
            "hnsw_m": 32,
            "ef_construction": 200,
            "ef_search": 64,
        }
    }
    assert found["pipeline"] != plain["pipeline"]
    assert (plain["cost"]["documents_encoded"], found["cost"]["documents_encoded"]) == (5, 0)
    assert found["about"]["search"]["recall_of_exact"] == {"10": 1.0, "100": 1.0}


def test_a_card_can_choose_it_too(folder: str, tiny_workspace: Workspace) -> None:
    where = f"adapter = 'sentence-transformers'\nmodel = '{folder}'"
    add_card(tiny_workspace, "models", "lists", where, "index = 'ivf'", "options = { nlist = 2, nprobe = 1 }")
    found = manifest(tiny_workspace, run("lists"))
    assert found["about"]["search"]["faiss_index"] == "IVF2,Flat"
    assert found["about"]["search"]["recall_of_exact"]["10"] < 1


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("index=annoy", "field 'index'"),
        ("stored=int4", "field 'stored'"),
        ("options={ef_search=64}", "ef_search says nothing to stored = 'float32', index = 'exact'"),
    ],
)
def test_what_does_not_fit_is_refused(
    folder: str, tiny_workspace: Workspace, setting: str, said: str
) -> None:
    refused = run(folder, setting)
    assert refused.code == 2
    assert said in refused.err
    assert not Path(tiny_workspace.cache / "vectors").exists()


def test_word_matching_has_no_vectors_to_index(tiny_workspace: Workspace) -> None:
    refused = run("bm25", "index=hnsw")
    assert refused.code == 2
    assert "stored and index are for models with vectors" in refused.err
