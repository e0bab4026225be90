"""What docs/own-domain.md shows is done here, to the letter."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.guides import run_guide
from tests.toys import ROOT


@pytest.mark.filterwarnings("default")  # a warning of ours is a line on standard error
def test_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if find_spec("wordllama") is None:
        pytest.skip('wordllama is not installed: pip install "dibs[static]"')
    monkeypatch.delenv("DIBS_WORKSPACE", raising=False)
    monkeypatch.setenv("DIBS_CACHE", str(tmp_path / "cache"))
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    done = run_guide(ROOT / "docs" / "own-domain.md", tmp_path)
    assert len([ran for ran in done if ran.command.text.startswith("dibs")]) == 7
    labels = tmp_path / "mine" / "tasks" / "labels" / "Manual" / "ann.jsonl"
    judged = [json.loads(line) for line in labels.read_text().splitlines()]
    assert {label["query"] for label in judged} == {"imported", "names"}
    # The questions can be answered, and are not given away by pages that repeat them.
    shown = next(ran.out for ran in done if "bm25+wordllama-256" in ran.command.text)
    row = next(line.split() for line in shown.splitlines() if line.split()[:2] == ["bm25", "all"])
    assert 0.4 < float(row[3]) <= 1
