from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from scipy.stats import bootstrap

from dibs.scoring import statistics
from dibs.scoring.statistics import Estimate, estimate

Table = np.ndarray[Any, np.dtype[np.float64]]


def column(*values: float) -> Table:
    return np.array(values, dtype=np.float64)[:, None]


def width(found: Estimate) -> float:
    assert found.low is not None
    assert found.high is not None
    return found.high - found.low


def clustered(clusters: int, size: int, columns: int, seed: int) -> Table:
    """Hits and misses, (clusters * size, columns); a cluster's queries share their chance of a hit."""
    chance = np.random.default_rng(seed)
    rates = chance.beta(1, 1, size=(clusters, columns)).repeat(size, axis=0)
    return (chance.random(rates.shape) < rates).astype(np.float64)


def labels(clusters: int, size: int) -> list[str]:
    return [f"c{number}" for number in range(clusters) for _ in range(size)]


def covered(found: list[Estimate], truth: float) -> float:
    """The share of intervals that hold `truth`."""
    return float(
        np.mean([e.low <= truth <= e.high for e in found if e.low is not None and e.high is not None])
    )


def test_the_same_values_give_the_same_limits() -> None:
    values = clustered(20, 5, 3, seed=1)
    assert estimate(values, labels(20, 5)) == estimate(values.copy(), labels(20, 5))


def test_another_seed_gives_other_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).random((30, 1))
    before = estimate(values)
    monkeypatch.setattr(statistics, "SEED", statistics.SEED + 1)
    after = estimate(values)
    assert before[0].value == after[0].value
    assert before != after


def test_limits_do_not_depend_on_the_other_columns_or_on_the_block_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = clustered(15, 4, 3, seed=2)
    together = estimate(values, labels(15, 4))
    alone = estimate(values[:, 1:2], labels(15, 4))[0]
    assert together[1].value == alone.value
    assert (together[1].low, together[1].high) == pytest.approx((alone.low, alone.high), abs=1e-12)
    monkeypatch.setattr(statistics, "_DRAWN", 1000)
    in_small_blocks = estimate(values, labels(15, 4))
    assert [(e.low, e.high) for e in in_small_blocks] == [
        pytest.approx((e.low, e.high), abs=1e-12) for e in together
    ]


def test_the_mean_is_over_queries_not_over_clusters() -> None:
    assert estimate(column(1, 0, 0, 0), ["a", "b", "b", "b"])[0].value == 0.25


def test_what_the_clusters_are_called_and_how_they_lie_does_not_matter() -> None:
    values, names = clustered(12, 3, 1, seed=3), labels(12, 3)
    shuffled = np.random.default_rng(3).permutation(len(names))
    there = estimate(values[shuffled], [names[place] for place in shuffled])
    assert there == estimate(values, names)


def test_queries_repeated_inside_their_clusters_say_nothing_new() -> None:
    values, names = clustered(20, 3, 1, seed=4), labels(20, 3)
    doubled = np.concatenate([values, values])
    assert estimate(doubled, names * 2)[0] == estimate(values, names)[0]
    once, twice = estimate(values)[0], estimate(doubled)[0]
    assert width(twice) == pytest.approx(width(once) / np.sqrt(2), rel=0.1)
    assert width(twice) < width(estimate(doubled, names * 2)[0])


def test_95_percent_of_the_intervals_hold_the_mean() -> None:
    # 600 data sets as columns: 60 queries each, whose true mean is 0.3. The percentile interval of
    # such a sample covers a little less than it says (Efron and Tibshirani, chapter 13).
    values = np.random.default_rng(5).random((60, 600)) ** (7 / 3)  # E[U^a] = 1 / (1 + a)
    assert covered(estimate(values), 0.3) == pytest.approx(0.945, abs=0.015)


def test_clusters_keep_the_coverage_that_single_queries_lose() -> None:
    values, names = clustered(40, 10, 400, seed=6), labels(40, 10)
    assert covered(estimate(values, names), 0.5) == pytest.approx(0.945, abs=0.02)
    assert covered(estimate(values), 0.5) < 0.75


def test_as_scipy_where_each_query_is_its_own_cluster() -> None:
    values = np.random.default_rng(7).beta(0.5, 0.8, size=(200, 1))
    found = estimate(values)[0]
    theirs = bootstrap(
        (values[:, 0],), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.003)


@pytest.mark.parametrize("names", [["a"] * 4, None])
def test_one_cluster_has_no_interval(names: list[str] | None) -> None:
    values = column(1, 0, 1, 1) if names else column(0.75)
    assert estimate(values, names) == [Estimate(0.75, None, None)]


def test_one_cluster_that_scored_1_throughout_has_none_either() -> None:
    assert estimate(column(1, 1), ["a", "a"]) == [Estimate(1.0, None, None)]


@pytest.mark.parametrize(
    ("value", "low", "high"), [(0.0, 0.0, 1 - 0.025 ** (1 / 20)), (1.0, 0.025 ** (1 / 20), 1.0)]
)
def test_all_or_nothing_has_the_limits_of_clopper_and_pearson(value: float, low: float, high: float) -> None:
    # With x = 0 of n the upper limit solves (1 - p)^n = 0.025; with x = n it is the mirror image.
    found = estimate(np.full((20, 1), value))[0]
    assert (found.value, found.low, found.high) == pytest.approx((value, low, high))


def test_all_or_nothing_counts_a_cluster_as_one_trial() -> None:
    found = estimate(np.ones((100, 1)), labels(20, 5))[0]
    assert (found.low, found.high) == pytest.approx((0.025 ** (1 / 20), 1.0))


def test_columns_of_other_constants_have_no_width() -> None:
    # Every query found half of its documents: the data show no spread, and 0.5 is no edge.
    assert estimate(np.full((20, 1), 0.5)) == [Estimate(0.5, 0.5, 0.5)]


def test_a_query_without_a_label_is_a_cluster_of_its_own() -> None:
    values = column(0.1, 0.4, 0.3, 0.9, 0.5)
    assert estimate(values) == estimate(values, ["a", "b", "c", "d", "e"])


def test_no_queries_have_no_mean() -> None:
    (found,) = estimate(np.empty((0, 1)))
    assert np.isnan(found.value)
    assert (found.low, found.high) == (None, None)


def test_memory_stays_bounded_for_docsqa() -> None:
    values = np.random.default_rng(8).random((6083, 11))
    tracemalloc.start()
    found = estimate(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6  # all draws at once would be 487 MB
    assert all(0.01 < width(one) < 0.02 for one in found)


def test_how_an_estimate_reads() -> None:
    assert str(Estimate(0.51234, 0.4, 0.6)) == "0.512 [0.400, 0.600]"
    assert str(Estimate(1.0, None, None)) == "1.000"
    assert Estimate(0.5, None, None).as_dict() == {"value": 0.5, "low": None, "high": None}
