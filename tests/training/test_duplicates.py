from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibs.errors import InputError
from dibs.training.duplicates import near_duplicates
from dibs.training.words import words

LONG = "which of the many divisions did zappa sell to its former owner before the new plant opened"


def test_the_first_of_near_duplicates_stays() -> None:
    texts = ["What is one?", LONG, "what is one", LONG.replace("which", "what"), "What is two?"]
    assert near_duplicates(texts, 0.85) == {2: 0, 3: 1}


def test_another_number_is_another_question() -> None:
    assert near_duplicates([f"{LONG} in 2018", f"{LONG} in 2019"], 0.8) == {}


def test_texts_without_words_do_no_harm() -> None:
    assert near_duplicates(["?", "!", "a"], 0.9) == {}


@pytest.mark.parametrize("threshold", [0, -1, 1.1])
def test_a_threshold_out_of_range_is_refused(threshold: float) -> None:
    with pytest.raises(InputError):
        near_duplicates(["a"], threshold)


texts = st.lists(st.lists(st.sampled_from("abcdefgh12"), max_size=9).map(" ".join), max_size=12)


@given(texts, st.sampled_from([0.3, 0.5, 2 / 3, 0.75, 0.9, 1.0]))
def test_it_finds_what_comparing_all_finds(some: list[str], threshold: float) -> None:
    sets = [frozenset(words(text)) for text in some]
    kept: list[int] = []
    left_out = set()
    for place, found in enumerate(sets):

        def close(other: int, found: frozenset[str] = found) -> bool:
            same = {w for w in found if w.isdigit()} == {w for w in sets[other] if w.isdigit()}
            union = found | sets[other]
            return same and bool(union) and len(found & sets[other]) / len(union) >= threshold

        if any(close(other) for other in kept):
            left_out.add(place)
        else:
            kept.append(place)
    assert set(near_duplicates(some, threshold)) == left_out
