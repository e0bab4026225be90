"""Batches: no budget is exceeded, no text is lost, and what fails in a thread is raised."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibs.encoders import batches
from dibs.encoders.batches import Batch, Tokeniser, ahead, by_budget, concurrently

LENGTHS = st.lists(st.integers(0, 300), max_size=60)


@given(LENGTHS, st.integers(1, 2000))
def test_no_batch_exceeds_the_budget_but_a_text_that_alone_does(lengths: list[int], budget: int) -> None:
    tokens = np.array(lengths, dtype=np.int64)
    found = list(by_budget(tokens, budget))
    for places in found:
        assert len(places) == 1 or len(places) * tokens[places].max() <= budget
    assert sorted(place for places in found for place in places) == list(range(len(lengths)))


@given(LENGTHS, st.integers(1, 2000))
def test_the_longest_come_first(lengths: list[int], budget: int) -> None:
    tokens = np.array(lengths, dtype=np.int64)
    order = [place for places in by_budget(tokens, budget) for place in places]
    assert [lengths[place] for place in order] == sorted(lengths, reverse=True)


def test_batches_are_as_large_as_the_budget_lets_them_be() -> None:
    found = [places.tolist() for places in by_budget(np.array([2, 10, 2, 5, 2, 2]), 10)]
    assert found == [[1], [3, 0], [2, 4, 5]]


def words(texts: Sequence[str]) -> list[list[int]]:
    """A token for each word: its length; 100 and 101 stand at the ends."""
    return [[100, *map(len, text.split()), 101] for text in texts]


def cut(text: str, limit: int) -> list[int]:
    ((batch,),) = Tokeniser(words, limit, pad=0).windows([text], "", 1000)
    ids: list[int] = batch.ids[0].tolist()
    return ids


def test_a_cut_text_keeps_its_marks() -> None:
    assert cut("a bb ccc dddd", 4) == [100, 1, 2, 101]
    assert cut("a bb", 4) == [100, 1, 2, 101]
    assert cut("", 4) == [100, 101]


def test_a_tokenizer_without_marks_is_cut_at_the_end() -> None:
    def bare(texts: Sequence[str]) -> list[list[int]]:
        return [list(map(len, text.split())) for text in texts]

    ((batch,),) = Tokeniser(bare, 2, pad=0).windows(["a bb ccc"], "", 1000)
    assert (batch.ids[0].tolist(), batch.tokens.tolist()) == ([1, 2], [3])


def test_texts_are_cut_as_the_tokenizer_itself_cuts_them() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    own = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"[U]": 0, "[C]": 1, "[S]": 2, "a": 3, "b": 4}, "[U]")
    )
    own.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    own.post_processor = tokenizers.processors.TemplateProcessing(
        single="[C] [C] $A [S]", special_tokens=[("[C]", 1), ("[S]", 2)]
    )
    ours = Tokeniser(lambda texts: [found.ids for found in own.encode_batch(list(texts))], 6, pad=0)
    texts = ["a b a b a b", "a", "", "b b b", "a b a b", "c c c c c c c"]
    (found,) = ours.windows(texts, "", 1000)
    own.enable_truncation(6)
    for position, ids in zip(found[0].positions, found[0].ids, strict=True):
        assert ids.tolist() == own.encode(texts[position]).ids


def test_windows_hold_every_text_once_and_count_its_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "WINDOW", 3)
    texts = ["a", "a b c d", "a b", "", "a b c", "a b c d e f", "a"]
    found = list(Tokeniser(words, 6, pad=0).windows(texts, "p ", 12))
    assert len(found) == 3
    counts: dict[int, int] = {}
    for batch in (batch for window in found for batch in window):
        assert batch.texts == [texts[position] for position in batch.positions]
        counts |= dict(zip(batch.positions.tolist(), batch.tokens.tolist(), strict=True))
    assert [counts[place] for place in range(7)] == [4, 7, 5, 3, 6, 9, 4]


def test_padding_fills_up_and_is_masked() -> None:
    ids = [np.array([7, 8, 9], np.int32), np.array([5], np.int32)]
    batch = Batch(np.array([1, 0]), ["x", "y"], ids, np.array([3, 1]))
    table, mask = batch.padded(4)
    assert table.tolist() == [[7, 8, 9], [5, 4, 4]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert table.dtype == mask.dtype == np.int64
    assert batch.only(np.array([1])).padded(4).ids.tolist() == [[5]]


def failing(count: int) -> Iterator[int]:
    yield from range(count)
    raise ValueError("no more")


def test_the_next_item_is_made_in_another_thread_while_one_is_used() -> None:
    made: list[str] = []
    second = threading.Event()

    def make() -> Iterator[int]:
        for number in range(3):
            made.append(threading.current_thread().name)
            if number == 1:
                second.set()
            yield number

    items = ahead(make())
    assert next(items) == 0
    assert second.wait(5)  # the second is made though nobody has asked for it
    assert list(items) == [1, 2]
    assert threading.current_thread().name not in made


def test_an_error_in_the_thread_is_raised_after_what_came_before_it() -> None:
    items = ahead(failing(2))
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(ValueError, match="no more"):
        next(items)


def test_whoever_stops_early_leaves_no_thread() -> None:
    items = ahead(iter(range(1000)))
    next(items)
    items.close()  # type: ignore[attr-defined]  # a generator
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_the_items_order(workers: int) -> None:
    assert list(concurrently(lambda item: item * item, range(20), workers)) == [n * n for n in range(20)]
    assert list(concurrently(str, [], workers)) == []


def test_work_is_done_by_several_at_once() -> None:
    meeting = threading.Barrier(2, timeout=5)
    assert list(concurrently(lambda item: meeting.wait() >= 0, range(4), 2)) == [True] * 4


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_the_work_is_raised_and_earlier_results_stay(workers: int) -> None:
    def work(item: int) -> int:
        if item == 3:
            raise ValueError("three")
        return item

    found: list[int] = []
    with pytest.raises(ValueError, match="three"):
        found.extend(concurrently(work, range(10), workers))
    assert found == [0, 1, 2]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_the_items_is_raised_too(workers: int) -> None:
    with pytest.raises(ValueError, match="no more"):
        list(concurrently(str, failing(3), workers))
