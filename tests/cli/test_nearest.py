"""A name that is nearly right is told the right one."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from dibs.cli.main import app
from dibs.workspace import Workspace

TYPED = {
    "command": (["rnu"], "run"),
    "command of a group": (["data", "prepar", "Tiny"], "prepare"),
    "option": (["run", "--modle", "bm25"], "--model"),
    "task": (["run", "--model", "bm25", "--task", "FinanceBenhc"], "FinanceBench"),
    "task in other letters": (["run", "--model", "bm25", "--task", "finance-bench"], "FinanceBench"),
    "model": (["run", "--model", "bm52", "--task", "Tiny"], "bm25"),
    "model of a hybrid": (["run", "--model", "bm25+all-MiniML-L6-v2", "--task", "Tiny"], "all-MiniLM-L6-v2"),
    "reranker": (
        ["run", "--model", "bm25", "--task", "Tiny", "--reranker", "bge-reranker-bse"],
        "bge-reranker-base",
    ),
    "field of --set": (["run", "--model", "bm25", "--task", "Tiny", "--set", "poling=cls"], "pooling"),
    "option of an adapter": (["run", "--model", "bm25", "--task", "Tiny", "--set", "options={K1=1}"], "k1"),
    "record": (["show", "Tiny/bm52"], "Tiny/bm25"),
    "LLM": (["rag", "--retrieval", "Tiny/bm25", "--generator", "mokc"], "mock"),
    "judge": (["rag", "--retrieval", "Tiny/bm25", "--generator", "mock", "--judge", "ruls"], "rules"),
    "prompt": (
        ["rag", "--retrieval", "Tiny/bm25", "--generator", "mock", "--prompt", "finansial"],
        "financial",
    ),
    "query": (["show", "Tiny/bm25", "--query", "q11"], "q1"),
    "served LLM": (["serve", "SmolLM2-135M-Instrukt"], "SmolLM2-135M-Instruct"),
    "domain": (["synthesize", "--task", "Tiny", "--domain", "finanse"], "financial"),
}


@pytest.fixture
def place(tiny_workspace: Workspace) -> Workspace:
    path = tiny_workspace.root / "tasks" / "tiny" / "queries.jsonl"
    path.write_text(path.read_text().replace('"kind"', '"answer": "yes", "kind"'))
    assert CliRunner().invoke(app, ["run", "--model", "bm25", "--task", "Tiny"]).exit_code == 0
    return tiny_workspace


def test_the_nearest_name_is_told(place: Workspace) -> None:
    missed = {}
    for kind, (words, meant) in TYPED.items():
        found = CliRunner().invoke(app, words)
        said = " ".join(found.stderr.replace("│", " ").split())
        asked = any(f"{start}{meant}" in said for start in ("mean ", "mean '", "options: ")) or (
            "did you mean" in said.lower() and meant in said
        )
        if found.exit_code != 2 or not asked:
            missed[kind] = (found.exit_code, said)
    assert missed == {}


def test_a_measure(tiny_workspace: Workspace) -> None:
    card = tiny_workspace.root / "tasks" / "Tiny.toml"
    card.write_text(card.read_text().replace('"mrr@10"', '"recal@10"'))
    found = CliRunner().invoke(app, ["run", "--model", "bm25", "--task", "Tiny"])
    assert found.exit_code == 2
    assert "Did you mean recall" in found.stderr


def test_a_name_like_no_other_is_told_what_there_is(tiny_workspace: Workspace) -> None:
    found = CliRunner().invoke(app, ["run", "--model", "bm25", "--task", "qqqqqqqq"])
    assert found.exit_code == 2
    assert "Known: " in found.stderr
    assert "Tiny" in found.stderr
