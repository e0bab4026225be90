"""A forum's archive: a page of HTML for each topic, as Drupal 6 wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from html.parser import HTMLParser

from dibs.data.sources.manufactqa_open.pairs import LeftOut, Pair

PARTS = ("node",)
_TOPIC = re.compile(r"node/(\d+)\.html")
_AUTHOR = re.compile(r"Submitted by (.*?)(?: \(not verified\))? on \w{3}, \d")
_WORDS = 15
"""An answer has at least as many."""
_BLOCKS = re.compile(r"p|div|br|hr|[uod]l|li|d[td]|table|t[rdh]|pre|blockquote|h[1-6]")
"""Elements that a line ends with."""
_UNREAD = frozenset({"script", "style"})


def is_topic(path: str) -> bool:
    """Whether the file is a topic's page."""
    return _TOPIC.fullmatch(path) is not None


def pairs(files: Mapping[str, bytes]) -> Iterator[Pair | LeftOut]:
    """Of each topic its title and first post, and of the answers by others the one with the most words."""
    for path, content in files.items():
        page = _Page(content)
        if not page.posts or not page.title:
            yield LeftOut("that are no topics")
            continue
        first, *others = page.posts
        if not first.text:
            yield LeftOut("without a question")
            continue
        answers = [post.text for post in others if post.author != first.author]
        answer = max(answers, key=lambda text: len(text.split()), default="")
        if len(answer.split()) < _WORDS:
            yield LeftOut(f"without an answer of {_WORDS} words")
            continue
        yield Pair(path[len("node/") : -len(".html")], page.title, f"{page.title}\n{first.text}", answer)


@dataclass
class _Post:
    author: str
    said: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its lines, each without blanks around and in rows."""
        lines = (" ".join(line.split()) for line in "".join(self.said).split("\n"))
        return "\n".join(line for line in lines if line)


class _Page(HTMLParser):
    """The title and the posts of a topic, the first of which asks."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.title = ""
        self.posts: list[_Post] = []
        self._depth = 0
        """Of `div` in each other."""
        self._reading: _Region | None = None
        self._skipping: _Region | None = None
        # A few pages hold bytes that are no UTF-8: a mark stands in their place, the rest is read.
        with suppress(AssertionError):  # so the parser ends at a declaration that it does not know
            self.feed(content.decode("utf-8", errors="replace"))
            self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._depth += tag == "div"
        named = dict(attrs)
        classes = (named.get("class") or "").split()
        here = _Region(tag, self._depth)
        if self._skipping is not None:
            return
        if self._reading is None:
            if "submitted" in classes or (tag == "h3" and "title" in classes and not self.title):
                self._reading = here
            elif tag == "div" and "content" in classes and self.posts and not self.posts[-1].said:
                self._reading = _Region(tag, self._depth, self.posts[-1].said)
        elif tag in _UNREAD or "forum-topic-navigation" in classes:
            self._skipping = here
        elif _BLOCKS.fullmatch(tag):
            self._reading.said.append("\n")

    def handle_endtag(self, tag: str) -> None:
        region = self._skipping or self._reading
        if region is not None and (tag, self._depth) == (region.tag, region.depth):
            if self._skipping is not None:
                self._skipping = None
            else:
                self._reading = None
                self._read(region)
        elif region is self._reading and region is not None and _BLOCKS.fullmatch(tag):
            region.said.append("\n")
        self._depth -= tag == "div"

    def handle_data(self, data: str) -> None:
        if self._reading is not None and self._skipping is None:
            self._reading.said.append(data)

    def _read(self, region: _Region) -> None:
        text = " ".join("".join(region.said).split())
        if region.tag == "h3":
            self.title = text
        elif author := _AUTHOR.match(text):
            self.posts.append(_Post(author[1]))


@dataclass
class _Region:
    """An element whose text is read or passed over, to its end tag at the same depth of `div`."""

    tag: str
    depth: int
    said: list[str] = field(default_factory=list)
