from __future__ import annotations

import numpy as np
import pytest

from dibs.sweep.choose import best, choose

DEVELOPMENT = np.array([True, True, True, False, False, False])
VALUES = np.array(
    [
        # default, steady, lucky on development, lucky on the rest
        [0.0, 1.0, 1.0, 0.0],
        [0.0, 0.0, 1.0, 0.0],
        [1.0, 1.0, 1.0, 0.0],
        [0.0, 1.0, 0.0, 1.0],
        [1.0, 1.0, 1.0, 1.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


def test_the_choice_and_what_it_is_worth() -> None:
    found = choose(VALUES, DEVELOPMENT, None, [0, 1, 1, 1])
    assert (found.chosen, found.hindsight) == (2, 3)
    assert found.development.tolist() == pytest.approx([1 / 3, 2 / 3, 1, 0])
    assert [one.value for one in found.held_out] == pytest.approx([1 / 3, 2 / 3, 1 / 3, 1])
    assert found.optimism == pytest.approx(2 / 3)
    assert found.against_default.estimate.value == 0


def test_the_choice_never_looks_at_the_test_queries() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        other = VALUES.copy()
        other[~DEVELOPMENT] = rng.random((3, 4))
        assert choose(other, DEVELOPMENT, None, [0, 1, 1, 1]).chosen == 2


def test_optimism_is_never_negative_and_nothing_where_both_choose_the_same() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        values = rng.random((6, 5))
        assert choose(values, DEVELOPMENT, None, [0, 1, 1, 1, 1]).optimism >= 0
    best_everywhere = np.column_stack([VALUES[:, 0], np.ones(6)])
    found = choose(best_everywhere, DEVELOPMENT, None, [0, 1])
    assert (found.chosen, found.hindsight, found.optimism) == (1, 1, 0.0)


def test_the_difference_from_the_default_is_paired_and_of_the_test_queries() -> None:
    values = np.array([[0.0, 1.0], [0.0, 1.0], [0.2, 0.5], [0.9, 1.0], [0.1, 0.0], [0.4, 0.4]])
    found = choose(values, np.array([True, True, False, False, False, False]), None, [0, 1])
    difference = found.against_default
    assert difference.estimate.value == pytest.approx((0.3 + 0.1 - 0.1 + 0.0) / 4)
    assert (difference.won, difference.lost, difference.tied) == (2, 1, 1)


def test_intervals_draw_clusters() -> None:
    values = np.tile(np.array([[0.0, 1.0], [1.0, 0.0]]), (20, 1))
    development = np.arange(40) < 20
    pairs = [str(number // 2) for number in range(40)]
    assert choose(values, development, pairs, [0, 1]).held_out[0].low == 0.5
    alone = choose(values, development, None, [0, 1]).held_out[0].low
    assert alone is not None
    assert alone < 0.4


def test_of_equals_the_nearest_to_the_default_is_taken() -> None:
    same = np.ones((3, 4))
    assert best(same, [0, 1, 1, 1]) == 0
    assert best(same, [3, 2, 1, 1]) == 2
    assert best(np.array([[0.1, 0.3], [0.2, 0.0], [0.3, 0.3 + 1e-15]]), [1, 0]) == 1
