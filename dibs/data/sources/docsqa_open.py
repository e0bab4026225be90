"""DocsQA-Open from its repository: 100 questions, and a share of the pages of a vendor's guides.

The card names it, at a commit, as `source.repositories.aws`. A folder with the ready data in BEIR's
layout is read as it is.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from hashlib import sha1

from dibs.data.prepare import SourceData, SourceRequest
from dibs.data.qrels import Judgement, qrels_table
from dibs.data.repository import named_repository, repository_files
from dibs.data.rows import Row, texts_table
from dibs.data.sources import beir
from dibs.data.sources.links import without_links
from dibs.errors import InputError

QUESTIONS = "QA_true.csv"
SHARE = 0.285
"""Of the pages without an answer: with the gold pages the corpus then has as many documents as DocsQA."""

_PAGE = re.compile(r"documents/(?P<guide>[^/]+)/doc_source/(?P<page>.+)\.md")
_COLUMNS = ("Question", "Answer_True", "Yes_No_True", "Document_True")
_ANCHOR = re.compile(r'<a name="[^"]*"></a>')
_ESCAPED = re.compile(r"\\([!#&()*+\-.;<=>@\[\]\\^_`{|}])")
_HEADING = re.compile(r"#\s+(.+)")


def read(request: SourceRequest) -> SourceData:
    """The questions, each with the page that answers it, and the pages.

    Raises:
        InputError: the card names no repository, or a file in it is malformed.
        ProviderError, DamagedError: the archive could not be fetched.
    """
    if beir.is_ready(request.folder):
        return beir.read(request)
    repository = named_repository(request.card, "aws")
    files = repository_files(request, repository, (QUESTIONS, "documents"), _is_read)
    questions = _questions(files[QUESTIONS], f"{repository.name}, {QUESTIONS}")
    gold = {question.document for question in questions}
    pages = [
        Row({"id": name, "title": title_of(name, text), "text": text}, f"{repository.name}, {path}")
        for path, content in files.items()
        if (name := page_id(path)) and (name in gold or in_share(path)) and (text := plain(content))
    ]
    corpus = texts_table(pages, "document", repository.name, titles=True)
    queries = texts_table((question.row for question in questions), "query", repository.name, titles=False)
    found = (
        Judgement(question.row.values["id"], question.document, 1, question.row.where)
        for question in questions
    )
    judged = qrels_table(found, queries, corpus["id"].to_pylist(), repository.name)
    return SourceData(corpus, judged.queries, judged.qrels)


def _is_read(path: str) -> bool:
    return path == QUESTIONS or _PAGE.fullmatch(path) is not None


def page_id(path: str) -> str:
    """The document id of a page: its guide and its path in it; "" for what is no page."""
    match = _PAGE.fullmatch(path)
    return f"{match['guide']}/{match['page']}.md" if match else ""


def in_share(path: str) -> bool:
    """Whether the page is of the share that is taken, by a hash of its path."""
    return int(sha1(path.encode()).hexdigest()[:8], 16) < SHARE * 2**32


def title_of(name: str, text: str) -> str:
    """The guide, and the heading that the page begins with, else the page's name."""
    guide, page = name.split("/", 1)
    heading = _HEADING.match(text)
    name = heading[1].strip() if heading else page.rpartition("/")[2].removesuffix(".md")
    return f"{guide.replace('-', ' ')}: {name}"


def plain(content: bytes) -> str:
    """A page's Markdown without anchors, escapes and the addresses of links."""
    text = _ESCAPED.sub(r"\1", _ANCHOR.sub("", content.decode("utf-8", errors="replace")))
    return re.sub(r"\n{3,}", "\n\n", without_links(text)).strip()


@dataclass(frozen=True)
class _Question:
    row: Row
    document: str
    """The id of the page that answers it."""


def _questions(content: bytes, where: str) -> list[_Question]:
    """The questions in their order, which their ids count from 0.

    Raises:
        InputError: the table is not CSV, or a question or its document is absent.
    """
    reader = csv.DictReader(io.StringIO(_decoded(content, where), newline=""), strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise InputError(f"is not CSV: {error}", where=f"{where}, line {reader.line_num}") from None
    found = []
    for number, row in enumerate(rows):
        place = f"{where}, row {number + 1}"
        text, answer, yes_no, document = ((row.get(name) or "").strip() for name in _COLUMNS)
        if not text or not document:
            problem = "has no question or names no document"
            raise InputError(problem, where=place, todo=f"The columns are: {', '.join(_COLUMNS)}.")
        values = {"id": f"aws-{number:03}", "text": text, "answer": answer, "yes_no": yes_no}
        found.append(_Question(Row(values, place), document))
    return found


def _decoded(content: bytes, where: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8: {error.reason}", where=where) from None
