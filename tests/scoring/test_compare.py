from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from dibs.scoring.compare import Comparison, holm

A = [1.0, 1.0, 1.0, 0.5, 1.0, 0.0]
B = [0.0, 1.0, 0.0, 0.0, 1.0, 1.0]


def of(*systems: list[float], clusters: list[str] | None = None) -> Comparison:
    return Comparison(np.column_stack(systems), clusters)


def exact(differences: list[float]) -> float:
    """The randomisation test over every pattern of signs."""
    sums = [abs(np.dot(signs, differences)) for signs in product((1, -1), repeat=len(differences))]
    return float(np.mean([total >= abs(sum(differences)) - 1e-9 for total in sums]))


def test_the_p_value_is_that_of_every_pattern_of_signs() -> None:
    expected = exact([a - b for a, b in zip(A, B, strict=True)])
    assert of(A, B).p_value(0, 1) == pytest.approx(expected, abs=0.015)
    assert 0.2 < expected < 0.9


def test_clusters_flip_together() -> None:
    """Six queries of two filings are two trials: nothing can be told apart."""
    alone, grouped = of([1.0] * 6, [0.0] * 6), of([1.0] * 6, [0.0] * 6, clusters=list("aaabbb"))
    assert alone.p_value(0, 1) == pytest.approx(2 / 2**6, abs=0.01)
    assert grouped.p_value(0, 1) == pytest.approx(2 / 2**2, abs=0.02)
    assert alone.ranks() == [1, 2]
    assert grouped.ranks() == [1, 1]


def test_a_difference_says_who_won_what() -> None:
    found = of(A, B).difference(0, 1)
    assert found.estimate.value == pytest.approx(0.25)
    assert (found.won, found.lost, found.tied) == (3, 1, 2)
    assert found.estimate.low is not None
    assert found.estimate.high is not None
    assert found.estimate.low < 0.25 < found.estimate.high
    turned = of(A, B).difference(1, 0)
    assert turned.estimate.value == -found.estimate.value
    assert (turned.won, turned.lost, turned.p) == (1, 3, found.p)


def test_the_interval_is_the_paired_one() -> None:
    """Two systems that rise and fall together differ surely, though their own intervals overlap."""
    base = [0.0, 0.25, 0.5, 0.75] * 10
    found = of([value + 0.1 for value in base], base).difference(0, 1)
    assert found.estimate.low == pytest.approx(0.1)
    assert found.estimate.high == pytest.approx(0.1)


def test_one_cluster_has_no_interval() -> None:
    found = of([1.0, 1.0], [0.0, 1.0], clusters=["a", "a"]).difference(0, 1)
    assert (found.estimate.low, found.estimate.high, found.p) == (None, None, 1.0)


def test_equal_systems_are_not_told_apart() -> None:
    assert of(A, A).p_value(0, 1) == 1.0
    assert of(A, A, A).ranks() == [1, 1, 1]


def test_ranks_are_shared_by_those_not_separated_from_a_groups_best() -> None:
    good = [1.0] * 40
    nearly = [1.0] * 39 + [0.0]
    poor = [1.0, 0.0] * 20
    poorer = [1.0, 0.0] * 19 + [0.0, 0.0]
    assert of(poorer, good, nearly, poor).ranks() == [3, 1, 1, 3]


def test_many_tests_ask_for_more() -> None:
    """p = .03 separates one pair, and not where it is one of five."""
    good, other = [1.0] * 6 + [0.0] * 4, [0.0] * 10
    assert of(good, other).ranks() == [1, 2]
    assert of(good, other, other, other, other, other).ranks() == [1] * 6


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_same_values_give_the_same_p() -> None:
    assert of(A, B).p_value(0, 1) == of(A, B).p_value(0, 1)


def test_a_rank_near_the_level_does_not_hang_on_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(5)
    base, better = random.random(80), random.random(80) + 0.125
    found = of(list(better), list(base))
    p = found._p_values(0, [1], 0.05)[0]
    assert 0.03 < p < 0.08, "near the level"
    monkeypatch.setattr("dibs.scoring.compare.SEED", 1)
    assert of(list(better), list(base))._p_values(0, [1], 0.05)[0] == pytest.approx(p, abs=0.001)
    assert found.p_value(0, 1) == pytest.approx(p, abs=0.01)


def test_a_p_value_far_from_the_level_is_the_quick_one() -> None:
    found = of(A, B)
    assert found.p_value(0, 1) > 0.2
    assert found._p_values(0, [1], 0.05) == [found.p_value(0, 1)]
