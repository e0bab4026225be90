"""A document's own structure, from its plain text: headings, rows of tables, sentences.

Pages of filings are what a PDF reader gave: lines of a page, tables without rulings. Documentation and
forum answers are Markdown, or nearly. Both are read by the same rules; what fits none is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[([^\]\n]{0,200})\]\([^)\n]{0,500}\)")
_URL = re.compile(r"\b(?:(?:https?://|www\.)\S+|[\w.-]+\.(?:org|com|net|io|html?|php)\b\S*)")
_MARKDOWN = re.compile(r"#{1,5}\s+(?P<heading>\S.*?)\s*(?:\{[^}]*\})?#*")
_NUMBERED = re.compile(
    r"(?:(?:item|note|part|section|step|article)\s+)?(?:\d[\d.]*[a-z]?|[ivx]+)[.):]+\s*", re.I
)
_VALUE = re.compile(r"[$€£(]*[-\u2013]?[$€£]?\d[\d,]*(?:\.\d+)?\)?%?\)?")
_FILLER = re.compile(r"[$€£%()—\u2013-]+")
_NOTE = re.compile(r"\s*\((?:[a-z0-9]|in [a-z ]+|note[^)]*|continued)\)\s*$", re.I)
_LESS = re.compile(r"(?:less|plus|add|deduct):?\s+", re.I)
_YEAR = re.compile(r"(?:19|20)\d\d")
_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'`*(])")
_BULLET = re.compile(r"^\s*(?:[-*+•]|\d+[.)])\s+")
_DATED = re.compile(
    r"(?i)\b(?:january|february|march|april|may,? \d|june|july|august|september|october|november|december|"
    r"years? ended|months ended|as of|page|exhibit|form 10|table of contents|items?|article|"
    r"part [iv]+|continued|(?:beginning|end) of (?:the )?(?:year|period))\b"
)
"""What a heading or label of nobody's interest has in it."""
_DULL_TEXT = """
about conclusion contents description example examples index important introduction note notes overview
parameters references resources return returns signature signatures summary syntax tip topics total
usage warning balance other
"""
_DULL = frozenset(_DULL_TEXT.split())
"""What says nothing by itself."""

_TORN_TEXT = """
and at by for from in of on or that the to which with &
"""
_TORN = frozenset(_TORN_TEXT.split())
"""Words that no whole label begins or ends with."""


@dataclass(frozen=True)
class Row:
    """A line of a table: what it is called, and how many values follow."""

    label: str
    values: int


@dataclass(frozen=True)
class Layout:
    """What a document is made of."""

    headings: list[str]
    rows: list[Row]
    years: list[str]
    """The longest list of years in one line, as it heads a table's columns."""
    sentences: list[str]
    prose: str
    """Everything but code and rows, a paragraph a line."""
    plain: str
    """The text without code, links and addresses."""


def layout_of(text: str) -> Layout:
    """Read the structure of a document."""
    plain = _URL.sub("", _LINK.sub(r"\1", _FENCE.sub("", text)))
    lines = [line.strip() for line in plain.splitlines()]
    marked = [found["heading"] for line in lines if (found := _MARKDOWN.fullmatch(line))]
    headings: list[str] = []
    rows: list[Row] = []
    years: list[str] = []
    prose: list[str] = []
    for place, line in enumerate(lines):
        if not line or line.isdigit() or _MARKDOWN.fullmatch(line):
            prose.append("\n")
            continue
        if (row := _row(line)) is not None:
            rows.append(row)
            prose.append("\n")
            continue
        listed = _YEAR.findall(line)
        if len(listed) > len(years) and len(line.split()) < 2 * len(listed) + 8:
            years = listed
        after = lines[place + 1] if place + 1 < len(lines) else ""
        if not marked and _is_heading(line, after):
            headings.append(line)
            prose.append("\n")
        else:
            prose.append(_BULLET.sub("\n", line))
    named = [clean for one in (marked or headings) if (clean := cleaned(one))]
    joined = re.sub(
        r"[ \t]*\n[ \t\n]*", "\n", re.sub(r"[*`_]{1,3}(?=\w)|(?<=\w)[*`]{1,3}", "", " ".join(prose))
    )
    sentences = [
        " ".join(one.split())
        for block in joined.split("\n")
        for one in _END.split(block)
        if _is_sentence(one)
    ]
    return Layout(list(dict.fromkeys(named)), _distinct(rows), years, sentences, joined, plain)


def _row(line: str) -> Row | None:
    """The line as a row of a table: a label of some words, then nothing but values."""
    cells = line.strip("| ").replace("|", " ").split()
    values, at = 0, len(cells)
    while at and ((value := bool(_VALUE.fullmatch(cells[at - 1]))) or _FILLER.fullmatch(cells[at - 1])):
        values += value
        at -= 1
    label = _LESS.sub("", _NOTE.sub("", " ".join(cells[:at]))).strip(" .:—\u2013-$*")
    letters = sum(c.isalpha() for c in label)
    named = label.split()
    if not values or letters < 0.75 * max(len(label), 6) or len(named) > 10 or not label[0].isalpha():
        return None
    if values == 1 and cells[-1].isdigit():  # the number of a page or a street
        return None
    if all(_YEAR.fullmatch(cell.strip(",")) for cell in cells[at:]) or not _is_name(label):
        return None
    return Row(label, values)


def _distinct(rows: list[Row]) -> list[Row]:
    return list({row.label.casefold(): row for row in reversed(rows)}.values())[::-1]


def _is_heading(line: str, after: str) -> bool:
    """Whether a line of plain text is short, capitalised, unfinished, and followed by another."""
    words = [word for word in line.split() if word[0].isalpha()]
    if not 1 < len(words) <= 10 or len(line) > 80 or line[-1] in ".,;:?!-—" or not line[0].isalnum():
        return False
    long = [word for word in words if len(word) > 3]
    capitals = sum(word[0].isupper() for word in long)
    return bool(long) and capitals >= 0.8 * len(long) and bool(after)


def cleaned(heading: str) -> str | None:
    """A heading without its number and marks; None for one that says nothing by itself."""
    text = _NOTE.sub("", _NUMBERED.sub("", heading.strip("*# "), count=1)).replace("`", "")
    text = re.sub(r"[*\\]+", "", text).strip(" .:—\u2013-")
    letters = sum(c.isalpha() for c in text)
    return text if letters > 4 and len(text) <= 100 and len(text.split()) <= 14 and _is_name(text) else None


def _is_name(text: str) -> bool:
    """Whether a heading or label says something, and is whole."""
    named = text.casefold().split()
    whole = text.count("(") == text.count(")") and not {named[0], named[-1]} & _TORN
    return whole and not _DATED.search(text) and not (len(named) == 1 and named[0] in _DULL)


def _is_sentence(text: str) -> bool:
    bare = text.strip()
    whole = 6 <= len(bare.split()) <= 45 and bare[-1] in ".!?" and bare[0].isupper()
    return whole and sum(c.isalpha() or c == " " for c in bare) > 0.85 * len(bare)
