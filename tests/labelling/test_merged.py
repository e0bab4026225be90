from __future__ import annotations

import pytest

from dibs.labelling.journal import Pair
from dibs.labelling.merged import merged
from tests.labelling.made import label


def test_the_last_word_of_a_labeller_counts_and_of_two_the_lower() -> None:
    found = merged(
        [
            label("q1", "a", 0),
            label("q1", "a", 1),
            label("q1", "b", 2),
            label("q1", "b", 1, "bob"),
            label("q1", "c", 1),
            label("q1", "c", 0, "bob"),
            label("q1", "c", 1, "cid"),
        ]
    )
    assert found.grades == {Pair("q1", "a"): 1, Pair("q1", "b"): 1, Pair("q1", "c"): 1}
    assert found.labellers == ["ann", "bob", "cid"]
    assert found.differing() == [Pair("q1", "b"), Pair("q1", "c")]


def test_what_is_settled_counts_and_leaves_the_agreement_alone() -> None:
    said = [label("q1", "a", 1), label("q1", "a", 0, "bob"), label("q1", "b", 1), label("q1", "b", 1, "bob")]
    found = merged([*said, label("q1", "a", 1, "bob", settles=True)])
    assert found.grades[Pair("q1", "a")] == 1
    assert found.differing() == []
    assert next(found.agreements())[:4] == ("ann", "bob", 2, 1)


def test_kappa_is_cohens() -> None:
    # Of 50: both yes 20, both no 15, yes and no 5, no and yes 10. po = .7, pe = .5, kappa = .4.
    said = []
    for place, (one, other) in enumerate([(1, 1)] * 20 + [(0, 0)] * 15 + [(1, 0)] * 5 + [(0, 1)] * 10):
        said += [label(f"q{place}", "d", one), label(f"q{place}", "d", other, "bob")]
    (found,) = merged(said).agreements()
    assert found[:4] == ("ann", "bob", 50, 35)
    assert found.kappa == pytest.approx(0.4)
    assert found.low is not None
    assert found.high is not None
    assert -1 <= found.low < 0.4 < found.high <= 1


def test_kappa_is_not_defined_where_all_is_one() -> None:
    (found,) = merged([label("q1", "a", 1), label("q1", "a", 2, "bob")]).agreements()
    assert (found.same, found.kappa) == (1, None)


def test_nothing_is_merged_of_nothing_and_strangers_do_not_agree() -> None:
    assert merged([]).grades == {}
    assert list(merged([label("q1", "a", 1), label("q1", "b", 1, "bob")]).agreements()) == []
