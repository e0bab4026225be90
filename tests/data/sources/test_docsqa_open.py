from __future__ import annotations

import json
import ssl
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path
from tempfile import gettempdir

import pytest
from tenacity import wait_none

from dibs import plugins
from dibs.cards.task import TaskCard
from dibs.data import repository
from dibs.data.fetch import fetch
from dibs.data.github import list_folder
from dibs.data.prepare import SourceData, SourceRequest, prepare
from dibs.data.rows import jsonl
from dibs.data.sources.docsqa_open import QUESTIONS, in_share, plain, read, title_of
from dibs.errors import InputError
from dibs.workspace import Workspace
from tests.data.open_sources import NAMES, PAGES, SHARE, card
from tests.data.servers import serving
from tests.data.upstream import publish
from tests.shared import shared_data

WIND, LINE = "kite-flyer-guide/Wind.md", "kite-flyer-guide/parts/Line.md"


def copy(folder: Path, files: dict[str, bytes] = PAGES) -> Path:
    for path, body in files.items():
        target = folder / "guides" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body)
    return folder


def ask(folder: Path) -> SourceData:
    return read(SourceRequest(card("docsqa-open", "aws"), Path(gettempdir()), folder, complete=False))


def corpus(data: SourceData) -> dict[str, dict[str, str]]:
    return {row["id"]: row for row in data.corpus.to_pylist()}  # type: ignore[union-attr]


def test_gold_pages_and_a_share_of_the_rest_are_the_corpus(tmp_path: Path) -> None:
    documents = corpus(ask(copy(tmp_path)))
    assert 5 < len(SHARE) < 20
    assert list(documents) == sorted([WIND, LINE, *SHARE])
    assert documents[WIND] == {
        "id": WIND,
        "title": "kite flyer guide: Flying in wind",
        "text": "# Flying in wind\n\nSee the limits (in Bft).  \n+ **Note**\n\n"
        "![[A kite]](http://example.org/kite.png) \\~5",
    }
    assert documents[LINE]["title"] == "kite flyer guide: Line"  # the page's name: no heading begins it
    assert documents[LINE]["text"] == "--------\n\n# Line\n\nTo 60 m."


def test_questions_have_their_answer_and_their_page(tmp_path: Path) -> None:
    data = ask(copy(tmp_path))
    assert data.queries.to_pylist() == [
        {"id": "aws-000", "text": "In wind, may I fly?", "answer": "Up to 5 Bft", "yes_no": "Yes"},
        {"id": "aws-001", "text": "How long is the line?", "answer": "60 m,\nor less", "yes_no": "None"},
    ]
    assert [tuple(row.values()) for row in data.qrels.to_pylist()] == [
        ("aws-000", WIND, 1),
        ("aws-001", LINE, 1),
    ]


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        (b"\\*a\\* \\[b\\] \\\\\\. c\\_d", "*a* [b] \\. c_d"),
        (b'"Tags": [\n "[Key](Tag.md)": 1', '"Tags": \n "[Key": 1'),  # as it was published
        (b"[a](b.md) ![c](d.png)", "a !c"),
        (b"\xffa\r\n", "\ufffda"),
        (b"a\n\n\n\n\nb", "a\n\nb"),
    ],
)
def test_markdown_as_it_reads(markdown: bytes, text: str) -> None:
    assert plain(markdown) == text


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# Flying in wind \n\nText", "a guide: Flying in wind"),
        ("# \n\n# Words\n\nText", "a guide: # Words"),  # as it was published
        ("## Deeper", "a guide: Page"),
        ("", "a guide: Page"),
    ],
)
def test_a_title_is_the_guide_and_the_heading_that_begins_the_page(text: str, title: str) -> None:
    assert title_of("a-guide/sub/Page.md", text) == title


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (b"Question,Answer_True\nWhy?,So\n", "row 1: has no question or names no document"),
        (
            b"Question,Document_True\n,kite-flyer-guide/Wind.md\n",
            "row 1: has no question or names no document",
        ),
        (
            b"Question,Document_True\nWhy?,kite-flyer-guide/Rain.md\n",
            "name document 'kite-flyer-guide/Rain.md'",
        ),
        (b'Question,Document_True\n"Why?"x,y\n', "is not CSV"),
        (b"Question\xff", "is not UTF-8"),
        (b"", "there is not one query"),
    ],
    ids=["no document", "no question", "no such page", "quotes", "encoding", "empty"],
)
def test_malformed_questions_are_named(tmp_path: Path, table: bytes, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        ask(copy(tmp_path, PAGES | {QUESTIONS: table}))
    assert problem in str(caught.value)
    assert "some/guides" in str(caught.value)


def test_a_repository_without_pages_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is nothing to read in 'documents'"):
        ask(copy(tmp_path, {QUESTIONS: PAGES[QUESTIONS], "documents/guide/README.md": b"# No page"}))


def test_a_folder_with_the_ready_data_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text(json.dumps({"_id": "a", "text": "Yes."}))
    (tmp_path / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": "Is it?"}))
    (tmp_path / "qrels.tsv").write_text("q\ta\t1\n")
    assert ask(tmp_path).queries["id"].to_pylist() == ["q"]


def test_it_is_fetched_and_prepared_as_it_is_from_a_copy(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *places, **named: None)
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    monkeypatch.setattr(repository, "fetch", partial(fetch, wait=wait_none()))
    monkeypatch.setattr(repository, "list_folder", partial(list_folder, wait=wait_none()))
    entry = EntryPoint("source.docsqa-open", "dibs.data.sources.docsqa_open:read", plugins.GROUP)
    entries = plugins._registered() | {entry.name: entry}
    monkeypatch.setattr(plugins, "_registered", lambda: entries)
    with serving() as server:
        publish(server, NAMES["aws"], PAGES)
        at_mirror = card("docsqa-open", "aws", api=server.url, archives=server.url)
        dataset = prepare(at_mirror, workspace)
    assert dataset.info.documents == 2 + len(SHARE)
    again = prepare(at_mirror, workspace, folder=copy(tmp_path / "copy"))
    assert again.info.sha256 == dataset.info.sha256


# The real ones


@pytest.mark.real_data
def test_the_published_pages_keep_the_rules() -> None:
    folder = shared_data("data", "docsqa-open")
    gold = {line.split("\t")[1] for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]}
    pages = [row.values for row in jsonl(folder / "corpus.jsonl.gz")]
    assert len(pages) == 7561
    assert [page["title"] for page in pages] == [title_of(page["_id"], page["text"]) for page in pages]
    for page in pages:
        guide, path = page["_id"].split("/", 1)
        assert page["_id"] in gold or in_share(f"documents/{guide}/doc_source/{path}"), page["_id"]


@pytest.mark.real_data
def test_the_repository_gives_the_published_data(workspace: Workspace) -> None:
    """Needs the archive of the pinned commit in `sources`, called NAME-COMMIT.tar.gz."""
    folder = shared_data("sources")
    prepare(workspace.card(TaskCard, "DocsQA-Open"), workspace, folder=folder, complete=True)
