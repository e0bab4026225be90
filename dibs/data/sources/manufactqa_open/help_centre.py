"""A help centre's articles in Markdown, whose front matter has the title."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from hashlib import sha1

from dibs.data.sources.links import without_links
from dibs.data.sources.manufactqa_open.pairs import LeftOut, Pair

PARTS = ("content",)
_ARTICLE = re.compile(r"---[ \t]*\n(?P<about>.*?)^---[ \t]*$(?P<text>.*)", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r"^title:[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_LEAST_ASKED, _LEAST_ANSWERED = 3, 15
"""Words."""

_TAG = re.compile(r"<[^>]+>")


def is_article(path: str) -> bool:
    """Whether the file is an article."""
    return path.endswith(".md")


def pairs(files: Mapping[str, bytes]) -> Iterator[Pair | LeftOut]:
    """Of each article its title and its text. An article is known by its path."""
    for path, content in files.items():
        text = content.decode("utf-8", errors="replace").removeprefix("\ufeff").replace("\r\n", "\n")
        article = _ARTICLE.match(text)
        named = _TITLE.search(article["about"]) if article else None
        title = named[1].strip('"') if named else ""
        if article is None or not title:
            yield LeftOut("whose front matter has no title")
            continue
        answer = plain(article["text"])
        if len(title.split()) < _LEAST_ASKED or len(answer.split()) < _LEAST_ANSWERED:
            yield LeftOut(f"with a title under {_LEAST_ASKED} words or a text under {_LEAST_ANSWERED}")
        else:
            yield Pair(sha1(path.encode()).hexdigest()[:10], title, title, answer)


def plain(text: str) -> str:
    """The lines of Markdown without pictures, tags and the addresses of links."""
    text = without_links(without_links(text, "![", keep=False))
    tagged, end, rest = text.rpartition(">")  # what comes after holds no tag
    text = _TAG.sub("", tagged + end) + rest
    rows = (re.sub(r"[ \t]+", " ", line).strip() for line in text.split("\n"))
    return "\n".join(row for row in rows if row)
