from __future__ import annotations

import dataclasses
import json
import platform
from pathlib import Path
from typing import Any

import pytest

from dibs import evaluate as module
from dibs.cards.model import ModelCard
from dibs.cards.task import Expect, Subset, TaskCard
from dibs.data.dataset import Dataset
from dibs.data.prepare import ensure
from dibs.errors import InputError
from dibs.evaluate import DEPTH, Done, Work, evaluate
from dibs.files import digest
from dibs.records import MTEB, QUERIES, RUN, SCORES, Record
from dibs.retrieval.base import Retriever
from dibs.retrieval.bm25 import BM25Retriever
from dibs.retrieval.dense import DenseRetriever
from dibs.retrieval.run import read_run
from dibs.workspace import Workspace
from tests.toys import FixedRetriever, HashEncoder

# recall@1, recall@10 and the reciprocal rank of Tiny's five queries, made by hand below.
SCORES_OF = {
    "q1": {"apple-10k-p1": 2.0, "apple-10k-p2": 1.0},  # 1, 1, 1
    "q2": {"apple-10k-p1": 2.0, "apple-10k-p2": 1.0},  # 0, 1, 1/2
    "q3": {"boeing-10k-p1": 1.0},  # 1, 1, 1
    "q4": {"boeing-10k-p3": 1.0, "boeing-10k-p2": 1.0},  # 1/2, 1, 1
}  # q5 finds nothing: 0, 0, 0
MODEL = ModelCard(name="fixed", adapter="fixed", key="TOY_API_KEY")


@pytest.fixture
def work(tiny_workspace: Workspace) -> Work:
    card = tiny_workspace.card(TaskCard, "Tiny")
    dataset = ensure(card, tiny_workspace)
    return Work(card, dataset, FixedRetriever(SCORES_OF), MODEL, command="dibs run --model fixed --task Tiny")


def changed(work: Work, **fields: Any) -> Work:
    """The same work by a card with other fields."""
    return dataclasses.replace(work, task=work.task.model_copy(update=fields))


def searches(work: Work) -> int:
    assert isinstance(work.retriever, FixedRetriever)
    return work.retriever.searches


def manifest(done: Done) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((done.record.folder / "manifest.json").read_text())
    return values


def state(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_record_has_the_run_the_scores_and_how_it_was_made(work: Work, tiny_workspace: Workspace) -> None:
    done = evaluate(work, tiny_workspace)
    assert not done.reused
    assert sorted(state(done.record.folder)) == ["manifest.json", MTEB, QUERIES, RUN, SCORES]
    assert done.record.folder.parent == tiny_workspace.results / "Tiny" / "fixed"
    assert done.record.faults() == []
    assert read_run(done.record.folder / RUN, work.dataset.query_ids).scores() == SCORES_OF | {"q5": {}}


def test_each_measure_has_its_mean_over_all_queries_and_its_interval(
    work: Work, tiny_workspace: Workspace
) -> None:
    scores = evaluate(work, tiny_workspace).record.scores
    everything, checked = scores["subsets"]["all"], scores["subsets"]["checked"]
    assert list(scores["subsets"]) == ["all", "checked"]
    assert (everything["n_queries"], checked["n_queries"]) == (5, 2)
    means = {name: found["value"] for name, found in everything["measures"].items()}
    assert means == {"recall@1": 2.5 / 5, "recall@10": 4 / 5, "mrr@10": pytest.approx(3.5 / 5)}
    assert {name: found["value"] for name, found in checked["measures"].items()} == dict.fromkeys(means, 1.0)
    recall = everything["measures"]["recall@10"]
    assert (recall["low"], recall["high"]) == (0, 1)  # three filings: all, all, nothing
    assert scores["interval"] == {
        "method": "cluster bootstrap",
        "level": 0.95,
        "resamples": 10_000,
        "seed": 20250220,
        "cluster": "filing",
    }


def test_each_query_has_its_values(work: Work, tiny_workspace: Workspace) -> None:
    table = evaluate(work, tiny_workspace).record.queries()
    assert table.to_dict("list") == {
        "query_id": ["q1", "q2", "q3", "q4", "q5"],
        "cluster": ["apple", "apple", "boeing", "boeing", "corning"],
        "split": ["metric", "metric", "count", "metric", "count"],
        "in:checked": [True, False, True, False, False],
        "recall@1": [1, 0, 1, 0.5, 0],
        "recall@10": [1, 1, 1, 1, 0],
        "mrr@10": [1, 0.5, 1, 1, 0],
    }


def test_the_manifest_says_how_it_was_made(work: Work, tiny_workspace: Workspace) -> None:
    found = manifest(evaluate(work, tiny_workspace))
    assert list(found) == [
        "format", "pipeline", "inputs", "model", "cost", "about", "command", "created", "versions",
        "hardware", "git", "task", "data", "scoring", "files", "sha256",
    ]  # fmt: skip
    assert found["inputs"] == {
        "task": "Tiny",
        "data": work.dataset.info.sha256,
        "template": "{text}",
        "pipeline": {"retriever": "fixed", "option": "a"},
        "depth": 100,
    }
    assert found["data"] == {
        "sha256": work.dataset.info.sha256,
        "queries": 5,
        "documents": 6,
        "empty_documents": 1,
        "duplicate_documents": 1,
        "lacking": None,
        "notes": [],
    }
    assert found["command"] == "dibs run --model fixed --task Tiny"
    assert found["task"]["name"] == "Tiny"
    assert found["task"]["source"] == {"kind": "beir"}
    assert found["model"] == {"name": "fixed", "adapter": "fixed", "key": "TOY_API_KEY"}
    assert found["cost"]["search"] == 0.25
    assert {"python", "dibs", "numpy", "pytrec-eval-terrier"} <= found["versions"].keys()
    assert {"processor", "cores", "memory_gib", "system", "machine"} == found["hardware"].keys()
    assert found["created"].endswith("+00:00")


def test_nothing_in_a_record_names_a_place_a_machine_or_a_secret(
    work: Work, tiny_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_API_KEY", "sk-very-secret")
    model = MODEL.model_copy(update={"model": str(tiny_workspace.root / "my-model")})
    done = evaluate(dataclasses.replace(work, model=model), tiny_workspace)
    content = b"\n".join(value for name, value in state(done.record.folder).items() if name != RUN).decode(
        "utf-8", "replace"
    )
    for told in (str(tiny_workspace.root.parent), str(Path.home()) + "/", platform.node(), "sk-very-secret"):
        assert told not in content
    assert manifest(done)["model"]["model"] == "my-model"


def test_the_same_work_finds_its_record(work: Work, tiny_workspace: Workspace) -> None:
    first = evaluate(work, tiny_workspace)
    before = state(first.record.folder)
    second = evaluate(work, tiny_workspace)
    assert second.reused
    assert second.record.folder == first.record.folder
    assert state(second.record.folder) == before
    assert searches(work) == 1


def test_a_second_making_differs_in_its_manifest_alone(work: Work, tiny_workspace: Workspace) -> None:
    first = evaluate(work, tiny_workspace)
    elsewhere = Workspace(tiny_workspace.root / "other", tiny_workspace.cache)
    second = evaluate(work, elsewhere)
    one, two = state(first.record.folder), state(second.record.folder)
    assert {name for name in one if one[name] != two[name]} <= {"manifest.json"}
    assert second.record.hash == first.record.hash


@pytest.mark.parametrize(
    "change",
    [
        lambda work: dataclasses.replace(work, retriever=FixedRetriever(SCORES_OF, option="b")),
        lambda work: dataclasses.replace(work, template="titled"),
        lambda work: changed(work, measures=("recall@10", "recall@200")),
        lambda work: dataclasses.replace(
            work,
            dataset=Dataset(work.dataset.folder, dataclasses.replace(work.dataset.info, sha256="0" * 64)),
        ),
    ],
    ids=["settings", "template", "depth", "data"],
)
def test_other_work_has_another_record(work: Work, tiny_workspace: Workspace, change: Any) -> None:
    first, second = evaluate(work, tiny_workspace), evaluate(change(work), tiny_workspace)
    assert not second.reused
    assert second.record.hash != first.record.hash


def test_a_template_stands_in_the_pipelines_name(work: Work, tiny_workspace: Workspace) -> None:
    done = evaluate(dataclasses.replace(work, template="titled"), tiny_workspace)
    assert done.record.pipeline == "fixed (titled)"
    assert manifest(done)["inputs"]["template"] == "{title}: {text}"


def test_a_template_the_card_has_not_is_refused(work: Work, tiny_workspace: Workspace) -> None:
    with pytest.raises(InputError, match="Tiny has no document template 'bold'\n  Declared: titled"):
        evaluate(dataclasses.replace(work, template="bold"), tiny_workspace)


def test_rankings_go_as_deep_as_the_deepest_measure(work: Work) -> None:
    assert work.depth == DEPTH == 100
    assert changed(work, measures=("recall@10", "success@250")).depth == 250


@pytest.mark.parametrize(
    "fields",
    [
        {"measures": ("recall@10", "ndcg@5"), "main_measure": "ndcg@5"},
        {"cluster": None},
        {"split_by": None},
        {"subsets": {"apple": Subset(field="filing", value="apple")}},
    ],
    ids=lambda fields: "-".join(fields),
)
def test_other_rules_of_scoring_score_the_stored_run_anew(
    work: Work, tiny_workspace: Workspace, fields: dict[str, Any]
) -> None:
    first = evaluate(work, tiny_workspace)
    before, created = state(first.record.folder), manifest(first)["created"]
    other = changed(work, **fields)
    second = evaluate(other, tiny_workspace)
    assert second.reused
    assert second.record.folder == first.record.folder
    assert searches(work) == 1
    assert state(second.record.folder)[RUN] == before[RUN]
    assert second.record.faults() == []
    assert manifest(second)["scoring"] == other.scoring()
    assert manifest(second)["created"] == created
    assert list(second.record.scores["subsets"]["all"]["measures"]) == [str(m) for m in other.measures]
    evaluate(work, tiny_workspace)
    assert {
        name: content for name, content in state(first.record.folder).items() if name != "manifest.json"
    } == {name: content for name, content in before.items() if name != "manifest.json"}


def test_queries_whose_gold_was_trained_on_are_scored_apart(work: Work, tiny_workspace: Workspace) -> None:
    evaluate(work, tiny_workspace)
    done = evaluate(dataclasses.replace(work, seen=frozenset({"q1", "q5", "of another"})), tiny_workspace)
    assert done.reused  # the run is the same, the scores are made anew
    subsets = done.record.scores["subsets"]
    assert {name: subsets[name]["n_queries"] for name in ("all", "seen", "unseen")} == {
        "all": 5,
        "seen": 2,
        "unseen": 3,
    }
    assert subsets["seen"]["measures"]["recall@1"]["value"] == 0.5
    assert subsets["unseen"]["measures"]["recall@1"]["value"] == 0.5
    assert done.record.queries()["in:seen"].tolist() == [True, False, False, False, True]
    assert "seen" not in evaluate(work, tiny_workspace).record.scores["subsets"]


def test_a_subset_of_seen_queries_has_queries(work: Work, tiny_workspace: Workspace) -> None:
    everything = dataclasses.replace(work, seen=frozenset(work.dataset.query_ids))
    assert set(evaluate(everything, tiny_workspace).record.scores["subsets"]) == {"all", "checked", "seen"}


def test_scores_made_with_another_seed_are_made_anew(
    work: Work, tiny_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(work, tiny_workspace)
    monkeypatch.setattr(module, "SEED", 1)
    done = evaluate(work, tiny_workspace)
    assert done.record.scores["interval"]["seed"] == 1
    assert searches(work) == 1


@pytest.mark.parametrize("name", [RUN, SCORES, QUERIES, MTEB, "manifest.json"])
@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_a_record_that_is_not_as_it_was_written_is_made_anew(
    work: Work, tiny_workspace: Workspace, name: str, content: bytes | None
) -> None:
    before = state(evaluate(work, tiny_workspace).record.folder)
    folder = evaluate(work, tiny_workspace).record.folder
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
        with pytest.warns(UserWarning, match=r"^Tiny/fixed/.*; it is made anew$"):
            done = evaluate(work, tiny_workspace)
    elif name == "manifest.json":  # an unfinished record
        done = evaluate(work, tiny_workspace)
    else:
        with pytest.warns(UserWarning, match=f"^Tiny/fixed/.* {name} is absent; it is made anew$"):
            done = evaluate(work, tiny_workspace)
    assert not done.reused
    assert searches(work) == 2
    assert done.record.faults() == []
    after = state(folder)
    assert {key: after[key] for key in after if key != "manifest.json"} == {
        key: before[key] for key in before if key != "manifest.json"
    }


def test_a_record_copied_to_anothers_place_is_made_anew(work: Work, tiny_workspace: Workspace) -> None:
    first = evaluate(work, tiny_workspace).record.folder
    other = dataclasses.replace(work, retriever=FixedRetriever({}, option="b"))
    second = evaluate(other, tiny_workspace).record.folder
    for path in first.iterdir():
        (second / path.name).write_bytes(path.read_bytes())
    with pytest.warns(UserWarning, match="the inputs in the manifest do not give the record's hash"):
        done = evaluate(other, tiny_workspace)
    assert done.record.scores["subsets"]["all"]["measures"]["recall@10"]["value"] == 0


@pytest.mark.parametrize("full", [RUN, SCORES, "manifest.json"])
def test_results_that_cannot_be_written_are_the_users_to_mend(
    work: Work, tiny_workspace: Workspace, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    rename = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if target.name == full:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    with monkeypatch.context() as disk:
        disk.setattr(Path, "replace", replace)
        with pytest.raises(InputError, match="the record cannot be written: No space left on device"):
            evaluate(work, tiny_workspace)
    done = evaluate(work, tiny_workspace)
    assert not done.reused
    assert sorted(state(done.record.folder)) == ["manifest.json", MTEB, QUERIES, RUN, SCORES]


def test_results_that_are_no_folder(work: Work, tiny_workspace: Workspace) -> None:
    tiny_workspace.results.write_text("")
    with pytest.raises(InputError, match="nothing can be written here: it is not a folder"):
        evaluate(work, tiny_workspace)
    assert searches(work) == 0


@pytest.mark.parametrize("field", ["cluster", "split_by"])
def test_a_field_the_queries_lack_is_told_before_the_work(
    work: Work, tiny_workspace: Workspace, field: str
) -> None:
    with pytest.raises(
        InputError, match=r"the queries of Tiny have no field 'company'\n  They have: id, text"
    ):
        evaluate(changed(work, **{field: "company"}), tiny_workspace)
    with pytest.raises(InputError, match="have no field 'company'"):
        evaluate(changed(work, subsets={"x": Subset(field="company", value="3M")}), tiny_workspace)
    assert searches(work) == 0


def test_a_subset_without_queries_is_left_out_and_said(work: Work, tiny_workspace: Workspace) -> None:
    none = changed(work, subsets={"none": Subset(field="filing", value="3M")})
    with pytest.warns(UserWarning, match="Tiny: the subset 'none' is left out: no query has filing = '3M'"):
        done = evaluate(none, tiny_workspace)
    assert list(done.record.scores["subsets"]) == ["all"]
    assert "NaN" not in (done.record.folder / SCORES).read_text()


def test_what_is_lacking_of_a_whole_task_is_noted(work: Work, tiny_workspace: Workspace) -> None:
    expect = work.task.expect.model_copy(update={"queries": 9, "documents": 6})
    done = evaluate(changed(work, expect=expect), tiny_workspace)
    assert manifest(done)["data"]["lacking"] == "5 of 9 queries"


def test_mteb_json_is_what_mteb_writes(work: Work, tiny_workspace: Workspace) -> None:
    done = evaluate(work, tiny_workspace)
    found = json.loads((done.record.folder / MTEB).read_text())
    (scores,) = found["scores"].pop("test")
    assert found == {
        "dataset_revision": found["dataset_revision"],
        "task_name": "DIBSTiny",
        "mteb_version": manifest(done)["versions"]["mteb"],
        "scores": {},
        "evaluation_time": 0.25,
        "kg_co2_emissions": None,
    }
    assert found["dataset_revision"].startswith(work.dataset.info.sha256)
    assert (scores["recall_at_1"], scores["recall_at_10"], scores["mrr_at_10"]) == (0.5, 0.8, 0.7)
    assert scores["main_score"] == 0.8
    assert scores["languages"] == ["eng-Latn"]
    assert scores.keys() == {
        "recall_at_1", "recall_at_10", "mrr_at_10", "main_score", "hf_subset", "languages", "mteb_version"
    }  # fmt: skip


@pytest.mark.parametrize(
    "retriever",
    [BM25Retriever(ModelCard(name="bm25", adapter="bm25")), DenseRetriever(HashEncoder())],
    ids=["bm25", "dense"],
)
def test_real_retrievers_leave_whole_records(
    work: Work, tiny_workspace: Workspace, retriever: Retriever
) -> None:
    done = evaluate(dataclasses.replace(work, retriever=retriever), tiny_workspace)
    assert done.record.faults() == []
    assert done.record.hash == digest(manifest(done)["inputs"])[:12]
    assert done.record.scores["subsets"]["all"]["measures"]["recall@10"]["value"] >= 0.8
    assert evaluate(dataclasses.replace(work, retriever=retriever), tiny_workspace).reused


def test_a_stored_run_gives_the_scores_it_was_stored_with(work: Work, tiny_workspace: Workspace) -> None:
    dense = dataclasses.replace(work, retriever=DenseRetriever(HashEncoder()))
    first = evaluate(dense, tiny_workspace)
    table = (first.record.folder / QUERIES).read_bytes()
    evaluate(changed(dense, cluster=None), tiny_workspace)
    again = evaluate(dense, tiny_workspace)
    assert Record(again.record.folder).faults() == []
    assert (again.record.folder / QUERIES).read_bytes() == table


def test_what_a_changed_card_says_is_in_the_manifest(work: Work, tiny_workspace: Workspace) -> None:
    evaluate(work, tiny_workspace)
    done = evaluate(
        changed(work, description="Told anew.", expect=Expect(queries=5, documents=7)), tiny_workspace
    )
    assert done.reused
    assert searches(work) == 1
    assert manifest(done)["task"]["description"] == "Told anew."
    assert manifest(done)["data"]["lacking"] == "6 of 7 documents"
