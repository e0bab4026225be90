"""A FAQ in reStructuredText: below each underlined question its answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from hashlib import sha1

from dibs.data.sources.manufactqa_open.pairs import LeftOut, Pair

PARTS = ("docs/en",)
_QUESTION = re.compile(r"^(?!-)(\S.*)\n-{4,}[ \t]*$", re.MULTILINE)
_LEAST_ASKED, _LEAST_ANSWERED = 4, 3
"""Words. Shorter headings name parts of the documentation, shorter answers say yes or no."""

_ROLE = re.compile(r":[\w:+-]+:`([^`<]*?)\s*(?:<[^`>]*>)?`")
_LINK = re.compile(r"`([^`<]+?)\s*<[^`>]*>`__?")
_DIRECTIVE = re.compile(r"^\s*\.\. [\w-]+::\s*")
_UNREAD = re.compile(r"\s*(?:\.\. (?:figure|image)::.*|:\w+:.*|([-=~^])\1{3,}\s*)")
"""Lines of pictures, of options such as `:align: center`, and lines drawn across the page."""


def is_page(path: str) -> bool:
    """Whether the file is a page of the FAQ."""
    return path.endswith(".rst")


def pairs(files: Mapping[str, bytes]) -> Iterator[Pair | LeftOut]:
    """The questions of all pages in their order.

    A question is known by its page and its heading as it is spelled there.
    """
    for path, content in files.items():
        text = content.decode("utf-8", errors="replace").replace("\r\n", "\n")
        found = list(_QUESTION.finditer(text))
        starts = [match.start() for match in found] + [len(text)]
        for match, end in zip(found, starts[1:], strict=True):
            heading = match[1].rstrip()
            question, answer = plain(heading), plain(text[match.end() : end])
            if len(question.split()) < _LEAST_ASKED:
                yield LeftOut(f"under a heading of less than {_LEAST_ASKED} words")
            elif len(answer.split()) < _LEAST_ANSWERED:
                yield LeftOut(f"without an answer of {_LEAST_ANSWERED} words")
            else:
                yield Pair(sha1(f"{path}{heading}".encode()).hexdigest()[:10], question, question, answer)


def plain(text: str) -> str:
    """The lines of reStructuredText as they read: no literals' quotes, roles, links, pictures, bars.

    What stands for nothing on the page but is not known here (a label before the next question, a table's
    options) stays as it is.
    """
    text = _LINK.sub(r"\1", _ROLE.sub(r"\1", text)).replace("``", "").replace("|", "")
    lines = (_DIRECTIVE.sub("", line) for line in text.split("\n") if not _UNREAD.fullmatch(line))
    rows = (re.sub(r"[ \t]+", " ", line).strip() for line in lines)
    return "\n".join(row for row in rows if row)
