"""`--engine`: what is refused before the work, and the whole command in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dibs.encoders import base
from dibs.workspace import Workspace
from tests.cli.test_cli import DIBS, Said, run
from tests.cli.test_rag import card, place
from tests.toys import ROOT

__all__ = ["place"]
SLOW = ("--engine", "ray", "--workers", "2")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--workers", "2"), "--workers is for an engine"),
        (("--address", "auto"), "--address is for an engine"),
        (("--engine", "dask"), "'dask' is not one of 'ray'"),
        ((*SLOW, "--address", "ray://head:10001"), "is no address of a cluster that this machine belongs to"),
    ],
)
def test_a_wrong_word_is_one_error(tiny_workspace: Workspace, words: tuple[str, ...], problem: str) -> None:
    pytest.importorskip("ray")
    said = run(*words)
    assert said.code == 2
    assert problem in " ".join(said.err.split())


@pytest.mark.parametrize("command", ["run", "rag"])
def test_without_ray_the_pip_line_is_said(
    place: Workspace, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(base, "find_spec", lambda module: None)
    words = {
        "run": ("--model", "bm25", "--task", "Tiny"),
        "rag": ("--retrieval", "Tiny/bm25", "--generator", "scripted"),
    }
    said = Said(command, *words[command], *SLOW)
    assert said.code == 2
    assert 'pip install "dibs[ray]"' in said.err


def test_what_needs_no_worker_begins_none(tiny_workspace: Workspace) -> None:
    pytest.importorskip("ray")
    assert run(*SLOW).code == 0
    assert run(*SLOW, "--dry-run").code == 0
    assert "--engine" not in (next(tiny_workspace.results.rglob("manifest.json")).read_text())


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder for temporary files whose path leaves room for the names of Ray's sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_answers_that_workers_asked_for_are_the_same(place: Workspace, short: Path) -> None:
    """And nothing of Ray is left when the command has ended."""
    pytest.importorskip("ray")
    card(place, "other", latency=0.01)
    manifests: list[Any] = []
    for words in ((), SLOW):
        asked = ("rag", "--retrieval", "Tiny/bm25", "--generator", "other", "--json", *words)
        done = subprocess.run(
            [*DIBS, *asked],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"TMPDIR": str(short)},
        )
        assert done.returncode == 0, done.stderr
        (row,) = json.loads(done.stdout)
        record = place.root / row["record"]
        manifests.append(json.loads((record / "manifest.json").read_text()))
        manifests[-1]["answers"] = (record / "answers.jsonl").read_text()
        for file in (*record.iterdir(), *(place.cache / "llm").iterdir()):
            file.unlink()
    plain, distributed = manifests
    for name in ("answers", "inputs", "command"):
        assert plain[name] == distributed[name]
    assert "engine" not in plain["about"]
    assert distributed["about"]["engine"]["workers"] == 2
    assert not list(short.glob("dibs-ray-*"))
