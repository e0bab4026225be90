from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from dibs.cards.model import ModelCard
from dibs.cards.task import TaskCard
from dibs.data.prepare import ensure
from dibs.errors import InputError, ProviderError
from dibs.evaluate import Work
from dibs.retrieval.hybrid import HybridRetriever
from dibs.training.documents import of_task
from dibs.training.filter import filter_pairs
from dibs.training.leakage import as_test
from dibs.training.pairs import Pair, PairSet, read_rejects, write_pairs
from dibs.training.roundtrip import asked_of, ranks
from dibs.training.steps import DuplicatesStep, Found, JudgeStep, LeakageStep, RoundTripStep, Step
from dibs.workspace import Workspace
from tests.toys import FixedRetriever, HashEncoder
from tests.training.helpers import llm, pair

PAIRS = [
    pair("How did Apple's sales develop?", "apple-10k-p1"),
    pair("how did apple's sales develop", "apple-10k-p1"),
    pair("What were Apple's net sales?", "apple-10k-p2"),
    pair("Which share is Apple's margin?", "apple-10k-p2"),
    pair("How many planes did Boeing hand over?", "boeing-10k-p1", "development"),
]


@dataclass
class Drop:
    """Rejects the queries with a word, and cannot tell of those with another."""

    word: str
    doubt: str = "\0"
    name: str = "drop"
    seen: list[str] = field(default_factory=list)

    def settings(self) -> dict[str, Any]:
        return {"filter": self.name, "word": self.word}

    def look(self, pairs: Sequence[Pair]) -> Found:
        self.seen = [one.query for one in pairs]
        places = range(len(pairs))
        return Found(
            {at: f"has {self.word}" for at in places if self.word in pairs[at].query},
            {at: "no reply" for at in places if self.doubt in pairs[at].query},
        )


def source(place: Workspace, pairs: Sequence[Pair] = PAIRS) -> PairSet:
    folder = place.root / "pairs" / "Tiny-structure-00000000"
    about = {"kind": "pairs", "documents": "Tiny", "task": "Tiny", "licence": "none", "inputs": {"seed": 0}}
    return write_pairs(folder, pairs, about | {"filters": [], "note": "n", "generator": "structure"})


def leakage(place: Workspace, encoder: HashEncoder | None = None) -> LeakageStep:
    card = place.card(TaskCard, "Tiny")
    dataset = ensure(card, place)
    return LeakageStep(
        as_test(dataset, of_task(card, dataset, template=None, group=None)), encoder, place.cache
    )


def round_trip(place: Workspace, scores: dict[str, dict[str, float]], k: int) -> RoundTripStep:
    card = place.card(TaskCard, "Tiny")
    dataset = ensure(card, place)
    work = Work(card, dataset, FixedRetriever(scores), ModelCard(name="fixed", adapter="fixed"))
    return RoundTripStep(work, dataset, k, place.cache)


def test_each_step_sees_what_the_one_before_kept(workspace: Workspace) -> None:
    one, other = Drop("Boeing"), Drop("margin", doubt="Apple's net")
    done = filter_pairs(source(workspace), [one, DuplicatesStep(), other], workspace, "dibs filter")
    assert other.seen == [PAIRS[0].query, PAIRS[2].query, PAIRS[3].query]
    assert done.pairs.pairs == [PAIRS[0]]
    rejects = read_rejects(workspace.root / "pairs" / done.pairs.name)
    assert [(reject["line"], reject["filter"], reject["unsure"]) for reject in rejects] == [
        (5, "drop", False),
        (2, "near-duplicates", False),
        (3, "drop", True),
        (4, "drop", False),
    ]
    rates = [
        (one["pairs"], one["rejected"], one["unsure"], one["keep_rate"])
        for one in done.pairs.manifest["filters"]
    ]
    assert rates == [(5, 1, 0, 0.8), (4, 1, 0, 0.75), (3, 1, 1, 0.5)]
    assert done.pairs.manifest["source"]["inputs"] == {"seed": 0}
    assert done.pairs.manifest["task"] == "Tiny"


def test_what_is_filtered_is_found_again_unless_something_failed(workspace: Workspace) -> None:
    found = source(workspace)
    assert not filter_pairs(found, [Drop("margin")], workspace, "").reused
    assert filter_pairs(found, [Drop("margin")], workspace, "").reused
    assert not filter_pairs(found, [Drop("sales")], workspace, "").reused
    filter_pairs(found, [Drop("planes", doubt="margin")], workspace, "")
    assert not filter_pairs(found, [Drop("planes")], workspace, "").reused


def test_filters_of_filters_are_listed_together(workspace: Workspace) -> None:
    first = filter_pairs(source(workspace), [Drop("margin")], workspace, "").pairs
    second = filter_pairs(first, [Drop("planes")], workspace, "").pairs
    assert second.name.startswith("Tiny-structure-filtered-")
    assert [one["settings"]["word"] for one in second.manifest["filters"]] == ["margin", "planes"]


def test_nothing_to_do_and_nothing_left_are_said(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="nothing to filter by"):
        filter_pairs(source(workspace), [], workspace, "")
    with pytest.raises(InputError, match="the filter drop leaves not one pair of 5"):
        filter_pairs(source(workspace), [Drop("")], workspace, "")


def test_leaks_go_and_what_was_seen_is_of_what_stays(tiny_workspace: Workspace) -> None:
    steps: list[Step] = [leakage(tiny_workspace, HashEncoder()), Drop("Boeing")]
    manifest = filter_pairs(source(tiny_workspace), steps, tiny_workspace, "").pairs.manifest
    (found,) = manifest["leakage"]
    assert found["removed"] == {"equal": 1, "8-gram": 0, "cosine": 0}
    assert [(leak["place"], leak["query_id"]) for leak in found["leaks"]] == [(2, "q1")]
    assert found["rules"]["encoder"] == "hash"
    assert found["seen"]["trained_on"] == ["apple-10k-p1", "apple-10k-p2"]
    assert found["seen"]["queries"] == ["q1", "q2"]
    assert "net sales" not in str(manifest)  # ids alone


def test_a_later_filter_keeps_the_report_of_an_earlier_guard(tiny_workspace: Workspace) -> None:
    steps: list[Step] = [leakage(tiny_workspace, HashEncoder())]
    first = filter_pairs(source(tiny_workspace), steps, tiny_workspace, "").pairs
    again = filter_pairs(first, [Drop("Boeing")], tiny_workspace, "").pairs
    assert again.manifest["leakage"] == first.manifest["leakage"]
    assert first.manifest["leakage"]
    thrice = filter_pairs(again, steps, tiny_workspace, "").pairs
    assert len(thrice.manifest["leakage"]) == 1, "the task's new report takes the place of the old"


def test_the_same_words_in_another_order_have_a_cosine_of_one(tiny_workspace: Workspace) -> None:
    pairs = [pair("gross margin? the was What"), pair("Something else entirely.")]
    found = leakage(tiny_workspace, HashEncoder()).look(pairs)
    assert found.rejected == {0: "cosine with q2"}
    assert leakage(tiny_workspace).look(pairs).rejected == {}


def test_the_round_trip_keeps_what_finds_its_document(tiny_workspace: Workspace) -> None:
    scores = {
        "0": {"apple-10k-p1": 3.0},
        "1": {"blank": 3.0, "apple-10k-p1": 2.0},
        "2": {"blank": 3.0, "apple-10k-p1": 2.0, "apple-10k-p2": 1.0},
        "3": {"blank": 1.0},
    }
    found = round_trip(tiny_workspace, scores, k=2).look(PAIRS)
    assert found.rejected == {
        2: "its document is at rank 3",
        3: "its document is not found",
        4: "its document is not found",
    }
    assert found.about == {
        "pipeline": "fixed",
        "corpus": "Tiny",
        "documents": 6,
        "recall@1": 0.2,
        "recall@2": 0.4,
        "recall@10": 0.6,
    }


def test_a_pipeline_of_others_searches_with_their_runs(tiny_workspace: Workspace) -> None:
    both = {"0": {"apple-10k-p1": 2.0, "blank": 1.0}}, {"0": {"blank": 9.0}}
    parts = tuple(round_trip(tiny_workspace, scores, 1).work for scores in both)
    hybrid = HybridRetriever(tuple(part.retriever for part in parts), "rrf")
    step = round_trip(tiny_workspace, {}, k=1)
    fused = replace(step, work=replace(step.work, retriever=hybrid, parts=parts))
    assert fused.look(PAIRS[:1]).rejected == {0: "its document is at rank 2"}


def test_without_a_task_the_pairs_own_documents_are_searched() -> None:
    cloze = pair("What?", "d1", document="Less.")
    asked = asked_of([cloze, pair("Which?", "d1", document="Less and more."), pair("Who?", "d2")], None)
    assert asked.document_ids == ["d1", "d2"] or asked.document_ids == ["d2", "d1"]
    assert asked.document("d1")["text"] == "Less and more."
    assert asked.query_texts() == ["What?", "Which?", "Who?"]
    assert asked.qrels == {"0": {"d1": 1}, "1": {"d1": 1}, "2": {"d2": 1}}
    assert asked.info.sha256 != asked_of([cloze], None).info.sha256


def test_a_tasks_index_is_found_again(tiny_workspace: Workspace) -> None:
    dataset = ensure(tiny_workspace.card(TaskCard, "Tiny"), tiny_workspace)
    asked = asked_of(PAIRS, dataset)
    assert (asked.info.sha256, asked.info.queries) == (dataset.info.sha256, 5)
    assert asked.document_ids == dataset.document_ids
    assert ranks(FixedRetriever({"0": {"apple-10k-p1": 1}}).search(_search(asked), 5).run, PAIRS[:1]) == {
        0: 1
    }


def _search(asked: Any) -> Any:
    from dibs.retrieval.base import Search

    return Search(asked, "{text}", Path())


def verdict(**changes: Any) -> dict[str, Any]:
    return {"reason": "so", "answerable": True, "specific": True, "natural": True} | changes


def test_a_judge_keeps_what_is_answerable_specific_and_natural(tmp_path: Path) -> None:
    script = {
        "How did Apple": verdict(),
        "how did apple": verdict(specific=False, natural=False),
        "What were": verdict(answerable="yes"),
        "Which share": verdict(answerable=False, reason="it is\nnot there"),
        "How many": f"<think>hm</think>```json\n{json.dumps(verdict())}\n```",
    }
    step = JudgeStep(llm(tmp_path, script))
    found = step.look(PAIRS)
    assert found.rejected == {1: "not specific, not natural: so", 3: "not answerable: it is not there"}
    assert list(found.unsure) == [2]
    assert "asked twice: the reply has not the fields" in found.unsure[2]
    assert found.about == {"judge": "scripted", "not": {"answerable": 1, "specific": 1, "natural": 1}}
    assert step.estimate(PAIRS).cached == 5
    assert step.settings()["prompt"] == "judge.v1"


def test_a_judge_that_fails_goes_on_where_it_was(workspace: Workspace) -> None:
    found = source(workspace)
    script = {"question": verdict()}
    done = filter_pairs(
        found, [JudgeStep(llm(workspace.cache, script, fault="error", fault_every=3))], workspace, ""
    )
    lost = done.pairs.manifest["failed"]
    assert 0 < lost < 5
    assert len(done.pairs.pairs) == 5 - lost
    assert done.pairs.manifest["filters"][0]["keep_rate"] == 1.0  # an error is no verdict
    whole = filter_pairs(found, [JudgeStep(llm(workspace.cache, script))], workspace, "")
    assert whole.pairs.name == done.pairs.name
    assert len(whole.pairs.pairs) == 5
    assert whole.pairs.manifest["filters"][0]["cost"]["requests"] == lost


def test_a_judge_that_always_fails_leaves_nothing(workspace: Workspace) -> None:
    with pytest.raises(ProviderError, match="all 5 requests failed"):
        filter_pairs(source(workspace), [JudgeStep(llm(workspace.cache, fault="error"))], workspace, "")
    assert len(list((workspace.root / "pairs").iterdir())) == 1
