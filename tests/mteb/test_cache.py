"""MTEB's result cache, and what it must not mix up."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mteb
import pytest
from mteb.results import TaskResult

import dibs.mteb as door
from dibs import plugins
from dibs.cards.model import ModelCard
from dibs.cards.task import TaskCard
from dibs.records import MTEB, Record
from dibs.workspace import Workspace
from tests.mteb.helpers import BM25, GROUP, WORDS, WordsEncoder, dibs_record, mteb_scores, tiny
from tests.toys import FixedRetriever

pytestmark = [GROUP, pytest.mark.usefixtures("words_adapter")]


@pytest.fixture
def cache(tmp_path: Path) -> Any:
    return mteb.ResultCache(tmp_path / "mteb")


def _counting(workspace: Workspace) -> tuple[FixedRetriever, door.PipelineModel]:
    retriever = FixedRetriever({"q1": {"apple-10k-p1": 1.0}})
    return retriever, door.mteb_pipeline(retriever, workspace)


def _change_the_corpus(workspace: Workspace) -> None:
    corpus = workspace.root / "tasks" / "tiny" / "corpus.jsonl"
    corpus.write_text(corpus.read_text().replace("480 airplanes", "480 jet airplanes"))


def test_the_same_work_is_found(tiny_workspace: Workspace, cache: Any) -> None:
    retriever, model = _counting(tiny_workspace)
    first = mteb_scores(model, door.mteb_task(tiny(tiny_workspace), tiny_workspace), cache)
    again = mteb_scores(model, door.mteb_task(tiny(tiny_workspace), tiny_workspace), cache)
    assert retriever.searches == 1
    assert _without_nauc(again) == _without_nauc(first)


def test_mteb_itself_gives_the_old_score_for_a_new_revision_of_the_data(
    tiny_workspace: Workspace, cache: Any
) -> None:
    # Why the subset is named after the data; when this fails, MTEB compares revisions.
    retriever, model = _counting(tiny_workspace)
    for revision in ("first", "second"):
        task: Any = door.mteb_task(tiny(tiny_workspace), tiny_workspace)
        source = {"path": "dibs/Tiny", "revision": revision}
        task.metadata = task.metadata.model_copy(update={"dataset": source})
        mteb_scores(model, task, cache)
    assert retriever.searches == 1


def test_other_data_are_searched_anew(tiny_workspace: Workspace, cache: Any) -> None:
    retriever, model = _counting(tiny_workspace)
    mteb_scores(model, door.mteb_task(tiny(tiny_workspace), tiny_workspace), cache)
    _change_the_corpus(tiny_workspace)
    mteb_scores(model, door.mteb_task(tiny(tiny_workspace), tiny_workspace), cache)
    assert retriever.searches == 2


@pytest.mark.parametrize(
    "change",
    [
        {"query_prompt": "Find the page"},
        {"max_tokens": 512},
        {"measures": ("recall@5", "recall@10")},
        {"main_measure": "mrr@10"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_task_is_searched_anew(
    tiny_workspace: Workspace, cache: Any, change: dict[str, Any]
) -> None:
    retriever, model = _counting(tiny_workspace)
    card = tiny(tiny_workspace)
    mteb_scores(model, door.mteb_task(card, tiny_workspace), cache)
    scores = mteb_scores(model, door.mteb_task(card.model_copy(update=change), tiny_workspace), cache)
    assert retriever.searches == 2
    assert ("recall_at_5" in scores) == ("measures" in change)


def test_another_document_template_is_searched_anew(tiny_workspace: Workspace, cache: Any) -> None:
    retriever, model = _counting(tiny_workspace)
    mteb_scores(model, door.mteb_task(tiny(tiny_workspace), tiny_workspace), cache)
    mteb_scores(model, door.mteb_task(tiny(tiny_workspace), tiny_workspace, "titled"), cache)
    assert retriever.searches == 2


def test_a_model_finetuned_in_place_does_not_get_the_score_of_its_base(
    tiny_workspace: Workspace, cache: Any, tmp_path: Path
) -> None:
    weights = tmp_path / "weights"
    card = ModelCard(name="mine", adapter="words", model=str(weights))
    task = door.mteb_task(tiny(tiny_workspace), tiny_workspace)
    weights.write_text("")
    base = mteb_scores(door.mteb_model(card, tiny_workspace), task, cache)
    WordsEncoder.log.clear()
    weights.write_text(" noise " * 40)
    tuned = mteb_scores(door.mteb_model(card, tiny_workspace), task, cache)
    assert len(WordsEncoder.log) == 10  # five queries, five different documents
    assert tuned != base


def test_another_prompt_does_not_get_the_old_score(tiny_workspace: Workspace, cache: Any) -> None:
    task = door.mteb_task(tiny(tiny_workspace), tiny_workspace)
    plain = mteb_scores(door.mteb_model(WORDS, tiny_workspace), task, cache)
    prompted = WORDS.model_copy(update={"query_prompt": "noise " * 40})
    assert mteb_scores(door.mteb_model(prompted, tiny_workspace), task, cache) != plain


def _bm25_record(workspace: Workspace, card: TaskCard) -> Record:
    return dibs_record(plugins.load("retriever", "bm25")(BM25), card, workspace)


def test_the_result_file_of_a_record_is_one_of_mtebs(tiny_workspace: Workspace) -> None:
    record = _bm25_record(tiny_workspace, tiny(tiny_workspace))
    result = TaskResult.from_disk(record.folder / MTEB)
    assert result.task_name == "DIBSTiny"
    assert result.get_score() == 0.8
    assert result.languages == ["eng"]


def test_records_are_in_a_table_of_mteb(tiny_workspace: Workspace, cache: Any) -> None:
    record = _bm25_record(tiny_workspace, tiny(tiny_workspace))
    meta = door.mteb_model(BM25, tiny_workspace).mteb_model_meta
    cache.save_to_cache(TaskResult.from_disk(record.folder / MTEB), meta)
    table = cache.load_results().to_dataframe()
    assert table["task_name"].tolist() == ["DIBSTiny"]
    assert table["dibs/bm25"].tolist() == [0.8]


@pytest.mark.usefixtures("registries")
def test_get_benchmark_result_shows_records_and_evaluations(tiny_workspace: Workspace, cache: Any) -> None:
    _with_known_size(tiny_workspace)
    door.register(tiny_workspace)
    benchmark = mteb.get_benchmark("DIBS")
    (task,) = (task for task in benchmark.tasks if task.metadata.name == "DIBSTiny")
    mteb_scores(mteb.get_model("dibs/bm25"), task, cache)
    record = _bm25_record(tiny_workspace, tiny(tiny_workspace))
    # MTEB shows models of its registry only; this name is there, as every card's.
    meta = door.mteb_model(ModelCard(name="e5-base-v2", adapter="words"), tiny_workspace).mteb_model_meta
    cache.save_to_cache(TaskResult.from_disk(record.folder / MTEB), meta)
    only_tiny = mteb.Benchmark(name="only Tiny", tasks=[task])
    shown = cache.load_results(tasks=only_tiny).get_benchmark_result()
    assert sorted(shown["Model"]) == ["dibs/bm25", "dibs/e5-base-v2"]
    assert shown["Mean (Task)"].tolist() == [0.8, 0.8]


@pytest.mark.usefixtures("registries")
def test_scores_on_other_data_are_not_shown_beside_these(tiny_workspace: Workspace, cache: Any) -> None:
    _with_known_size(tiny_workspace)
    door.register(tiny_workspace)
    mteb_scores(mteb.get_model("dibs/bm25"), mteb.get_task("DIBSTiny"), cache)
    _change_the_corpus(tiny_workspace)
    only_tiny = mteb.Benchmark(name="only Tiny", tasks=[mteb.get_task("DIBSTiny")])
    with pytest.warns(UserWarning, match="DIBSTiny: Missing subsets"):
        shown = cache.load_results(tasks=only_tiny).get_benchmark_result()
    assert "Mean (Task)" not in shown


def test_a_record_copied_into_a_cache_counts_as_done(tiny_workspace: Workspace, cache: Any) -> None:
    record = dibs_record(FixedRetriever({"q1": {"apple-10k-p1": 1.0}}), tiny(tiny_workspace), tiny_workspace)
    retriever, model = _counting(tiny_workspace)
    task = door.mteb_task(tiny(tiny_workspace), tiny_workspace)
    place = cache.get_task_result_path("DIBSTiny", model.mteb_model_meta)
    place.parent.mkdir(parents=True)
    shutil.copy(record.folder / MTEB, place)
    assert mteb_scores(model, task, cache)["main_score"] == 0.2
    assert retriever.searches == 0
    assert json.loads(place.read_text())["dataset_revision"] == task.metadata.revision


def _without_nauc(scores: dict[str, Any]) -> dict[str, Any]:
    """Without what may differ in the sign of a zero."""
    return {name: value for name, value in scores.items() if not name.startswith("nauc")}


def _with_known_size(workspace: Workspace) -> None:
    path = workspace.root / "tasks" / "Tiny.toml"
    path.write_text(path.read_text() + "\n[expect]\nqueries = 5\n")
