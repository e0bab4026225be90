from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibs.data.rows import Row
from dibs.domain.chunks import Chunks, windows
from dibs.errors import InputError
from dibs.rag.pieces import PieceTokenizer


class Words:
    """Counts words; the blank before one belongs to it. As a hub tokenizer may, it adds some of its own."""

    exact = True

    def __init__(self, added: int = 0) -> None:
        self.added = added

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) + self.added for text in texts]

    def cut(self, text: str, limit: int) -> str:
        words = text.split(" ")
        return text if len(words) <= limit - self.added else " ".join(words[: max(0, limit - self.added)])


@pytest.mark.parametrize(
    ("tokens", "stride", "expected"),
    [
        (3, 3, ["a b c", "d e f", "g"]),
        (3, 2, ["a b c", "c d e", "e f g"]),
        (3, 1, ["a b c", "b c d", "c d e", "d e f", "e f g"]),
        (7, 7, ["a b c d e f g"]),
        (9, 1, ["a b c d e f g"]),
    ],
)
def test_windows(tokens: int, stride: int, expected: list[str]) -> None:
    assert list(windows("a b c d e f g", Chunks(tokens, stride), Words())) == expected


def test_no_word_is_cut_unless_it_is_longer_than_a_chunk() -> None:
    text = "extraordinarily long " + "x" * 200
    found = list(windows(text, Chunks(2, 2), PieceTokenizer()))
    assert found[0] == "extraordinarily"
    assert found[1] == "long"
    assert "".join(found[2:]) == "x" * 200


@given(st.text(max_size=300), st.integers(1, 9), st.integers(1, 9))
def test_no_text_is_lost(text: str, tokens: int, stride: int) -> None:
    chunks = Chunks(max(tokens, stride), stride)
    found = list(windows(text, chunks, PieceTokenizer()))
    if not chunks.overlap:
        assert "".join("".join(found).split()) == "".join(text.split())
    assert all(one.strip() or not text.strip() for one in found)
    assert all(count <= chunks.tokens for count in PieceTokenizer().count(found))


def test_rows_are_numbered_and_an_empty_part_has_one() -> None:
    row = Row({"id": "a.pdf#p1", "text": "one two", "document": "a.pdf"}, "here")
    found = list(Chunks(1, 1).divide(row))
    assert [(one.values["id"], one.values["text"]) for one in found] == [
        ("a.pdf#p1#c1", "one"),
        ("a.pdf#p1#c2", "two"),
    ]
    (empty,) = Chunks(1, 1).divide(Row({"id": "x", "text": " \n"}, "here"))
    assert empty.values == {"id": "x#c1", "text": ""}


@pytest.mark.parametrize(("tokens", "stride"), [(1, 2), (0, 0), (5, 0), (5, -1)])
def test_a_stride_that_would_lose_text_is_refused(tokens: int, stride: int) -> None:
    with pytest.raises(InputError, match="chunks of"):
        Chunks(tokens, stride)


def test_a_chunk_too_short_for_any_text_is_refused_and_not_tried_for_ever() -> None:
    with pytest.raises(InputError, match="a chunk or stride of 2 tokens holds no text"):
        list(windows("a b c d", Chunks(2, 2), Words(added=2)))
