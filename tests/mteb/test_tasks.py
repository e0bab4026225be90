"""Our tasks there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import mteb
import pytest
from mteb.abstasks import AbsTaskRetrieval
from mteb.types import Licenses

import dibs.mteb as door
from dibs.cards.mteb_names import mteb_task_name
from dibs.cards.task import DEFAULT_MEASURES, TaskCard
from dibs.data.prepare import ensure
from dibs.errors import InputError, MissingError
from dibs.mteb.tasks import _licence
from dibs.scoring.measures import Measure
from dibs.workspace import Workspace
from tests.mteb.helpers import BM25, GROUP, mteb_scores, tiny

pytestmark = GROUP


def _built_in(workspace: Workspace) -> list[TaskCard]:
    return [card for card in workspace.cards(TaskCard) if isinstance(card, TaskCard)]


def test_a_card_is_a_task_under_the_name_that_records_give_it(tiny_workspace: Workspace) -> None:
    task = door.mteb_task(tiny(tiny_workspace), tiny_workspace)
    assert isinstance(task, mteb.AbsTask)
    assert task.metadata.name == mteb_task_name("Tiny") == "DIBSTiny"
    assert mteb_task_name("FinanceBench") == "DIBSFinanceBench"
    assert mteb_task_name("ManufactQA-Open") == "DIBSManufactQAOpen"
    assert mteb_task_name("FinanceBench-Sample") == "DIBSFinanceBenchSample"


def test_every_card_that_dibs_ships_is_accepted_by_mteb(workspace: Workspace) -> None:
    cards = _built_in(workspace)
    tasks = [door.mteb_task_class(card, workspace) for card in cards]
    assert {"DIBSFinanceBench", "DIBSManufactQA", "DIBSDocsQASample"} <= {t.metadata.name for t in tasks}
    for card, task in zip(cards, tasks, strict=True):
        task.metadata._validate_metadata()
        assert task.metadata.license in get_args(Licenses)
        assert task.metadata.domains, card.name
        assert task.metadata.is_public == card.released


def test_metadata_are_filled_where_the_card_knows_reference_and_date(workspace: Workspace) -> None:
    filled = {
        card.name
        for card in _built_in(workspace)
        if door.mteb_task_class(card, workspace).metadata.is_filled()
    }
    assert filled == {c.name for c in _built_in(workspace) if c.reference and c.date} >= {"FinanceBench"}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("apache-2.0", "apache-2.0"),
        ("MIT", "mit"),
        ("cc-by-4.0 (questions), cc-by-sa-4.0 (pages)", "multiple"),
        ("mit, apache-2.0 and cc-by-sa-4.0, by source", "multiple"),
        ("not stated upstream; treat as non-commercial", "not specified"),
        ("limited use, permitted to none", "not specified"),
    ],
)
def test_licences_are_said_in_mtebs_words(ours: str, theirs: str) -> None:
    assert _licence(ours) == theirs


def test_the_main_score_is_the_cards_main_measure(tiny_workspace: Workspace) -> None:
    card = tiny(tiny_workspace).model_copy(update={"main_measure": "mrr@10"})
    assert door.mteb_task(card, tiny_workspace).metadata.main_score == "mrr_at_10"
    scores = mteb_scores(door.mteb_model(BM25, tiny_workspace), door.mteb_task(card, tiny_workspace))
    assert scores["main_score"] == scores["mrr_at_10"] == 0.8


def test_recall_at_30_is_there_though_mteb_measures_no_cutoff_of_30(tiny_workspace: Workspace) -> None:
    card = tiny(tiny_workspace).model_copy(update={"measures": DEFAULT_MEASURES})
    task = door.mteb_task(card, tiny_workspace)
    assert 30 not in AbsTaskRetrieval.k_values
    assert task.k_values == (1, 3, 5, 10, 20, 30, 100)
    assert task._top_k == 100  # not the 1,000 documents a query that MTEB asks for
    scores = mteb_scores(door.mteb_model(BM25, tiny_workspace), task)
    assert {Measure.parse(text).mteb_name for text in DEFAULT_MEASURES} < scores.keys()


def test_the_title_is_not_doubled(tiny_workspace: Workspace) -> None:
    task = door.mteb_task(tiny(tiny_workspace), tiny_workspace, template="titled")
    task.load_data()
    corpus = task.dataset[task.hf_subsets[0]]["test"]["corpus"]
    assert corpus.column_names == ["id", "text"]
    assert corpus[0]["text"] == "apple-10k-p1: Apple's net sales rose in fiscal 2022."
    assert corpus[5]["text"] == "blank:"


def test_data_are_those_of_the_data_set(tiny_workspace: Workspace) -> None:
    task = door.mteb_task(tiny(tiny_workspace), tiny_workspace)
    dataset = ensure(tiny(tiny_workspace), tiny_workspace)
    assert task.metadata.revision.startswith(f"{dataset.info.sha256}-")
    task.load_data()
    split = task.dataset[task.hf_subsets[0]]["test"]
    assert list(split["queries"]["id"]) == ["q1", "q2", "q3", "q4", "q5"]
    assert split["queries"].column_names == ["id", "text"]
    assert split["relevant_docs"]["q4"] == {"boeing-10k-p2": 1, "boeing-10k-p3": 1}
    assert split["top_ranked"] is None


def test_the_query_prompt_is_given_for_queries(workspace: Workspace) -> None:
    task = door.mteb_task_class(workspace.card(TaskCard, "FinanceBench"), workspace)
    prompt: Any = task.metadata.prompt
    assert prompt == {"query": "Given a financial question, retrieve the filing page that answers it"}


def test_a_task_can_be_evaluated_again_after_its_data_were_unloaded(tiny_workspace: Workspace) -> None:
    task, model = door.mteb_task(tiny(tiny_workspace), tiny_workspace), door.mteb_model(BM25, tiny_workspace)
    first, revision = mteb_scores(model, task), task.metadata.revision
    assert not task.data_loaded
    assert task.metadata.revision == revision
    assert mteb_scores(model, task) == first


def test_data_that_are_not_prepared_are_asked_for(workspace: Workspace) -> None:
    task = door.mteb_task(workspace.card(TaskCard, "FinanceBench"), workspace)
    assert task.metadata.revision == "cc39aeb4afdf33909ee1412188bf89035950c2eb"
    with pytest.raises(MissingError, match="dibs data prepare FinanceBench"):
        task.load_data()


def test_a_malformed_date_is_said_with_the_cards_name(tiny_workspace: Workspace) -> None:
    card = tiny(tiny_workspace).model_copy(update={"date": ("spring", "autumn")})
    with pytest.raises(InputError, match="Tiny: MTEB does not accept its date"):
        door.mteb_task(card, tiny_workspace)


def test_statistics_are_not_written_into_the_installed_mteb(tiny_workspace: Workspace) -> None:
    task = door.mteb_task(tiny(tiny_workspace), tiny_workspace)
    stats: Any = task.calculate_descriptive_statistics()
    assert stats["test"]["num_documents"] == 6
    assert task.metadata.descriptive_stat_path.is_relative_to(tiny_workspace.cache)
    assert json.loads(task.metadata.descriptive_stat_path.read_text()) == stats
    assert not list((Path(mteb.__file__).parent / "descriptive_stats").rglob("DIBS*"))


def test_an_evaluation_calculates_no_descriptive_statistics(
    tiny_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object, *args: object, **kwargs: object) -> None:
        raise AssertionError("MTEB would write into its package")

    monkeypatch.setattr(mteb.AbsTask, "calculate_descriptive_statistics", refuse)
    task = door.mteb_task(tiny(tiny_workspace), tiny_workspace)
    mteb_scores(door.mteb_model(BM25, tiny_workspace), task)
    assert task.metadata.n_samples is None
