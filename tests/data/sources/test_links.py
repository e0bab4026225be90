from __future__ import annotations

import random
import re
import time

import pytest

from dibs.data.sources.links import without_links

LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("", ""),
        ("see [the guide](a.md) and [b](c)", "see the guide and b"),
        ("[a] [b](c) [d", "[a] b [d"),
        ("[ x [a](b)", " x [a"),  # from the first bracket that opens
        ("[a](b", "[a](b"),
        ("[a]] (b) [](c)", "[a]] (b) "),
    ],
)
def test_links_become_their_words(text: str, plain: str) -> None:
    assert without_links(text) == plain


def test_pictures_go() -> None:
    assert without_links("a ![b](c.png) [d](e)", "![", keep=False) == "a  [d](e)"


def test_it_is_what_the_expression_finds() -> None:
    draw = random.Random(3)
    for _ in range(3000):
        text = "".join(draw.choices("[]()!a ", k=draw.randrange(30)))
        assert without_links(text) == LINK.sub(r"\1", text)
        assert without_links(text, "![", keep=False) == IMAGE.sub("", text)


@pytest.mark.parametrize("text", ["[" * 200_000, "[" * 200_000 + ")", "[](" * 70_000, "[]" * 100_000])
def test_brackets_that_never_close_take_no_time(text: str) -> None:
    started = time.perf_counter()
    assert without_links(text) == text
    assert time.perf_counter() - started < 5
