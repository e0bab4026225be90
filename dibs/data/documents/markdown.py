"""Markdown: a section for each heading of the first three levels."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from dibs.data.documents.base import By, Part, Read, anchor, distinct, title_of
from dibs.data.documents.text import decoded

DEEPEST = 3
"""Headings below that level stay in the text: what they head is rarely understood alone."""
PREAMBLE = "top"


class _Heading(NamedTuple):
    level: int
    text: str
    first: int
    """Its first line, from 0."""
    after: int
    """The line after it."""


def read_markdown(path: Path, by: By | None) -> Read:
    """The sections of a file, or the whole of it."""
    return Read(markdown_parts(decoded(path), title_of(path), by))


def markdown_parts(text: str, title: str, by: By | None) -> list[Part]:
    """The sections of a text, or the whole of it where it has no heading or that is asked for.

    A section is what stands below a heading and before the next one. Its title is the document's and the
    headings above it, `Guide: Install, On Linux`; a heading with nothing below it is in titles only. Every
    line that is no heading is in exactly one section.

    Args:
        title: The document's, where it has no heading of the first level.
        by: None divides at headings.
    """
    headings = list(_headings(text))
    first = next((one for one in headings if one.level == 1), None)
    title = first.text if first is not None and first.text else title
    if by in ("page", "document") or not headings:
        return [Part("", title, text)]
    sections = list(_sections(text, title, headings))
    if not sections:
        return [Part("", title, text)]
    marks = distinct(mark for mark, _, _ in sections)
    return [Part(mark, name, body) for mark, (_, name, body) in zip(marks, sections, strict=True)]


def _sections(text: str, title: str, headings: list[_Heading]) -> Iterator[tuple[str, str, str]]:
    """Mark, title and text of each section that has text."""
    lines = text.split("\n")
    above: list[_Heading] = []
    if before := "\n".join(lines[: headings[0].first]).strip():
        yield PREAMBLE, title, before
    ends = [one.first for one in headings[1:]] + [len(lines)]
    for heading, end in zip(headings, ends, strict=True):
        above = [one for one in above if one.level < heading.level] + [heading]
        if body := "\n".join(lines[heading.after : end]).strip():
            names = [one.text for one in above if one.text and one.text != title]
            named = f"{title}: {', '.join(names)}" if names else title
            yield anchor(heading.text) or "section", named, body


def _headings(text: str) -> Iterator[_Heading]:
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").parse(text)
    for token, content in pairwise(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map:
            level = int(token.tag[1:])
            if level <= DEEPEST:
                words = "".join(
                    child.content if child.type in ("text", "code_inline") else " "
                    for child in content.children or ()
                    if child.type in ("text", "code_inline", "softbreak", "hardbreak")
                )
                yield _Heading(level, " ".join(words.split()), token.map[0], token.map[1])
