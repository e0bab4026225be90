from __future__ import annotations

import re

import numpy as np
import pytest

from dibs.errors import InputError
from dibs.scoring.split import split, visible

QUERIES = [f"q{number}" for number in range(12)]
FILINGS = ["a", "b", "c", "a", "b", "c", "d", "e", "f", "d", "e", "f"]


@pytest.mark.parametrize("seed", range(20))
def test_no_cluster_is_in_both_halves(seed: int) -> None:
    found = split(QUERIES, FILINGS, seed=seed)
    chosen = {label for label, here in zip(FILINGS, found.development, strict=True) if here}
    tested = {label for label, here in zip(FILINGS, found.development, strict=True) if not here}
    assert chosen | tested == set(FILINGS)
    assert not chosen & tested
    assert found.clusters == (len(chosen), len(tested)) == (3, 3)
    assert found.queries == (6, 6)


def test_the_draw_depends_on_the_seed_and_on_nothing_else() -> None:
    first = split(QUERIES, FILINGS, seed=1)
    again = split(QUERIES[::-1], FILINGS[::-1], seed=1)
    np.testing.assert_array_equal(first.development, again.development[::-1])
    draws = {tuple(split(QUERIES, FILINGS, seed=seed).development.tolist()) for seed in range(20)}
    assert len(draws) > 5


def test_a_draw_is_the_same_on_every_machine() -> None:
    assert split(["q1", "q2", "q3", "q4"], None, seed=1).development.tolist() == [False, True, False, True]


def test_without_clusters_queries_are_drawn() -> None:
    found = split(QUERIES, None, share=0.25)
    assert found.queries == found.clusters == (3, 9)


@pytest.mark.parametrize(("share", "expected"), [(0.01, (1, 5)), (0.5, (3, 3)), (0.99, (5, 1))])
def test_neither_half_is_empty(share: float, expected: tuple[int, int]) -> None:
    assert split(QUERIES, FILINGS, share).clusters == expected


@pytest.mark.parametrize("share", [0, 1, -0.5, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        split(QUERIES, FILINGS, share)


@pytest.mark.parametrize(("queries", "clusters"), [([], None), (["q1"], None), (["q1", "q2"], ["a", "a"])])
def test_fewer_than_two_clusters_cannot_be_split(queries: list[str], clusters: list[str] | None) -> None:
    with pytest.raises(InputError, match=re.escape(f"{len(set(clusters or queries))} clusters")):
        split(queries, clusters)


def test_halves_that_are_too_small_are_told() -> None:
    many = [f"q{number}" for number in range(200)]
    assert split(many, None).weaknesses() == []
    (chosen,) = split(many, None, share=0.4).weaknesses()
    assert "80 queries in 80 clusters choose" in chosen
    assert "below 14 points" in chosen
    few = split(many, [f"c{number // 5}" for number in range(200)]).weaknesses()
    assert [text.split(":")[0] for text in few] == [
        "only 100 queries in 20 clusters choose",
        "only 100 queries in 20 clusters test the choice",
    ]


@pytest.mark.parametrize(("queries", "points"), [(150, 10.2), (139, 10.6), (6787, 1.5)])
def test_what_can_be_seen(queries: int, points: float) -> None:
    assert 100 * visible(queries) == pytest.approx(points, abs=0.05)
