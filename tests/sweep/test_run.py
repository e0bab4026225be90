from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dibs.cards.model import ModelCard
from dibs.cards.task import TaskCard
from dibs.data.dataset import Dataset
from dibs.errors import InputError
from dibs.evaluate import Work, evaluate
from dibs.records import all_records
from dibs.retrieval.dense import DenseRetriever
from dibs.retrieval.hybrid import HybridRetriever
from dibs.sweep.choose import choose
from dibs.sweep.run import Configuration, Sweep, sweep
from dibs.workspace import Workspace
from tests.encoders.test_pooled import ToyPooling
from tests.toys import FixedRetriever, make_dataset

pytestmark = pytest.mark.filterwarnings("ignore:only .* queries")

DOCUMENTS = {"d1": "net sales rose", "d2": "cash fell", "d3": "a blue sky", "d4": "zebras", "d5": "cash fell"}
QUERIES = {f"q{number}": {"text": text, "filing": f"f{number // 2}"} for number, text in enumerate(
    ["sales", "cash", "sky", "zebra", "blue", "fell", "net", "rose"]
)}  # fmt: skip
QRELS = {"q0": {"d1": 1}, "q1": {"d2": 1, "d5": 1}, "q2": {"d3": 1}, "q3": {"d4": 1}, "q4": {"d3": 1},
         "q5": {"d2": 1}, "q6": {"d1": 1}, "q7": {"d1": 1}}  # fmt: skip
TASK: dict[str, Any] = {
    "name": "Tiny", "description": "", "source": {"kind": "beir"}, "licence": "x", "citation": "x",
    "measures": ["recall@1", "mrr@10"], "main_measure": "recall@1", "cluster": "filing",
    "documents": {"template": "{text}"},
}  # fmt: skip


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "data", DOCUMENTS, QUERIES, QRELS)


def work_of(dataset: Dataset, retriever: Any) -> Work:
    return Work(TaskCard.model_validate(TASK), dataset, retriever, ModelCard(name="toy", adapter="toy"))


def sweep_of(dataset: Dataset, encoders: Sequence[ToyPooling], **fields: Any) -> Sweep:
    configurations = tuple(
        Configuration({"n": n} if n else {}, DenseRetriever(encoder), min(n, 1), f"dibs run {n}")
        for n, encoder in enumerate(encoders)
    )
    return Sweep("toy", work_of(dataset, configurations[0].retriever), configurations, **fields)


def grid_of(ran: list[list[str]]) -> list[ToyPooling]:
    return [
        ToyPooling("mean", ran=ran),
        *(
            ToyPooling(pooling, prompt=prompt, ran=ran)
            for pooling in ("cls", "last")
            for prompt in ("", "a ")
        ),
        ToyPooling("mean", dimension=2, ran=ran),
    ]


def test_documents_are_encoded_once_and_queries_once_a_prompt(dataset: Dataset, workspace: Workspace) -> None:
    ran: list[list[str]] = []
    record = sweep(sweep_of(dataset, grid_of(ran)), workspace).record
    assert sorted(map(len, ran)) == [4, 8, 8]
    cost = record.manifest["cost"]
    assert (cost["documents_encoded"], cost["queries_encoded"]) == (4, 16)


def test_a_run_after_a_sweep_encodes_nothing_and_scores_the_same(
    dataset: Dataset, workspace: Workspace
) -> None:
    swept = sweep(sweep_of(dataset, grid_of([])), workspace).record
    table = swept.queries()
    for place in range(6):
        fresh: list[list[str]] = []
        encoder = grid_of(fresh)[place]
        done = evaluate(work_of(dataset, DenseRetriever(encoder)), workspace)
        assert fresh == []
        np.testing.assert_array_equal(done.record.queries()["recall@1"], table[str(place)])


def test_a_sweep_after_a_run_encodes_only_what_it_lacks(dataset: Dataset, workspace: Workspace) -> None:
    evaluate(work_of(dataset, DenseRetriever(ToyPooling("mean"))), workspace)
    ran: list[list[str]] = []
    sweep(
        sweep_of(dataset, [ToyPooling("mean", ran=ran), ToyPooling("mean", dimension=2, ran=ran)]), workspace
    )
    assert ran == []


def test_the_record_can_be_analysed_again(dataset: Dataset, workspace: Workspace) -> None:
    record = sweep(sweep_of(dataset, grid_of([])), workspace).record
    assert (record.kind, record.pipeline, record.faults()) == ("sweep", "sweep toy", [])
    table, scores = record.queries(), record.scores
    assert table["query_id"].tolist() == list(QUERIES)
    values = table[[str(place) for place in range(6)]].to_numpy()
    clusters = table["cluster"].tolist()
    again = choose(values, table["development"].to_numpy(), clusters, [0, 1, 1, 1, 1, 1])
    assert (scores["chosen"], scores["hindsight"]) == (again.chosen, again.hindsight)
    assert scores["optimism"] == again.optimism
    for found, estimate in zip(scores["configurations"], again.held_out, strict=True):
        assert found["held_out"]["recall@1"] == estimate.value == found["held_out_interval"]["value"]
        assert set(found["development"]) == {"recall@1", "mrr@10"}
    halves = {label: set(table[table["cluster"] == label]["development"]) for label in set(clusters)}
    assert all(len(half) == 1 for half in halves.values())
    assert scores["split"]["development"] == {"queries": 4, "clusters": 2}
    assert len(scores["split"]["development_sha256"]) == 64


def test_a_sweep_leaves_no_record_of_single_configurations(dataset: Dataset, workspace: Workspace) -> None:
    sweep(sweep_of(dataset, grid_of([])), workspace)
    assert list(all_records(workspace.results)) == []
    assert len(list(all_records(workspace.results, "sweep"))) == 1


def test_equal_work_finds_its_record_and_another_split_makes_another(
    dataset: Dataset, workspace: Workspace
) -> None:
    first = sweep(sweep_of(dataset, grid_of([])), workspace)
    again = sweep(sweep_of(dataset, grid_of([])), workspace)
    assert (first.reused, again.reused) == (False, True)
    assert first.record.folder == again.record.folder
    for fields in ({"seed": 7}, {"share": 0.25}):
        assert not sweep(sweep_of(dataset, grid_of([]), **fields), workspace).reused
    assert not sweep(sweep_of(dataset, grid_of([])[:3]), workspace).reused


@pytest.mark.filterwarnings("ignore:.*is made anew")
def test_a_damaged_record_is_made_anew(dataset: Dataset, workspace: Workspace) -> None:
    record = sweep(sweep_of(dataset, grid_of([])), workspace).record
    expected = (record.folder / "scores.json").read_bytes()
    (record.folder / "scores.json").write_text(json.dumps({}))
    again = sweep(sweep_of(dataset, grid_of([])), workspace)
    assert not again.reused
    assert (record.folder / "scores.json").read_bytes() == expected


def test_a_stopped_sweep_keeps_what_it_encoded(
    dataset: Dataset, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(DenseRetriever, "search", stopped)
        with pytest.raises(KeyboardInterrupt):
            sweep(sweep_of(dataset, grid_of([])), workspace)
    ran: list[list[str]] = []
    assert not sweep(sweep_of(dataset, grid_of(ran)), workspace).reused
    assert ran == []


def test_parts_of_a_hybrid_are_searched_once(dataset: Dataset, workspace: Workspace) -> None:
    one = FixedRetriever({"q0": {"d1": 2.0, "d2": 1.0}, "q2": {"d3": 1.0}}, name="one")
    two = FixedRetriever({"q1": {"d2": 2.0, "d5": 1.0}, "q3": {"d1": 2.0, "d4": 1.0}}, name="two")
    base = work_of(dataset, None)
    parts = tuple(replace(base, retriever=part) for part in (one, two))
    weights = (None, (0.0, 1.0), (1.0, 0.0))
    configurations = tuple(
        Configuration({"weights": w} if w else {}, HybridRetriever((one, two), weights=w), 0.0, "")
        for w in weights
    )
    work = Sweep("one+two", replace(base, retriever=configurations[0].retriever, parts=parts), configurations)
    table = sweep(work, workspace).record.queries()
    assert (one.searches, two.searches) == (1, 1)
    assert table["1"].tolist()[:4] == [0, 0.5, 0, 0]
    assert table["2"].tolist()[:4] == [1, 0, 1, 0]
    assert len(list(all_records(workspace.results))) == 2


def test_few_queries_are_warned_of(dataset: Dataset, workspace: Workspace) -> None:
    with pytest.warns(UserWarning, match="only 4 queries in 2 clusters choose"):
        sweep(sweep_of(dataset, [ToyPooling("mean"), ToyPooling("cls")]), workspace)


def test_a_share_that_is_none_is_refused_before_any_work(dataset: Dataset, workspace: Workspace) -> None:
    ran: list[list[str]] = []
    with pytest.raises(InputError, match="between 0 and 1"):
        sweep(sweep_of(dataset, grid_of(ran), share=1.0), workspace)
    assert ran == []
