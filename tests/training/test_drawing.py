from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibs.errors import InputError
from dibs.training.drawing import Drawing, Sample, sample
from tests.training.helpers import collection

TEXTS = {f"long-{page}": f"Page {page} of the long filing." for page in range(20)}
TEXTS |= {f"{name}-0": f"The only page of {name}." for name in ("ada", "bea", "cleo")}
TEXTS |= {"copy-0": "The only page of ada.", "blank-0": " "}


def ids(found: Sample) -> list[str]:
    return [document.id for document in found.documents]


def test_every_group_has_its_turn_before_any_has_a_second() -> None:
    found = sample(collection(TEXTS), Drawing(count=4, development=0))
    assert Counter(document.group for document in found.documents)["long"] == 1


def test_empty_and_repeated_texts_are_passed_over() -> None:
    found = sample(collection(TEXTS), Drawing(count=None))
    assert len(ids(found)) == 23
    assert "blank-0" not in ids(found)
    assert len({"ada-0", "copy-0"} & set(ids(found))) == 1


def test_the_seed_decides() -> None:
    one, same, other = (ids(sample(collection(TEXTS), Drawing(8, seed=seed))) for seed in (1, 1, 2))
    assert one == same != other


@pytest.mark.parametrize(
    ("avoid", "absent", "avoided"),
    [("none", set(), 0), ("gold", {"long-3"}, 1), ("gold-groups", {f"long-{p}" for p in range(20)}, 20)],
)
def test_gold_is_avoided(avoid: str, absent: set[str], avoided: int) -> None:
    found = sample(collection(TEXTS, gold=frozenset({"long-3"})), Drawing(None, avoid=avoid))  # type: ignore[arg-type]
    assert found.avoided == avoided
    assert not absent & set(ids(found))
    assert len(ids(found)) == 23 - avoided


def test_nothing_left_is_said_with_the_way_out() -> None:
    found = collection({"a-1": "One."}, gold=frozenset({"a-1"}))
    with pytest.raises(InputError, match="--avoid none"):
        sample(found, Drawing())


@given(st.floats(0, 0.9), st.integers(0, 50))
def test_whole_groups_are_held_out_and_one_stays(share: float, seed: int) -> None:
    found = sample(collection(TEXTS), Drawing(None, seed=seed, development=share))
    groups = Counter(document.group for document in found.documents)
    held = sum(groups[name] for name in found.development)
    assert found.development < set(groups)
    assert held >= share * 23 or len(found.development) == len(groups) - 1
    assert bool(found.development) == (share > 0)


@pytest.mark.parametrize("wrong", [{"count": 0}, {"each": 0}, {"development": 1.0}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        Drawing(**wrong)  # type: ignore[arg-type]
