from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dibs.rag.answer import Answer
from dibs.rag.calibrate import Calibrating, calibrate
from dibs.rag.judges.base import Verdict
from dibs.rag.labels import Label, Labels
from dibs.records import Record, find_record
from dibs.retrieval.run import read_run
from dibs.workspace import Workspace
from tests.cli.test_cli import Said, run
from tests.rag.answered import answered
from tests.rag.judges.scripted import case, voting


@pytest.fixture
def answers(tiny_workspace: Workspace) -> Workspace:
    """BM25 on Tiny, and answers by toy-llm to its five questions."""
    assert run().code == 0
    retrieval = find_record(tiny_workspace.results, "Tiny/bm25")
    rankings = read_run(retrieval.folder / "run.trec.gz").rankings
    passages = [
        rankings[f"q{number}"].documents[:1] if f"q{number}" in rankings else [] for number in range(1, 6)
    ]
    data: dict[str, Any] = {"data": retrieval.manifest["data"]["sha256"]}
    clusters = ["apple", "apple", "boeing", "boeing", "corning"]
    answered(
        tiny_workspace.results,
        "retrieved",
        "ccici",
        retrieval=retrieval,
        passages=passages,
        clusters=clusters,
        **data,
    )
    for arm, verdicts in (("oracle", "ccccc"), ("closed-book", "ciirr"), ("random", "iirrr")):
        answered(tiny_workspace.results, arm, verdicts, clusters=clusters, **data)
    return tiny_workspace


def test_a_diagnosis_is_shown(answers: Workspace) -> None:
    said = Said("diagnose", "--task", "Tiny", "--generator", "toy-llm")
    assert said.code == 0, said.err
    said_once = " ".join(said.out.split())
    assert "Tiny: toy-llm on Tiny/bm25/" in said_once
    assert "retrieved passages that were retrieved 0.600" in said_once
    assert "Worth doing: not enough questions to tell." in said_once
    assert "Compared on 5 questions in 3 clusters, paired." in said_once
    assert "The judge's error is part of what was lost: the judge's error was not measured." in said_once
    assert "Passages beside the point cost 0.200" in said_once


def test_a_pipeline_with_the_same_run_puts_no_more_gold_first(answers: Workspace) -> None:
    again = Said("run", "--task", "Tiny", "--model", "bm25", "--set", "description=again")
    assert again.code == 0
    (row,) = Said("diagnose", "--task", "Tiny", "--json").json
    assert row["recorded"]["bm25-description-again"]["value"] == 0.0
    assert row["recorded"]["bm25-description-again"]["low"] > 0, "the limits are Jeffreys'"
    assert "put more of the lost gold first" not in Said("diagnose", "--task", "Tiny").out


def test_the_judges_error_is_parted_from_reading_where_it_was_measured(answers: Workspace) -> None:
    """The toy judge misses every fourth answer that people call correct."""
    judge = voting("toy", hit=Verdict.CORRECT, missed=Verdict.INCORRECT, wrong=Verdict.INCORRECT)
    told = [("hit", Verdict.CORRECT)] * 3 + [("missed", Verdict.CORRECT)] + [("wrong", Verdict.INCORRECT)] * 4
    rows = [Label(case(said), people, f"l{place}") for place, (said, people) in enumerate(told)]
    calibrate(Calibrating(judge, Labels(rows, {}, 0, "labels.csv"), "Other"), answers)
    (row,) = Said("diagnose", "--task", "Tiny", "--json").json
    assert row["judging"]["value"] == pytest.approx(0.0)  # the oracle is at 1 already, and cannot rise
    assert row["corrected"]["retrieved"]["value"] == pytest.approx(0.6 + 1 / 8)
    assert row["rogan_gladen"]["retrieved"]["value"] == pytest.approx(0.6 / 0.75)
    said = " ".join(Said("diagnose", "--task", "Tiny").out.split())
    assert "corrected [95 %] if rates carry over [95 %]" in said
    assert "measured on Other (8 answers); on Tiny it may err more, or less." in said


def test_a_diagnosis_as_json_has_every_number(answers: Workspace) -> None:
    (row,) = Said("diagnose", "--task", "Tiny", "--json").json
    assert row["lost"]["value"] == pytest.approx(0.4)
    assert row["retrieval"]["value"] == pytest.approx(0.4)
    assert row["reading"]["value"] == 0.0
    assert row["verdict"] == "not enough questions to tell"
    assert row["places"].keys() == row["gold"].keys() == {"context", "next", "later", "absent"}
    assert row["records"].keys() == {"retrieved", "oracle", "closed-book", "random"}
    assert all(Record(answers.root / name).finished for name in row["records"].values())


@pytest.mark.filterwarnings("default")
def test_without_the_data_the_shares_are_still_told(
    answers: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIBS_CACHE", str(answers.root / "empty"))
    said = Said("diagnose", "--task", "Tiny", "--json")
    assert said.code == 0
    assert "where the gold stood is not known" in said.err
    assert "dibs data prepare Tiny" in said.err
    assert said.json[0]["places"] == {}
    assert said.json[0]["retrieval"]["value"] == pytest.approx(0.4)


def test_nothing_to_diagnose_is_the_users_to_mend(tiny_workspace: Workspace) -> None:
    said = Said("diagnose", "--task", "Tiny")
    assert said.code == 2
    assert "no answers are recorded yet" in said.err
    assert "Run: dibs rag --retrieval RECORD --generator NAME --controls" in said.err


def test_a_damaged_record_is_named(answers: Workspace) -> None:
    (path,) = answers.results.glob("Tiny/bm25-toy-llm/*/answers.jsonl")
    Path(path).write_bytes(path.read_bytes() + b"{}\n")
    said = Said("diagnose", "--task", "Tiny")
    assert said.code == 1
    assert "answers.jsonl is not as it was written" in said.err
    assert Answer.__name__ not in said.err
