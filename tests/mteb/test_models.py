"""Our models there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mteb
import numpy as np
import pytest
from mteb.models import EncoderProtocol, SearchProtocol

import dibs.mteb as door
from dibs.cards.model import ModelCard
from dibs.retrieval.run import Run
from dibs.workspace import Workspace
from tests.mteb.helpers import BM25, GROUP, WORDS, WordsEncoder, mteb_scores, tiny
from tests.toys import FixedRetriever

pytestmark = [GROUP, pytest.mark.usefixtures("words_adapter")]


def _task(workspace: Workspace, **changes: Any) -> door.DibsTask:
    return door.mteb_task(tiny(workspace).model_copy(update=changes), workspace)


def _given(task: door.DibsTask) -> dict[str, Any]:
    """What MTEB says to a model besides corpus and queries."""
    place = {"hf_split": "test", "hf_subset": task.hf_subsets[0]}
    return {"task_metadata": task.metadata, "encode_kwargs": {}, "num_proc": None, **place}


def _revision(card: ModelCard, workspace: Workspace) -> str | None:
    revision = door.mteb_model(card, workspace).mteb_model_meta.revision
    assert revision is not None
    return revision


def test_an_encoder_is_both_of_mtebs_protocols_and_bm25_is_one(workspace: Workspace) -> None:
    encoder: Any = door.mteb_model(WORDS, workspace)
    bm25: Any = door.mteb_model(BM25, workspace)
    assert isinstance(encoder, EncoderProtocol)
    assert isinstance(encoder, SearchProtocol)
    assert isinstance(bm25, SearchProtocol)
    assert not isinstance(bm25, EncoderProtocol)
    assert bm25.mteb_model_meta.name == "dibs/bm25"
    assert bm25.mteb_model_meta.model_type == ["sparse"]


def test_names_are_the_cache_key_so_a_model_finetuned_at_the_same_path_has_another_revision(
    workspace: Workspace, tmp_path: Path
) -> None:
    folder = tmp_path / "finetuned"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"first epoch")
    card = ModelCard(name="mine", adapter="sentence-transformers", model=str(folder), dimension=8)
    before = door.mteb_model(card, workspace).mteb_model_meta
    (folder / "model.safetensors").write_bytes(b"second epoch")
    after = door.mteb_model(card, workspace).mteb_model_meta
    assert before.name == after.name == "dibs/mine"
    assert before.revision != after.revision


@pytest.mark.parametrize(
    "setting", [{"query_prompt": "q: "}, {"document_prompt": "d: "}, {"max_tokens": 9}, {"dimension": 4}]
)
def test_another_setting_of_the_same_model_has_another_revision(
    workspace: Workspace, setting: dict[str, Any]
) -> None:
    assert _revision(WORDS, workspace) != _revision(WORDS.model_copy(update=setting), workspace)


def test_a_model_has_one_revision_for_all_tasks(workspace: Workspace) -> None:
    card = WORDS.model_copy(update={"query_prompt": "{instruction}: "})
    model = door.mteb_model(card, workspace)
    before = model.mteb_model_meta.revision
    assert model.mteb_model_meta.use_instructions
    model.mteb_model_meta = model.mteb_model_meta.model_copy(update={"revision": "main", "license": "mit"})
    assert model.mteb_model_meta.revision == before == _revision(card, workspace)
    assert model.mteb_model_meta.license == "mit"


def test_the_tasks_prompt_and_token_limit_reach_the_encoder(tiny_workspace: Workspace) -> None:
    WordsEncoder.log.clear()
    model = door.mteb_model(WORDS.model_copy(update={"query_prompt": "{instruction}: "}), tiny_workspace)
    mteb_scores(model, _task(tiny_workspace, query_prompt="Find the page", max_tokens=3))
    assert "Find the page: What were Apple's" in WordsEncoder.log
    assert "Apple's net sales" in WordsEncoder.log
    assert max(len(text.split()) for text in WordsEncoder.log) == 6
    WordsEncoder.log.clear()
    mteb_scores(model, _task(tiny_workspace, query_prompt="Find the page", max_tokens=2))
    assert "Apple's net" in WordsEncoder.log


def test_a_model_without_instruction_is_loaded_once_for_all_tasks(tiny_workspace: Workspace) -> None:
    model: Any = door.mteb_model(WORDS, tiny_workspace)
    first = model._encoder
    for prompt in ("Find the page", "Find the answer"):
        mteb_scores(model, _task(tiny_workspace, query_prompt=prompt))
    assert model._encoder is first


def test_what_is_in_the_store_is_not_encoded_again(tiny_workspace: Workspace) -> None:
    mteb_scores(door.mteb_model(WORDS, tiny_workspace), _task(tiny_workspace))
    WordsEncoder.log.clear()
    mteb_scores(door.mteb_model(WORDS, tiny_workspace), _task(tiny_workspace))
    assert WordsEncoder.log == []


def test_vectors_for_mtebs_other_tasks_come_from_the_encoder(tiny_workspace: Workspace) -> None:
    model: Any = door.mteb_model(WORDS, tiny_workspace)
    given = _given(_task(tiny_workspace))
    vectors = model.encode([{"text": ["a b", "c"]}, {"text": ["a b"]}], **given)
    assert vectors.shape == (3, 16)
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert model.encode([], **given).shape == (0, 16)


def test_a_query_without_results_is_kept_where_mteb_would_drop_it_from_the_mean(
    tiny_workspace: Workspace,
) -> None:
    # Searched alone, q5 shares no word with a document; MTEB would give the four others' mean.
    task = _task(tiny_workspace)
    task.load_data()
    split = task.dataset[task.hf_subsets[0]]["test"]
    model: Any = door.mteb_model(BM25, tiny_workspace)
    model.index(split["corpus"], **_given(task))
    found = model.search(split["queries"], top_k=10, **_given(task))
    assert list(found) == ["q1", "q2", "q3", "q4", "q5"]
    assert found["q5"] == {}
    only_q1 = door.mteb_pipeline(FixedRetriever({"q1": {"apple-10k-p1": 1.0}}), tiny_workspace)
    assert mteb_scores(only_q1, task)["recall_at_10"] == 0.2


def test_bm25_gives_no_documents_of_score_zero_to_fill_its_list(tiny_workspace: Workspace) -> None:
    task = _task(tiny_workspace)
    assert mteb_scores(door.mteb_model(BM25, tiny_workspace), task)["recall_at_10"] == 0.8
    padded = mteb_scores(mteb.get_model("mteb/baseline-bm25s"), task)
    assert padded["recall_at_10"] == 1.0  # all six documents, even for q5, which nothing answers


@pytest.mark.parametrize("card", [BM25, WORDS], ids=lambda card: card.name)
def test_given_candidates_are_ranked_and_no_others(tiny_workspace: Workspace, card: ModelCard) -> None:
    task = _task(tiny_workspace)
    task.load_data()
    split = task.dataset[task.hf_subsets[0]]["test"]
    model: Any = door.mteb_model(card, tiny_workspace)
    model.index(split["corpus"], **_given(task))
    everything = model.search(split["queries"], top_k=6, **_given(task))
    candidates = {"q1": ["boeing-10k-p1", "apple-10k-p1"], "q4": ["blank", "boeing-10k-p2", "apple-10k-p2"]}
    found = model.search(split["queries"], top_k=2, top_ranked=candidates, **_given(task))
    assert next(iter(found["q1"])) == "apple-10k-p1"
    assert set(found["q1"]) <= set(candidates["q1"])
    assert found["q2"] == {}
    assert len(found["q4"]) <= 2
    for query, documents in found.items():
        assert documents == pytest.approx({name: everything[query][name] for name in documents})


def test_a_ready_made_pipeline_is_a_model_named_after_itself(tiny_workspace: Workspace) -> None:
    one = door.mteb_pipeline(FixedRetriever({}, name="hybrid (bm25 + x)", option="a"), tiny_workspace)
    other = door.mteb_pipeline(FixedRetriever({}, name="hybrid (bm25 + x)", option="b"), tiny_workspace)
    assert one.mteb_model_meta.name == "dibs/hybrid-bm25-x"
    assert one.mteb_model_meta.revision != other.mteb_model_meta.revision
    assert one.mteb_model_meta.model_type == ["hybrid"]


def test_ties_are_broken_by_id_descending_as_dibs_does(tiny_workspace: Workspace) -> None:
    tied = {"q4": {"boeing-10k-p2": 1.0, "boeing-10k-p3": 1.0, "boeing-10k-p1": 1.0}}
    scores = mteb_scores(door.mteb_pipeline(FixedRetriever(tied), tiny_workspace), _task(tiny_workspace))
    assert Run.of(tied, ["q4"]).rankings["q4"].documents[0] == "boeing-10k-p3"
    assert scores["recall_at_1"] == pytest.approx(0.5 / 5)  # p3, one of q4's two, of five queries


def test_scores_equal_in_float32_are_ties_for_all_of_mtebs_measures(
    tiny_workspace: Workspace,
) -> None:
    # In float64 p1 is first: pytrec_eval would see a tie there and MTEB's own mrr would not.
    nearly = {"q4": {"boeing-10k-p1": 1.0 + 1e-9, "boeing-10k-p2": 1.0, "boeing-10k-p3": 1.0}}
    scores = mteb_scores(door.mteb_pipeline(FixedRetriever(nearly), tiny_workspace), _task(tiny_workspace))
    assert scores["mrr_at_1"] == scores["hit_rate_at_1"] == 0.2
