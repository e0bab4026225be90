from __future__ import annotations

import pytest

from dibs.errors import InputError
from dibs.sweep import grid as module
from dibs.sweep.grid import grid, label, simplex

OWN = {"pooling": "mean", "dimension": 384, "query_prompt": None}


def test_the_default_is_first_and_then_the_product() -> None:
    assert grid({"pooling": ["cls", "last"], "dimension": [128, 64]}, OWN) == [
        {},
        {"pooling": "cls", "dimension": 128},
        {"pooling": "cls", "dimension": 64},
        {"pooling": "last", "dimension": 128},
        {"pooling": "last", "dimension": 64},
    ]


def test_a_value_of_the_cards_own_is_no_change() -> None:
    found = grid({"pooling": ["mean", "cls"], "dimension": [384, 64]}, OWN)
    assert found == [{}, {"dimension": 64}, {"pooling": "cls"}, {"pooling": "cls", "dimension": 64}]


def test_equal_configurations_are_one() -> None:
    assert grid({"pooling": ["cls", "cls"]}, OWN) == [{}, {"pooling": "cls"}]


def test_no_prompt_and_the_models_own_are_two() -> None:
    assert grid({"query_prompt": [""]}, OWN) == [{}, {"query_prompt": ""}]


def test_a_field_without_a_value_is_refused() -> None:
    with pytest.raises(InputError, match="no value to try of pooling"):
        grid({"pooling": []}, OWN)


def test_a_grid_may_not_be_endless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 4)
    assert len(grid({"dimension": [1, 2, 3]}, OWN)) == 4
    with pytest.raises(InputError, match="more than 4 configurations"):
        grid({"dimension": [1, 2, 3, 4]}, OWN)


def test_weights_of_two_parts() -> None:
    assert simplex(2, 3) == [(0.0, 1.0), (0.5, 0.5), (1.0, 0.0)]
    assert simplex(2, 4)[1] == (0.3333, 0.6667)
    assert len(simplex(2, 11)) == 11


def test_weights_of_three_parts_are_every_way_to_share() -> None:
    found = simplex(3, 5)
    assert len(found) == len(set(found)) == 15
    assert all(sum(weights) == pytest.approx(1, abs=1e-3) for weights in found)
    assert (0.25, 0.25, 0.5) in found
    assert {weight for weights in found for weight in weights} == {0.0, 0.25, 0.5, 0.75, 1.0}


@pytest.mark.parametrize("steps", [1, 0, -3])
def test_weights_take_two_steps(steps: int) -> None:
    with pytest.raises(InputError, match="at least 2 steps"):
        simplex(2, steps)


def test_labels_read_as_options_and_show_blanks() -> None:
    assert label({}) == "default"
    changes = {"pooling": "cls", "normalise": False, "query_prompt": "Query: ", "weights": (0.3, 0.7)}
    assert label(changes) == "pooling=cls, normalise=false, query_prompt='Query: ', weights=0.3:0.7"
    assert label({"query_prompt": ""}) == "query_prompt=''"
    assert label({"options": {"k1": 0.9, "b": 0}}) == "options={k1=0.9, b=0}"
