from __future__ import annotations

import json
from pathlib import Path

import pytest

from dibs.errors import InputError
from dibs.study import read_study, steps
from dibs.workspace import Workspace
from tests.cli.test_cli import Said, add_card
from tests.toys import ROOT

SMALL = """
name = "small"

[[retrieval]]
tasks = ["Tiny"]
models = ["bm25", "paid"]
rerankers = ["served"]
candidates = "2,3"
options = "--template titled"

[[retrieval]]
tasks = ["Tiny"]
models = ["bm25"]

[[answers]]
tasks = ["Tiny"]
pipelines = ["bm25"]
generators = ["mock"]
options = "--k 2"
"""


def study(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(text)
    return path


def test_a_study_is_a_list_of_commands_runs_before_answers(tmp_path: Path) -> None:
    assert [str(step) for step in steps(read_study(study(tmp_path, SMALL)))] == [
        "dibs run --model bm25 --task Tiny --template titled",
        "dibs run --model bm25 --task Tiny --template titled --reranker served --candidates 2,3",
        "dibs run --model paid --task Tiny --template titled",
        "dibs run --model paid --task Tiny --template titled --reranker served --candidates 2,3",
        "dibs run --model bm25 --task Tiny",
        "dibs rag --retrieval Tiny/bm25 --generator mock --judge rules --k 2",
    ]


def test_equal_commands_come_once(tmp_path: Path) -> None:
    part = '[[retrieval]]\ntasks = ["Tiny"]\nmodels = ["bm25"]\n'
    assert len(list(steps(read_study(study(tmp_path, f'name = "s"\n{part}{part}'))))) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "name': Field required"),
        ('name = "s"', "the study has no part"),
        ('name = "s"\n[[retrieval]]\ntasks = []\nmodels = ["a"]', "retrieval.0.tasks"),
        ('name = "s"\n[[retrieval]]\ntasks = ["T"]\nmodel = ["a"]', "retrieval.0.models': Field required"),
        ('name = "s"\n[[retrieval]]\ntasks = ["T"]\nmodels = ["a"]\noptions = "\'"', "No closing quotation"),
        ("name = ", "is not TOML"),
    ],
)
def test_a_malformed_study_is_named_with_its_fault(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=r"study\.toml") as caught:
        read_study(study(tmp_path, text))
    assert message in str(caught.value)


def test_a_study_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        read_study(tmp_path / "none.toml")


def one(*models: str) -> str:
    return f'name = "s"\n[[retrieval]]\ntasks = ["Tiny"]\nmodels = {json.dumps(models)}\n'


def test_a_study_is_done_and_what_is_recorded_is_skipped(tiny_workspace: Workspace, tmp_path: Path) -> None:
    path = study(tmp_path, one("bm25"))
    first = Said("reproduce", str(path))
    assert (first.code, "s: 1 of 1 steps done" in first.err) == (0, True)
    assert "recorded before" not in first.out
    assert "recorded before" in Said("reproduce", str(path)).out


def test_a_step_that_fails_does_not_lose_the_others(tiny_workspace: Workspace, tmp_path: Path) -> None:
    said = Said("reproduce", str(study(tmp_path, one("bm26", "bm25"))))
    assert said.code == 1
    assert "failed: dibs run --model bm26 --task Tiny" in said.err
    assert "s: 1 of 2 steps done" in said.err
    assert list(tiny_workspace.results.glob("Tiny/bm25/*/manifest.json"))


def test_a_dry_run_lists_the_work_and_counts_what_is_shared_once(
    tiny_workspace: Workspace, tmp_path: Path
) -> None:
    card = 'adapter = "openai"\ndimension = 8\ntokenizer = "characters"\nusd_per_million_tokens = 2.0'
    add_card(tiny_workspace, "models", "paid", card)
    path = study(
        tmp_path,
        one("paid", "bm25+paid") + '[[answers]]\ntasks = ["Tiny"]\npipelines = ["none"]\n'
        'generators = ["mock"]\n',
    )
    planned = Said("reproduce", str(path), "--dry-run", "--json").json
    assert [row["steps"] is None for row in planned] == [False, False, True]
    tokens = sum(step["tokens"] for step in planned[0]["steps"])
    assert tokens > 0
    shown = Said("reproduce", str(path), "--dry-run")
    assert shown.code == 0
    total = next(line for line in shown.out.splitlines() if line.strip().startswith("in all"))
    assert f"{tokens:,}" in total.split(), "the hybrid's part is counted once"
    assert "not known yet" in shown.out
    assert not tiny_workspace.results.exists()


def test_a_dry_run_says_what_no_command_can_do(tiny_workspace: Workspace, tmp_path: Path) -> None:
    said = Said("reproduce", str(study(tmp_path, one("nobody", "bm25"))), "--dry-run")
    assert said.code == 1
    assert "no model is called 'nobody'" in said.err
    assert "cannot be done" in said.out
    assert "not known yet" not in said.out


def test_the_shipped_studies_can_be_read() -> None:
    paths = list((ROOT / "studies").glob("*.toml"))
    assert paths
    for path in paths:
        assert list(steps(read_study(path)))
