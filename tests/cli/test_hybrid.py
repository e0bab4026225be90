from __future__ import annotations

import json
import shlex

from dibs.workspace import Workspace
from tests.cli.test_cli import Said, add_card


def test_a_hybrid_is_shown_after_its_parts(tiny_workspace: Workspace) -> None:
    add_card(tiny_workspace, "models", "bm25-short", 'adapter = "bm25"', "options = { b = 0.1 }")
    said = Said("run", "--model", "bm25+bm25-short", "--task", "Tiny", "--json")
    assert said.code == 0, said.err
    assert [row["pipeline"] for row in said.json if row["subset"] == "all"] == [
        "bm25",
        "bm25-short",
        "bm25+bm25-short",
    ]


def test_the_command_of_a_hybrid_is_in_its_record(tiny_workspace: Workspace) -> None:
    add_card(tiny_workspace, "models", "bm25-short", 'adapter = "bm25"', "options = { b = 0.1 }")
    words = ["--model", "bm25+bm25-short", "--task", "Tiny", "--fusion", "scores", "--weights", "0.25,0.75"]
    said = Said("run", *words, "--json")
    record = tiny_workspace.root / said.json[-1]["record"]
    manifest = json.loads((record / "manifest.json").read_text())
    assert manifest["command"] == f"dibs run {' '.join(words)}"


def test_weights_without_a_hybrid_and_weights_that_are_none_are_refused(tiny_workspace: Workspace) -> None:
    alone = Said("run", "--model", "bm25", "--task", "Tiny", "--weights", "0.5,0.5")
    assert alone.code == 2
    assert "--weights are for hybrids" in alone.err
    words = Said("run", "--model", "bm25", "--task", "Tiny", "--weights", "half,half")
    assert words.code == 2
    assert "not numbers with commas between" in words.err


def test_an_unknown_part_is_named(tiny_workspace: Workspace) -> None:
    said = Said("run", "--model", "bm25+bm26", "--task", "Tiny")
    assert said.code == 2
    assert "no model is called 'bm26'" in said.err


def test_parts_without_a_name_and_weights_without_end_are_refused(tiny_workspace: Workspace) -> None:
    for words, message in (
        (("--model", "bm25+"), "a part of the hybrid has no name"),
        (("--model", ""), "--model has no name"),
        (("--model", "bm25+bm25", "--weights", "inf,1"), "not numbers with commas between"),
    ):
        said = Said("run", *words, "--task", "Tiny")
        assert said.code == 2
        assert message in said.err


def test_a_setting_is_recorded_as_it_was_written(tiny_workspace: Workspace) -> None:
    words = ["--model", "bm25", "--task", "Tiny", "--set", "options={k1=0.9}"]
    said = Said("run", *words, "--json")
    manifest = json.loads((tiny_workspace.root / said.json[0]["record"] / "manifest.json").read_text())
    assert shlex.split(manifest["command"]) == ["dibs", "run", *words]
