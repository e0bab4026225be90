from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dibs.data.prepare import ensure
from dibs.errors import InputError
from dibs.labelling.journal import Pair
from dibs.labelling.qrels import judged_at, state, write_qrels
from dibs.labelling.source import labelled
from dibs.retrieval.run import Ranking, Run
from dibs.workspace import Workspace
from tests.labelling.made import judge, label, make_task, task

HEAD = "query-id\tcorpus-id\tscore\n"


def test_labels_become_the_qrels_that_the_task_is_read_with(workspace: Workspace) -> None:
    found = task(workspace)
    judge(
        found, label("q2", "oil", 1), label("q1", "filter", 2), label("q1", "valve", 0), label("q3", "oil", 0)
    )
    now = state(found)
    write_qrels(found, now)
    assert found.qrels.read_text() == f"{HEAD}q1\tfilter\t2\nq1\tvalve\t0\nq2\toil\t1\nq3\toil\t0\n"
    assert (now.relevant, now.without) == (["q1", "q2"], ["q3"])
    assert now.judged_per_query == 4 / 3
    dataset = ensure(found.card, workspace)
    assert dataset.query_ids == ["q1", "q2"]
    assert dataset.qrels == {"q1": {"filter": 2, "valve": 0}, "q2": {"oil": 1}}


def test_gold_that_was_given_stays_and_labels_written_before_are_made_anew(workspace: Workspace) -> None:
    found = task(workspace, qrels=f"{HEAD}q1\tfilter\t1\n")
    judge(found, label("q2", "oil", 1))
    write_qrels(found, state(found))
    again = labelled("Works", workspace)
    judge(again, label("q2", "oil", 0), label("q2", "pump", 1))
    now = state(again)
    assert now.given == {Pair("q1", "filter"): 1}
    write_qrels(again, now)
    assert found.qrels.read_text() == f"{HEAD}q1\tfilter\t1\nq2\toil\t0\nq2\tpump\t1\n"


@pytest.mark.parametrize("qrels", ["", HEAD, None])
def test_empty_and_absent_qrels_are_no_obstacle(workspace: Workspace, qrels: str | None) -> None:
    found = task(workspace, qrels=qrels)
    now = state(found)
    assert (now.grades, now.without) == ({}, ["q1", "q2", "q3"])
    with pytest.raises(InputError, match="nothing is judged yet"):
        write_qrels(found, now)


def test_malformed_qrels_are_named(workspace: Workspace) -> None:
    found = task(workspace, qrels="q1\tfilter\n")
    with pytest.raises(InputError, match=r"test.tsv, line 1: has 2 columns"):
        state(found)


def test_judgements_of_what_is_gone_are_left_out_and_counted(workspace: Workspace) -> None:
    found = task(workspace)
    judge(found, label("q1", "filter", 1), label("q1", "gone", 1), label("gone", "filter", 1))
    now = state(found)
    assert (len(now.grades), now.gone) == (1, 2)


def test_an_id_with_a_tab_is_refused_before_anything_is_written(workspace: Workspace) -> None:
    make_task(workspace, documents={"a\tb": "filter"})
    found = labelled("Works", workspace)
    judge(found, label("q1", "a\tb", 1))
    with pytest.raises(InputError, match="a tab"):
        write_qrels(found, state(found))
    assert not found.qrels.exists()


def test_tasks_that_are_no_folder_of_ones_own_are_refused(tiny_workspace: Workspace) -> None:
    with pytest.raises(InputError, match="comes with DIBS"):
        labelled("FinanceBench-Sample", tiny_workspace)
    card = tiny_workspace.root / "tasks" / "Tiny.toml"
    text = card.read_text()
    card.write_text(text.replace('kind = "beir"', 'kind = "hub"'))
    with pytest.raises(InputError, match="not a folder of this workspace"):
        labelled("Tiny", tiny_workspace)
    card.write_text(f"{text}\n[source.files]\n'qrels/test.tsv' = '{'0' * 64}'\n")
    with pytest.raises(InputError, match="pins"):
        labelled("Tiny", tiny_workspace)


def test_judged_at_is_of_what_is_ranked() -> None:
    def ranking(*names: str) -> Ranking:
        return Ranking(list(names), np.zeros(len(names), np.float32))

    judged = {"q1": {"a", "b"}, "q2": {"a"}, "q3": {"a"}}
    run = Run({"q1": ranking("a", "x", "b"), "q2": ranking("a"), "q3": ranking(), "q4": ranking("a")})
    assert judged_at(run, judged, 2) == (1 / 2 + 1) / 2
    assert judged_at(run, judged, 10) == (2 / 3 + 1) / 2
    assert judged_at(Run({}), judged) is None


def test_journals_are_those_of_the_folder(workspace: Workspace, tmp_path: Path) -> None:
    found = task(workspace)
    judge(found, label("q1", "filter", 1), label("q1", "filter", 0, "Bob B/../x"))
    assert {path.name for path in found.journals()} == {"ann.jsonl", "Bob-B-..-x.jsonl"}
    assert found.labels == workspace.root / "tasks" / "labels" / "Works"
