from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from dibs.errors import InputError
from dibs.retrieval.fusion import reciprocal_rank, weighted_scores
from dibs.retrieval.run import Run

FIRST = Run.of({"q": {"a": 9.0, "b": 5.0, "c": 1.0}}, ["q"])
SECOND = Run.of({"q": {"d": 0.75, "c": 0.5, "a": 0.25}}, ["q"])


def scores(run: Run, query: str = "q") -> dict[str, float]:
    return run.scores()[query]


def close(**values: float) -> dict[str, object]:
    return {name: pytest.approx(value, rel=1e-6) for name, value in values.items()}


def test_reciprocal_ranks_are_summed_over_the_runs_that_rank_a_document() -> None:
    fused = reciprocal_rank([FIRST, SECOND])
    # a: ranks 1 and 3; b: 2; c: 3 and 2; d: 1.
    assert scores(fused) == close(a=1 / 61 + 1 / 63, c=1 / 63 + 1 / 62, d=1 / 61, b=1 / 62)
    assert fused.rankings["q"].documents == ["a", "c", "d", "b"]


def test_weights_and_the_constant_of_reciprocal_ranks() -> None:
    fused = reciprocal_rank([FIRST, SECOND], weights=[0.25, 1], constant=0)
    assert scores(fused) == close(d=1, c=0.25 / 3 + 1 / 2, a=0.25 + 1 / 3, b=0.125)
    assert fused.rankings["q"].documents == ["d", "c", "a", "b"]


def test_min_max_fusion_scales_each_ranking_to_0_and_1() -> None:
    fused = weighted_scores([FIRST, SECOND])
    # First: a 1, b 0.5, c 0. Second: d 1, c 0.5, a 0.
    assert scores(fused) == close(a=1, b=0.5, c=0.5, d=1)
    assert fused.rankings["q"].documents == ["d", "a", "c", "b"]


def test_weights_of_min_max_fusion() -> None:
    fused = weighted_scores([FIRST, SECOND], [0.75, 0.25])
    assert scores(fused) == close(a=0.75, b=0.375, c=0.125, d=0.25)
    assert fused.rankings["q"].documents == ["a", "b", "d", "c"]


def test_min_max_fusion_does_not_depend_on_a_runs_scale() -> None:
    moved = Run.of({"q": {name: 1000 * score - 7 for name, score in scores(SECOND).items()}}, ["q"])
    assert scores(weighted_scores([FIRST, moved])) == close(**scores(weighted_scores([FIRST, SECOND])))


@pytest.mark.parametrize("ranking", [{"a": 3.0}, {"a": -2.0, "b": -2.0}, {"a": 0.0}])
def test_a_ranking_of_equal_scores_becomes_all_1(ranking: dict[str, float]) -> None:
    assert scores(weighted_scores([Run.of({"q": ranking}, ["q"])])) == dict.fromkeys(ranking, 1)


def test_scales_are_each_querys_own() -> None:
    run = Run.of({"q1": {"a": 100, "b": 0}, "q2": {"a": 1, "b": 0.5, "c": 0}}, ["q1", "q2"])
    fused = weighted_scores([run])
    assert (scores(fused, "q1"), scores(fused, "q2")) == ({"a": 1, "b": 0}, {"a": 1, "b": 0.5, "c": 0})


@pytest.mark.parametrize("fuse", [reciprocal_rank, weighted_scores])
def test_documents_that_a_run_does_not_rank_get_no_credit_from_it(fuse: Callable[..., Run]) -> None:
    lone = Run.of({"q": {"z": 1.0}}, ["q"])
    assert scores(fuse([FIRST, lone])) == scores(fuse([FIRST])) | {"z": scores(fuse([lone]))["z"]}


@pytest.mark.parametrize("fuse", [reciprocal_rank, weighted_scores])
def test_a_run_of_weight_0_is_not_there(fuse: Callable[..., Run]) -> None:
    assert scores(fuse([FIRST, SECOND], [1, 0])) == scores(fuse([FIRST], [1]))


@pytest.mark.parametrize("fuse", [reciprocal_rank, weighted_scores])
def test_every_query_of_any_run_is_there_in_order(fuse: Callable[..., Run]) -> None:
    one = Run.of({"q2": {"a": 1.0}}, ["q1", "q2"])
    two = Run.of({"q3": {"b": 1.0}, "q1": {"c": 1.0}}, ["q3", "q1"])
    fused = fuse([one, two])
    assert {query: ranking.documents for query, ranking in fused.rankings.items()} == {
        "q1": ["c"],
        "q2": ["a"],
        "q3": ["b"],
    }
    assert list(fused.rankings) == ["q1", "q2", "q3"]
    assert fuse([Run.of({}, ["q"])]).rankings["q"].documents == []


def test_ties_go_to_the_greater_id() -> None:
    runs = [Run.of({"q": {"a": 2, "b": 1}}, ["q"]), Run.of({"q": {"b": 2, "a": 1}}, ["q"])]
    assert reciprocal_rank(runs).rankings["q"].documents == ["b", "a"]
    assert weighted_scores(runs).rankings["q"].documents == ["b", "a"]


@pytest.mark.parametrize("ranks", [(1, 2, 3), (1, 5, 9), (3, 40, 90), (7, 77, 100)])
def test_the_same_ranks_in_another_order_tie_exactly(ranks: tuple[int, int, int]) -> None:
    """Six documents with the same three ranks, each in its own order of the runs."""
    orders = list(itertools.permutations(range(3)))
    for number, order in enumerate(orders):
        fused = []
        for mine in (orders[0], order):
            rankings = [[f"x{place}" for place in range(100)] for _ in range(3)]
            for run, which in enumerate(mine):
                rankings[run][ranks[which] - 1] = "d"
            runs = [
                Run.of({"q": {name: -float(place) for place, name in enumerate(names)}}, ["q"])
                for names in rankings
            ]
            fused.append(scores(reciprocal_rank(runs))["d"])
        assert fused[0] == fused[1], number


def test_a_fused_run_is_in_the_ranking_order() -> None:
    random = np.random.default_rng(3)
    names = [f"d{place}" for place in range(50)]
    drawn = [random.integers(0, 5, 50).tolist() for _ in range(3)]
    runs = [Run.of({"q": dict(zip(names, values, strict=True))}, ["q"]) for values in drawn]
    for fused in (reciprocal_rank(runs), weighted_scores(runs)):
        assert fused.scores() == Run.of(fused.scores(), ["q"]).scores()
        listed = list(zip(fused.rankings["q"].scores.tolist(), fused.rankings["q"].documents, strict=True))
        assert listed == sorted(listed, reverse=True)


@pytest.mark.parametrize(
    "weights", [[1], [1, 1, 1], [1, -0.5], [0, 0], [1, math.nan], [1, math.inf], []], ids=str
)
@pytest.mark.parametrize("fuse", [reciprocal_rank, weighted_scores])
def test_weights_that_do_not_fit_are_refused(fuse: Callable[..., Run], weights: list[float]) -> None:
    with pytest.raises(InputError, match="cannot be fused"):
        fuse([FIRST, SECOND], weights)


@pytest.mark.parametrize("fuse", [reciprocal_rank, weighted_scores])
def test_no_runs_are_refused(fuse: Callable[..., Run]) -> None:
    with pytest.raises(InputError, match="0 runs and the weights none"):
        fuse([])


def test_a_negative_constant_is_refused() -> None:
    with pytest.raises(InputError, match="constant of reciprocal rank fusion is -1"):
        reciprocal_rank([FIRST], constant=-1)
