from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from dibs.encoders.base import FloatArray, Role
from dibs.errors import InputError
from dibs.training.development import Development
from dibs.training.pairs import Pair, PairSet
from tests.toys import HashEncoder
from tests.training.small_pairs import small_pairs


def encode(texts: Sequence[str], role: Role) -> FloatArray:
    return HashEncoder().vectors(list(texts), role)


def held(*pairs: tuple[str, str, str]) -> Development:
    made = [Pair(query, name, text, "lookup", name, "development") for query, name, text in pairs]
    return Development.of(PairSet("p", made, {}), 0, 1)


def test_the_corpus_is_the_development_documents_and_a_seeded_draw_of_others() -> None:
    pairs = small_pairs(train=16, development=6)
    found = Development.of(pairs, 4, 7)
    assert found.documents[:6] == [pair.document for pair in pairs.of("development")]
    assert len(set(found.documents)) == 10
    assert found.documents == Development.of(pairs, 4, 7).documents != Development.of(pairs, 4, 8).documents
    assert found.describe() == {
        "measure": "recall@10", "queries": 6, "groups": 6, "documents": 10, "of_other_pairs": 4,
    }  # fmt: skip
    assert Development.of(pairs, 999, 7).others == 16


def test_no_development_pairs_are_refused() -> None:
    with pytest.raises(InputError, match="no pair is held out"):
        Development.of(small_pairs(development=0), 5, 1)


def test_recall_and_loss_of_vectors_that_are_known() -> None:
    development = held(("x", "a", "x"), ("y", "b", "y"))

    def axes(texts: Sequence[str], role: Role) -> FloatArray:
        return np.array([[1, 0] if text == "x" else [0, 1] for text in texts], dtype=np.float32)

    found = development.evaluate(axes, 0.5, step=3, epoch=0.5)
    assert (found.step, found.epoch, found.recall, found.values) == (3, 0.5, 1.0, (1.0, 1.0))
    assert found.loss == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-6)


def test_recall_is_the_share_of_a_querys_documents_among_ten() -> None:
    rows = [("w", "a", "w w"), ("w", "b", "w z"), *((f"n{n}", f"d{n}", f"n{n} w") for n in range(12))]
    found = held(*rows).evaluate(encode, 0.05, step=0, epoch=0)
    assert found.values[0] == found.values[1]
    assert found.values[0] in (0.5, 1.0)
    assert found.recall == pytest.approx(np.mean(found.values))


def test_another_text_of_the_same_document_is_neither_right_nor_wrong() -> None:
    whole, cut = ("one two", "a", "one two three"), ("three", "a", "one two")
    rest = [(f"n{n}", f"d{n}", f"n{n}") for n in range(3)]
    both = held(whole, cut, *rest).evaluate(encode, 0.05, step=0, epoch=0)
    alone = held(whole, *rest).evaluate(encode, 0.05, step=0, epoch=0)
    assert both.values[0] == alone.values[0] == 1.0
    assert both.values[1] == 1.0


def test_equal_scores_are_ranked_as_everywhere_by_the_greater_id() -> None:
    rows = [(f"q{n}", f"d{n}", f"t{n}") for n in range(12)]

    def equal(texts: Sequence[str], role: Role) -> FloatArray:
        return np.ones((len(texts), 1), dtype=np.float32)

    assert held(*rows).evaluate(equal, 1, step=0, epoch=0).values == (0.0,) * 2 + (1.0,) * 10


def test_vectors_that_are_not_finite_are_refused() -> None:
    def broken(texts: Sequence[str], role: Role) -> FloatArray:
        return np.full((len(texts), 2), np.nan, dtype=np.float32)

    with pytest.raises(InputError, match="not finite"):
        held(("x", "a", "x"), ("y", "b", "y")).evaluate(broken, 1, step=0, epoch=0)
