from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dibs.cli.main import app
from dibs.training.pairs import find_pairs
from dibs.workspace import Workspace
from tests.training.helpers import GUIDE

SCRIPTED = '{"questions": [{"kind": "lookup", "question": "What is the anvil key of this forge?"}]}'
VERDICT = '{"reason": "so", "answerable": true, "specific": true, "natural": true}'


def run(*words: str | Path) -> tuple[int, str, str]:
    found = CliRunner().invoke(app, list(map(str, words)))
    return found.exit_code, found.stdout, found.stderr


@pytest.fixture
def guides(workspace: Workspace, tmp_path: Path) -> Path:
    """A folder of six pages in three sections, and a model that knows what to ask."""
    folder = tmp_path / "guides"
    for section in ("ada", "bea", "cleo"):
        (folder / section).mkdir(parents=True)
        for page in range(2):
            (folder / section / f"{page}.md").write_text(f"Page {page} of {section}.\n{GUIDE}")
    script = tmp_path / "script.jsonl"
    rows = ({"contains": "Decide three things", "answer": VERDICT}, {"contains": "anvil", "answer": SCRIPTED})
    script.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (workspace.root / "models" / "llm").mkdir(parents=True)
    (workspace.root / "models" / "llm" / "scripted.toml").write_text(
        f'name = "scripted"\nadapter = "mock"\nusd_per_million_tokens = 1.0\n'
        f'usd_per_million_output_tokens = 2.0\n\n[options]\nanswers = "{script}"\n'
    )
    return folder


def test_from_a_folder_without_an_llm(workspace: Workspace, guides: Path) -> None:
    words = ("synthesize", "--documents", guides, "--domain", "documentation", "--development", "0.3")
    code, out, err = run(*words, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["counts"]["pairs"] == 18
    assert found["counts"]["splits"]["development"] == {"pairs": 6, "groups": 1}
    assert (workspace.root / found["pairs"] / "manifest.json").is_file()
    assert found["sample"][0].keys() == {"query", "document_id", "kind", "group", "split"}
    code, out, _ = run(*words)
    assert code == 0
    assert "18 pairs of 6 documents, 6 of them held out (1 of 3 groups), made before." in out
    assert "share it only where their licence allows" in out


def test_the_manifest_has_the_command_and_no_path(workspace: Workspace, guides: Path) -> None:
    run("synthesize", "--documents", guides, "--seed", "4")
    manifest = find_pairs("guides-structure", workspace).manifest
    assert manifest["command"] == "dibs synthesize --documents guides --generator structure --seed 4"
    assert str(guides.parent) not in json.dumps(manifest)


def test_an_llm_and_what_it_would_cost(workspace: Workspace, guides: Path) -> None:
    words = ("synthesize", "--documents", guides, "--generator", "scripted", "--per-document", "1", "--json")
    code, out, _ = run(*words, "--dry-run")
    assert code == 0
    (row,) = json.loads(out)
    assert (row["llm"], row["requests"], row["cached"]) == ("scripted", 6, 0)
    assert row["usd"] > 0
    assert not (workspace.root / "pairs").exists()
    code, out, _ = run(*words)
    assert code == 0
    assert json.loads(out)["counts"]["pairs"] == 6
    assert json.loads(run(*words, "--dry-run")[1])[0]["cached"] == 6


def test_pairs_of_a_folder_through_all_filters(workspace: Workspace, guides: Path) -> None:
    run("synthesize", "--documents", guides, "--domain", "documentation")
    words = ("filter", "guides-structure", "--round-trip", "bm25", "--k", "6", "--judge", "scripted")
    code, out, err = run(*words, "--json")
    assert code == 0
    assert "no task is guarded against leakage" in err
    found = json.loads(out)
    assert [one["filter"] for one in found["filters"]] == ["near-duplicates", "round-trip", "judge"]
    assert found["filters"][1]["about"]["corpus"] == "the pairs' own documents"
    assert found["filters"][2]["keep_rate"] == 1.0
    code, out, _ = run(*words)
    assert code == 0
    assert "filtered before" in out
    assert "keep rate" in out
    code, out, _ = run("filter", "guides-structure", "--judge", "scripted", "--dry-run")
    assert code == 0
    assert "requests" in out


def test_a_task_is_guarded_unasked(tiny_workspace: Workspace) -> None:
    path = tiny_workspace.root / "tasks" / "tiny" / "corpus.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows += [{"_id": f"guide-{n}", "title": "", "text": f"Page {n}. {GUIDE}"} for n in range(4)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, _, err = run("synthesize", "--task", "tiny", "--count", "0")
    assert (code, err) == (0, "")
    words = ("filter", "Tiny-structure", "--cosine-model", "none")
    code, out, err = run(*words, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["leakage"][0]["task"] == "Tiny"
    assert found["leakage"][0]["seen"]["queries"] == []
    code, _, err = run("filter", "Tiny-structure", "--cosine-model", "bm25")
    assert code == 2
    assert "makes no vectors of queries" in err
    code, out, _ = run(*words)
    assert "Leakage from Tiny: 0 of" in out
    assert "cosines were not looked at" in out
    assert "0 of its 6 gold documents (0.0%)" in out


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("synthesize",), "--task or --documents, one of them"),
        (("synthesize", "--task", "Tiny", "--documents", "."), "--task or --documents, one of them"),
        (("synthesize", "--task", "Nowhere"), "Nowhere"),
        (("synthesize", "--task", "Tiny"), "there is no document to make queries of"),
        (("synthesize", "--task", "Tiny", "--generator", "nobody"), "nobody"),
        (("synthesize", "--task", "Tiny", "--domain", "poetry"), "no domain is called 'poetry'"),
        (("synthesize", "--task", "Tiny", "--dry-run"), "costs nothing"),
        (("synthesize", "--documents", "no/such/folder"), "there is no such folder"),
        (("synthesize", "--documents", ".", "--template", "titled"), "a folder has none"),
        (("filter", "nothing"), "no set of pairs is called 'nothing'"),
    ],
)
def test_mistakes_are_said_without_a_traceback(
    tiny_workspace: Workspace, words: tuple[str, ...], problem: str
) -> None:
    code, out, err = run(*words)
    assert code == 2
    assert problem in err
    assert out == ""


def test_what_cannot_filter_is_named(workspace: Workspace, guides: Path) -> None:
    run("synthesize", "--documents", guides)
    for words, problem in (
        (("--judge", "nobody"), "no LLM is called 'nobody'"),
        (("--round-trip", "nobody"), "no model is called 'nobody'"),
        (("--dry-run",), "name one with --judge"),
        (("--near-duplicates", "0"), "there is nothing to filter by"),
        (("--task", "Nowhere"), "Nowhere"),
    ):
        code, _, err = run("filter", "guides-structure", *words)
        assert code == 2
        assert problem in err
