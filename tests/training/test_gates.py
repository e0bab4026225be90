from __future__ import annotations

import pytest

from dibs.errors import InputError
from dibs.training.development import Evaluation
from dibs.training.gates import gain, refuse_leakage, refuse_unlearnt
from dibs.training.leakage import Test
from tests.training.small_pairs import DOCUMENTS, small_pairs


def a_test(query: str) -> Test:
    return Test("Tiny", "0" * 64, {"q1": query}, {"q1": {"d1": 1}})


def test_a_query_of_the_test_is_refused_whatever_the_manifest_says() -> None:
    pairs = small_pairs(task="Tiny", leakage=[{"task": "Tiny"}])
    leaking = pairs.pairs[3].query.upper() + "?"
    with pytest.raises(InputError, match="1 of 22 training queries leak from Tiny, such as pair 4: equal"):
        refuse_leakage(pairs, [a_test(leaking)])


def test_a_development_query_leaks_too() -> None:
    pairs = small_pairs()
    with pytest.raises(InputError, match="leak from Tiny"):
        refuse_leakage(pairs, [a_test(pairs.of("development")[0].query)])


def test_pairs_of_a_task_that_nobody_guarded_are_refused() -> None:
    with pytest.raises(InputError, match=r"nobody looked for queries of Tiny[\s\S]*dibs filter small"):
        refuse_leakage(small_pairs(task="Tiny", leakage=[{"task": "Other"}]), [])


def test_guarded_pairs_and_pairs_of_a_folder_pass() -> None:
    refuse_leakage(small_pairs(task="Tiny", leakage=[{"task": "Tiny"}]), [a_test("something else entirely")])
    refuse_leakage(small_pairs(), [])


def test_a_loss_that_fell_passes() -> None:
    refuse_unlearnt(list(enumerate([2.0, 1.9, 2.1, 1.5, 1.4])), where="small")


@pytest.mark.parametrize("losses", [[1.0, 1.0], [1.0, 0.2, 0.3, 0.4, 1.1], [2.0, 1.0, 1.0, 1.0, 3.0]])
def test_a_loss_that_did_not_fall_is_refused(losses: list[float]) -> None:
    with pytest.raises(InputError, match="the loss did not fall"):
        refuse_unlearnt(list(enumerate(losses)), where="small")


def test_one_step_says_nothing() -> None:
    with pytest.raises(InputError, match="one step"):
        refuse_unlearnt([(1, 2.0)], where="small")


def test_the_gain_is_paired_by_group() -> None:
    held = small_pairs(development=4).of("development")
    base, best = (
        Evaluation(0, 0.0, 0.5, 1.0, values) for values in ((0.0, 0.0, 1.0, 1.0), (1.0, 1.0, 1.0, 0.0))
    )
    found = gain(held, base, best)
    assert found.estimate.value == pytest.approx(0.25)
    assert (found.won, found.lost, found.tied) == (2, 1, 1)


def test_the_small_pairs_are_what_they_say() -> None:
    assert len(set(DOCUMENTS)) == len(DOCUMENTS) == 40
