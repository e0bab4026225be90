from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dibs.cards.task import TaskCard
from dibs.data.prepare import ensure
from dibs.encoders.base import FloatArray
from dibs.training.documents import of_task
from dibs.training.leakage import COSINE, GRAM, Leak, Test, as_test, guard, seen
from dibs.training.words import normalised, words
from dibs.workspace import Workspace
from tests.training.helpers import pair

LONG = "What was the capital expenditure of Zappa Corporation in its fiscal year 2018?"
TEST = Test(
    task="Small",
    data="0" * 64,
    queries={"t1": LONG, "t2": "Is Zappa's margin improving lately?", "t3": "Why?"},
    qrels={"t1": {"d1": 1, "d2": 0}, "t2": {"d2": 1, "d3": 1}, "t3": {"d9": 1}},
    groups={"d1": "g1", "d2": "g2", "d3": "g2", "d9": "g9"},
)


def leaks(*queries: str) -> list[Leak]:
    return guard([pair(query) for query in queries], TEST, None, None).leaks


def test_the_same_words_leak_whatever_their_form() -> None:
    assert leaks(LONG, LONG.upper().replace(" ", "  ") + "!!") == [
        Leak(0, "equal", "t1"),
        Leak(1, "equal", "t1"),
    ]
    assert leaks("why") == [Leak(0, "equal", "t3")]
    for other in (LONG.replace(" ", "_"), f"_{LONG}_", "Is Zappas margin improving lately?"):
        assert [leak.reason for leak in leaks(other)] == ["equal"]
    assert [leak.reason for leak in leaks(f"Say: {LONG.replace(' ', '_')}")] == [f"{GRAM}-gram"]


def test_eight_words_in_a_row_leak_and_seven_do_not() -> None:
    assert leaks("Say, was the capital expenditure of Zappa Corporation in 2018?") == [
        Leak(0, "8-gram", "t1")
    ]
    assert leaks("Say, was the capital expenditure of Zappa Corporation, and why?") == []


def test_a_short_test_query_leaks_as_a_whole_from_five_words_on() -> None:
    assert leaks("Tell me: is Zappa's margin improving lately, or not?") == [Leak(0, "8-gram", "t2")]
    assert leaks("Why not?") == []


def vectors(texts: Sequence[str]) -> FloatArray:
    """Two directions: near copies of t1 lie 18 degrees from it (cosine .951), far ones 19 (.946)."""
    angles = [np.deg2rad(18 if "near" in text else 19 if "far" in text else 0) for text in texts]
    return np.array([[np.cos(angle), np.sin(angle)] for angle in angles], dtype=np.float32)


def test_close_vectors_leak_from_the_threshold_on() -> None:
    found = guard([pair("something far"), pair("why"), pair("something near")], TEST, vectors, "toy")
    assert [(leak.place, leak.reason, leak.query_id) for leak in found.leaks] == [
        (1, "equal", "t3"),
        (2, "cosine", "t1"),
    ]
    assert found.leaks[1].cosine == round(float(np.cos(np.deg2rad(18))), 4) > COSINE
    assert found.removed == {"equal": 1, "8-gram": 0, "cosine": 1}
    assert found.as_dict()["rules"]["encoder"] == "toy"


def test_without_vectors_the_report_says_so() -> None:
    assert guard([pair("Other")], TEST, None, "toy").as_dict()["rules"]["encoder"] is None


def test_seen_gold_is_split_out() -> None:
    found = seen(
        [pair("A", "d1", group="g1"), pair("B", "d3", group="g2"), pair("C", "d7", group="g7")], TEST
    )
    assert (found.gold_documents, found.trained_on, found.share) == (4, ["d1", "d3"], 0.5)
    assert (found.gold_groups, found.groups_trained_on) == (3, 2)
    assert found.queries == ["t1", "t2"]


def test_a_document_that_is_irrelevant_is_not_gold() -> None:
    assert seen([pair("A", "d2")], TEST).queries == ["t2"]


def test_gold_of_other_files_is_known_by_its_text() -> None:
    test = Test("Small", "0", {"t1": LONG}, {"t1": {"d1": 1}}, documents={"d1": "The page.\nIts text."})
    assert seen([pair("A", "mine", document="the page. its  text")], test).trained_on == ["d1"]
    assert seen([pair("A", "mine", document="Another page.")], test).trained_on == []


def test_seen_is_of_what_stays() -> None:
    found = guard([pair(LONG, "d1"), pair("Other", "d3")], TEST, None, None)
    assert found.seen.trained_on == ["d3"]


def test_nothing_is_nothing() -> None:
    found = guard([], TEST, vectors, "toy")
    assert (found.leaks, found.seen.queries, found.pairs) == ([], [], 0)
    assert guard([pair("A")], Test("None", "0", {}, {}), vectors, "toy").seen.share == 0


def test_a_task_as_a_test(tiny_workspace: Workspace) -> None:
    card = tiny_workspace.card(TaskCard, "Tiny")
    dataset = ensure(card, tiny_workspace)
    found = as_test(dataset, of_task(card, dataset, template=None, group=None))
    assert list(found.queries) == ["q1", "q2", "q3", "q4", "q5"]
    assert found.gold == set(dataset.document_ids)
    assert found.documents["boeing-10k-p1"] == "Boeing delivered 480 airplanes."


query = st.lists(
    st.sampled_from(["what", "was", "the", "net", "sale", "of", "ada", "bea", "in", "2018", "2019"]),
    max_size=14,
).map(" ".join)


@given(st.lists(query, max_size=6), st.lists(query, max_size=6))
def test_what_is_kept_shares_no_run_of_words(training: list[str], held: list[str]) -> None:
    test = Test("Small", "0", {str(place): text for place, text in enumerate(held)}, {})
    found = guard([pair(text) for text in training], test, None, None)
    out = {leak.place for leak in found.leaks}
    kept = [text for place, text in enumerate(training) if place not in out]
    assert not {normalised(text) for text in kept} & {normalised(text) for text in held}
    runs = {run for text in held for run in _runs(text)}
    assert not {run for text in kept for run in _runs(text)} & runs
    for leak in found.leaks:  # and none is removed for nothing
        said, asked = words(training[leak.place]), words(test.queries[leak.query_id])
        if leak.reason == "equal":
            assert said == asked
        else:
            shared = set(_runs(" ".join(said))) & set(_runs(" ".join(asked)))
            assert shared or (len(asked) < GRAM and " ".join(asked) in " ".join(said))


@given(st.lists(query, min_size=1, max_size=6), st.permutations(range(6)))
def test_the_order_of_the_test_does_not_matter(held: list[str], order: list[int]) -> None:
    pairs = [pair(text) for text in ("what was the net sale of ada in 2018 ada bea", "net sale", held[0])]
    tests = [{str(at): held[at] for at in some if at < len(held)} for some in (range(6), order)]
    one, other = (guard(pairs, Test("Small", "0", queries, {}), None, None) for queries in tests)
    assert [(leak.place, leak.reason) for leak in one.leaks] == [
        (leak.place, leak.reason) for leak in other.leaks
    ]


def _runs(text: str) -> list[tuple[str, ...]]:
    said = words(text)
    return [tuple(said[at : at + GRAM]) for at in range(len(said) - GRAM + 1)]
