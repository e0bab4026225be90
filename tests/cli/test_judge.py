from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dibs.cli.main import app
from dibs.workspace import Workspace

LABELS = (
    "question,gold,answer,label,id,system\n"
    "How many anvils?,12,Twelve.,correct,q1,ours\n"
    "How many anvils?,12,It is 13.,incorrect,q1,theirs\n"
    "Which colour?,black,Black.,Correct Answer,q2,ours\n"
    "Which colour?,black,I don't know.,refusal,q2,theirs\n"
    "Was it sold?,No,Yes.,wrong,q3,ours\n"
    'Was it sold?,No,"No, it was not.",correct,q3,theirs\n'
)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(LABELS)
    return path


def run(*words: str | Path) -> tuple[int, str, str]:
    found = CliRunner().invoke(app, ["judge", "calibrate", *map(str, words)])
    return found.exit_code, found.stdout, found.stderr


def test_json_begins_with_accuracy_and_kappa(workspace: Workspace, labels: Path) -> None:
    code, out, err = run("--judge", "rules", "--labels", labels, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert list(found)[:2] == ["accuracy", "kappa"]
    assert found["accuracy"] == {"value": 1.0, "low": pytest.approx(0.29, abs=0.01), "high": 1.0}
    assert found["kappa"]["value"] == 1.0
    assert found["three_way"]["confusion"]["refusal"] == {"correct": 0, "incorrect": 0, "refusal": 1}
    assert {name: part["n"] for name, part in found["by_system"].items()} == {"ours": 3, "theirs": 3}
    assert (found["n"], found["questions"], found["judge"]) == (6, 3, "rules")
    assert (workspace.root / found["record"] / "manifest.json").is_file()


def test_the_table_says_how_it_was_made(workspace: Workspace, labels: Path) -> None:
    code, out, _ = run("--labels", labels, "--drop", "q1")
    assert code == 0
    assert "Judge rules on labels.csv: 4 labelled answers to 2 questions" in out
    assert "correct or not" in out
    assert "thresholds chosen on the other 1 of 2 folds" in out
    assert "Left out: q1, by --drop (2 answers in all)." in out
    assert "recorded before" not in out
    assert "recorded before" in run("--labels", labels, "--drop", "q1")[1]


def test_the_manifest_has_the_command_and_no_path(workspace: Workspace, labels: Path) -> None:
    run("--labels", labels, "--drop", "q1")
    (manifest,) = workspace.results.glob("calibration/rules/*/manifest.json")
    text = manifest.read_text()
    assert json.loads(text)["command"] == "dibs judge calibrate --judge rules --labels labels.csv --drop q1"
    assert str(labels.parent) not in text


def test_question_types_come_from_the_task(tiny_workspace: Workspace, labels: Path) -> None:
    code, out, err = run("--labels", labels, "--task", "tiny", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert {name: part["n"] for name, part in found["by_question_type"].items()} == {"metric": 4, "count": 2}
    assert found["labels"]["name"] == "Tiny"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--judge", "nobody"), "no judge is called 'nobody'"),
        (("--task", "Nowhere"), "Nowhere"),
        (("--drop", "q9"), "no row is of the question 'q9'"),
    ],
)
def test_a_users_mistake_is_said(
    workspace: Workspace, labels: Path, words: tuple[str, ...], problem: str
) -> None:
    code, out, err = run("--labels", labels, *words)
    assert (code, out) == (2, "")
    assert problem in err
    assert "Traceback" not in err


def test_a_malformed_row_is_said_with_its_line(workspace: Workspace, labels: Path) -> None:
    labels.write_text(LABELS + "Which?,this,that,perhaps,q4,ours\n")
    code, _, err = run("--labels", labels)
    assert code == 2
    assert "line 8: 'perhaps' is no label" in err


def test_a_sample_is_graded_and_said(workspace: Workspace, labels: Path) -> None:
    code, out, _ = run("--labels", labels, "--sample", "3", "--json")
    assert (code, json.loads(out)["n"]) == (0, 3)
    (manifest,) = workspace.results.glob("calibration/*/*/manifest.json")
    assert json.loads(manifest.read_text())["command"].endswith("--sample 3")
