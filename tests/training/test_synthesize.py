from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dibs.errors import InputError
from dibs.training.drawing import Drawing
from dibs.training.generate import LLMGenerator
from dibs.training.structure import StructureGenerator, load_forms
from dibs.training.synthesize import Done, rarity_of, synthesize
from dibs.workspace import Workspace
from tests.training.helpers import GUIDE, collection, llm

TEXTS = {
    f"f{filing}-{page}": f"Filing {filing}, page {page}. {GUIDE}" for filing in range(4) for page in range(2)
}
FOUND = collection(TEXTS)


def good(number: str) -> dict[str, Any]:
    return {"questions": [{"kind": "lookup", "question": f"What is on {number}?"}]}


SCRIPT = {f"Filing {name[1]}, page {name[3]}": good(name) for name in TEXTS}


def run(
    place: Workspace, script: dict[str, Any], seed: int = 0, name: str = "scripted", **options: Any
) -> Done:
    generator = LLMGenerator(llm(place.cache, script, name, **options), "general", 1, 100)
    return synthesize(FOUND, Drawing(None, 1, seed, development=0.25), generator, place, "dibs synthesize")


def test_each_pair_says_what_it_was_made_of(workspace: Workspace) -> None:
    done = run(workspace, SCRIPT)
    assert not done.reused
    assert len(done.pairs.pairs) == 8
    for pair in done.pairs.pairs:
        assert pair.query == f"What is on {pair.document_id}?"
        assert pair.document == TEXTS[pair.document_id].strip()
        assert pair.group == pair.document_id[:2]
    held = {pair.group for pair in done.pairs.of("development")}
    assert len(held) == 1
    assert len(done.pairs.of("development")) == 2


def test_the_manifest_says_how(workspace: Workspace) -> None:
    manifest = run(workspace, SCRIPT).pairs.manifest
    inputs = manifest["inputs"]
    assert inputs["drawing"]["seed"] == 0
    assert inputs["generator"]["prompt"] == "general.v1"
    assert len(inputs["generator"]["prompt_sha256"]) == 64
    assert inputs["data"] == FOUND.sha256
    assert manifest["cost"]["requests"] == 8
    assert manifest["cost"]["usd"] > 0
    assert (manifest["drawn"], manifest["failed"], manifest["task"]) == (8, 0, None)
    assert str(workspace.root) not in str(manifest)


def test_the_same_call_finds_its_pairs_and_another_seed_makes_others(workspace: Workspace) -> None:
    first = run(workspace, SCRIPT)
    again = run(workspace, SCRIPT)
    assert again.reused
    assert again.pairs.pairs == first.pairs.pairs
    assert run(workspace, SCRIPT, seed=1).pairs.name != first.pairs.name


def test_what_failed_is_counted_and_asked_for_again(workspace: Workspace) -> None:
    # Of these requests some fail, by their hash, as often as they are tried in one call.
    failed = run(workspace, SCRIPT, fault="error", fault_every=3)
    lost = failed.pairs.manifest["failed"]
    assert 0 < lost < 8
    assert len(failed.pairs.manifest["failures"]) == lost
    assert len(failed.pairs.pairs) == 8 - lost
    whole = run(workspace, SCRIPT)
    assert not whole.reused
    assert whole.pairs.name == failed.pairs.name  # a fault of the transport is no setting
    assert whole.pairs.manifest["cost"]["requests"] == lost
    assert whole.pairs.manifest["cost"]["cached"] == 8 - lost
    assert len(whole.pairs.pairs) == 8
    assert run(workspace, SCRIPT).reused


def test_nothing_to_keep_is_said_with_the_first_reason(workspace: Workspace) -> None:
    with pytest.raises(
        InputError, match="not one query could be made of 8 documents; the first: asked twice"
    ):
        run(workspace, {})
    assert not (workspace.root / "pairs").exists()


def test_without_an_llm(workspace: Workspace, tmp_path: Path) -> None:
    generator = StructureGenerator(load_forms("documentation"), rarity_of(FOUND, 0))
    done, again = (synthesize(FOUND, Drawing(None, 2, 3), generator, workspace, "") for _ in range(2))
    assert again.reused
    assert done.pairs.name.startswith("Small-structure-")
    assert done.pairs.manifest["cost"] is None
    assert len(done.pairs.pairs) == 16
    other = Workspace(tmp_path / "other", workspace.cache)
    same = synthesize(FOUND, Drawing(None, 2, 3), generator, other, "")
    assert same.pairs.manifest["files"] == done.pairs.manifest["files"]
