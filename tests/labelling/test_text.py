from __future__ import annotations

from dibs.labelling.text import LONGEST, Piece, pieces, plain


def test_words_of_the_query_are_marked_whatever_their_form() -> None:
    found = pieces("Changing filters, and the Filter's valve.", "When is the filter changed?")
    assert [part for part, marked in found if marked] == ["Changing", "filters", "Filter"]
    assert "".join(part for part, _ in found) == "Changing filters, and the Filter's valve."


def test_what_a_terminal_obeys_or_turns_around_is_blank() -> None:
    assert plain("a\x1b[2Jb\x07c\u202ed\te\nf") == "a [2Jb c d e\nf"
    assert pieces("\x1b]0;xy\x07", "xy") == [Piece(" ]0;", False), Piece("xy", True), Piece(" ", False)]


def test_a_long_text_is_cut_and_says_so() -> None:
    assert pieces("a" * (LONGEST + 1_000), "") == [
        Piece("a" * LONGEST, False),
        Piece(" ... (cut: 1,000 more characters)", False),
    ]


def test_nothing_is_nothing() -> None:
    assert pieces("", "") == []
