"""What a reader of documents gives: parts, with ids that people can read and that stay the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

By = Literal["page", "section", "document"]
"""What a document is divided into, where its form allows it."""

VERSION = 1
"""Of the rules here and in the readers; another one gives other texts or ids."""

_UNSAFE = re.compile(r"[\s#%\x00-\x1f\x7f-\x9f\\\ud800-\udfff]")


@dataclass(frozen=True)
class Part:
    """A page or section of a document, or the whole of it."""

    mark: str
    """What tells it from the others of its document: `p12`, `install`; empty for a whole document."""
    title: str
    text: str


@dataclass(frozen=True)
class Read:
    """What one file gave."""

    parts: list[Part]
    """In order; empty texts (pages that are images) are among them."""
    note: str | None = None
    """What has to be known of it, such as that it was repaired."""


Reader = Callable[[Path, By | None], Read]
"""Reads one file; None is what its form suggests. Raises InputError where it cannot be read."""


def document_id(place: str) -> str:
    """The id of a file by its path in the folder, with `/`; what would end an id or a column is `%20`.

    Equal ids are of equal paths. Bytes that are no UTF-8, as file systems allow, become `%FF`.
    """
    return _UNSAFE.sub(lambda found: quote(found[0], safe="", errors="surrogateescape"), place)


def part_id(document: str, mark: str) -> str:
    """The id of a document's part."""
    return f"{document}#{mark}" if mark else document


def anchor(heading: str) -> str:
    """A heading as web pages make an anchor of it: `Set it up!` is `set-it-up`; empty if nothing is left."""
    kept = re.sub(r"[^\w\s-]", "", heading.lower())
    return re.sub(r"\s+", "-", kept.strip()).strip("-")[:80]


def distinct(marks: Iterator[str]) -> Iterator[str]:
    """Marks of one document, each with a number where it was there before: `notes`, `notes-1`."""
    given: set[str] = set()
    for mark in marks:
        number, name = 0, mark
        while name in given:
            number += 1
            name = f"{mark}-{number}"
        given.add(name)
        yield name


def title_of(path: Path) -> str:
    """A title for a file that says none."""
    return path.stem.replace("_", " ").encode(errors="replace").decode()
