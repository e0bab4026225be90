from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from functools import partial
from hashlib import sha1
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
from dibs.data.prepare import SourceData, SourceRequest, prepare, prepared
from dibs.data.rows import jsonl
from dibs.data.sources.manufactqa_open import faq, forum, help_centre, read
from dibs.data.sources.manufactqa_open.pairs import LeftOut, Pair, tables
from dibs.errors import InputError
from dibs.workspace import Workspace
from tests.data.open_sources import ARTICLE, ARTICLES, FAQ, FAQ_PAGE, FORUM, LONG, NAMES, card, topic
from tests.data.servers import Server, serving
from tests.data.upstream import publish
from tests.shared import shared_data

MAKERS = ("oem", "esp", "ard")
FILES = {"oem": FORUM, "esp": FAQ, "ard": ARTICLES}


def found(module: object, files: dict[str, bytes]) -> list[Pair]:
    return [pair for pair in module.pairs(files) if isinstance(pair, Pair)]  # type: ignore[attr-defined]


def left(module: object, files: dict[str, bytes]) -> list[str]:
    return [pair.why for pair in module.pairs(files) if isinstance(pair, LeftOut)]  # type: ignore[attr-defined]


# The forum


def test_a_topic_is_its_title_its_first_post_and_the_longest_answer_by_another() -> None:
    assert found(forum, {"node/20.html": FORUM["node/20.html"]}) == [
        Pair(
            "20",
            "Tail > 2 m?",
            "Tail > 2 m?\nHi all,\nhow long, and why?\nred\nblue",
            f"Hello.\n{LONG}\na < b\nc",
        )
    ]


def test_of_answers_as_long_the_first_counts() -> None:
    page = topic("T", "ann", "<p>Q</p>", ("bob", f"<p>First. {LONG}</p>"), ("cy", f"<p>Later. {LONG}</p>"))
    assert [pair.answer for pair in found(forum, {"node/1.html": page})] == [f"First. {LONG}"]


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (40, "without an answer of 15 words"),
        (41, "without an answer of 15 words"),
        (43, "without an answer of 15 words"),
        (44, "without a question"),
        (45, "that are no topics"),
    ],
)
def test_a_topic_that_is_no_pair_is_left_out(number: int, why: str) -> None:
    path = f"node/{number}.html"
    assert left(forum, {path: FORUM[path]}) == [why]


def test_a_page_that_is_not_utf_8_is_read_with_a_mark() -> None:
    (pair,) = found(forum, {"node/46.html": FORUM["node/46.html"]})
    assert (pair.question, pair.answer) == ("B\ufffdr\nK\ufffdse?", f"{LONG} Gr\ufffdn.")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff",
        b"<div class='content'>",
        FORUM["node/20.html"][:2000],
        b"<div>" * 5000,
        b"</div></h3>",
        b"<![odd x]>",
    ],
)
def test_a_page_that_is_cut_off_or_no_page_breaks_nothing(content: bytes) -> None:
    assert len(list(forum.pairs({"node/1.html": content}))) == 1


def test_a_page_cut_off_in_an_answer_keeps_what_was_read() -> None:
    page = FORUM["node/3.html"]
    (pair,) = found(forum, {"node/3.html": page[: page.index(b"</p>", page.index(b"Larks"))]})
    assert pair.answer == f"Larks head. {LONG}"


def test_only_topics_pages_are_read() -> None:
    assert [path for path in FORUM if forum.is_topic(path)] == [
        p for p in FORUM if p.count("/") == 1 and "node" in p
    ]


# The FAQ


def known(heading: str) -> str:
    return sha1(f"{FAQ_PAGE}{heading}".encode()).hexdigest()[:10]


def test_the_questions_of_a_page_and_their_answers() -> None:
    launch = "How does ``launch()`` start the `X-1 <https://example.org/x1>`_ kite?"
    plain = "How does launch() start the X-1 kite?"
    first = (
        "Call launch(kite); see the guide and Where may I fly?.\nNot in a *storm* never.\n"
        "c\nif (wind > 3) {\nlaunch(kite);\n}\nA kite\n.. _where:"
    )
    pairs = found(faq, {path: FAQ[path] for path in FAQ if path == FAQ_PAGE})
    assert pairs[:2] == [
        Pair(known(launch), plain, plain, first),
        Pair(
            known("Where may I fly it?"),
            "Where may I fly it?",
            "Where may I fly it?",
            ":KITE\\: X-1 X-2:\n- Yes.",
        ),
    ]
    assert [pair.title for pair in pairs[2:]] == ["What about small children?"]


def test_headings_of_parts_and_answers_of_a_word_are_left_out() -> None:
    assert left(faq, {FAQ_PAGE: FAQ[FAQ_PAGE]}) == [
        "without an answer of 3 words",
        "under a heading of less than 4 words",
    ]


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"----\n----\n", b"\n\n-----\n", b"Is it so that it ends?\n-----"]
)
def test_a_page_without_a_question_and_an_answer_gives_none(content: bytes) -> None:
    assert found(faq, {FAQ_PAGE: content}) == []


def test_line_ends_of_windows_are_the_same() -> None:
    windows = {FAQ_PAGE: FAQ[FAQ_PAGE].replace(b"\n", b"\r\n")}
    assert found(faq, windows) == found(faq, {FAQ_PAGE: FAQ[FAQ_PAGE]})


# The help centre


def test_an_article_is_its_title_and_its_text() -> None:
    text = f"Use soap, **no** bleach.\n1. Press the button.\n* {LONG}\n## Dry it {{#dry}}"
    assert found(help_centre, {ARTICLE: ARTICLES[ARTICLE]}) == [
        Pair(sha1(ARTICLE.encode()).hexdigest()[:10], "How to wash the sail", "How to wash the sail", text)
    ]


def test_single_quotes_stay_as_they_were_published() -> None:
    path = "content/Help/Quoted.md"
    assert [pair.title for pair in found(help_centre, {path: ARTICLES[path]})] == [
        "'Error \"no wind\" in summer'"
    ]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("One-word", "with a title under 3 words or a text under 15"),
        ("Too-short", "with a title under 3 words or a text under 15"),
        ("No-end", "whose front matter has no title"),
        ("No-title", "whose front matter has no title"),
        ("Bare", "whose front matter has no title"),
    ],
)
def test_an_article_that_is_no_pair_is_left_out(name: str, why: str) -> None:
    path = f"content/Help/{name}.md"
    assert left(help_centre, {path: ARTICLES[path]}) == [why]


# Together


def ask(folder: Path | None) -> SourceData:
    return read(SourceRequest(card("manufactqa-open", *MAKERS), Path(gettempdir()), folder, complete=False))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for maker, files in FILES.items():
        for path, body in files.items():
            target = tmp_path / "copy" / NAMES[maker].partition("/")[2] / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(body)
    return tmp_path / "copy"


IDS = [
    "oem-20",
    "oem-3",
    "oem-46",
    f"esp-{known('How does ``launch()`` start the `X-1 <https://example.org/x1>`_ kite?')}",
]


def test_each_pair_is_a_query_and_a_document(copy: Path) -> None:
    data = ask(copy)
    queries, qrels = data.queries.to_pylist(), data.qrels.to_pylist()
    assert [query["id"] for query in queries][:4] == [f"q-{name}" for name in IDS]
    assert queries[1] == {
        "id": "q-oem-3",
        "text": "Bridle knots\nWhich?",
        "source": "oem",
        "title": "Bridle knots",
    }
    assert data.corpus.to_pylist()[1] == {  # type: ignore[union-attr]
        "id": "a-oem-3",
        "title": "",
        "text": f"Larks head. {LONG}",
        "source": "oem",
    }
    assert qrels == [
        {"query_id": query["id"], "doc_id": f"a{query['id'][1:]}", "relevance": 1} for query in queries
    ]
    assert [query["source"] for query in queries] == ["oem"] * 3 + ["esp"] * 2 + ["ard"] * 2


def test_what_is_left_out_is_counted(copy: Path) -> None:
    assert ask(copy).notes == [
        "left out of some/forum: 1 that are no topics, 1 that stand elsewhere, "
        "1 without a question, 3 without an answer of 15 words",
        "left out of some/faq: 1 that stand elsewhere, 1 under a heading of less than 4 words, "
        "1 without an answer of 3 words",
        "left out of some/help: 3 whose front matter has no title, "
        "2 with a title under 3 words or a text under 15",
    ]


def test_two_pairs_of_one_id_are_refused() -> None:
    pairs = [Pair("1", "t", "one", "uno"), Pair("1", "t", "two", "due")]
    with pytest.raises(InputError, match="the document id 'a-oem-1' is there twice"):
        tables([("oem", "some/forum", pairs)])


def test_a_repository_without_one_pair_is_named(copy: Path) -> None:
    with pytest.raises(InputError, match="there is not one document") as caught:
        tables([("oem", "some/forum", [])])
    assert caught.value.where == "some/forum"


def test_a_folder_with_the_ready_data_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text(json.dumps({"_id": "a", "text": "Yes."}))
    (tmp_path / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": "Is it?"}))
    (tmp_path / "qrels" / "test.tsv").write_text("q\ta\t1\n")
    assert ask(tmp_path).queries["id"].to_pylist() == ["q"]


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *places, **named: None)
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    monkeypatch.setattr(repository, "fetch", partial(fetch, wait=wait_none()))
    monkeypatch.setattr(repository, "list_folder", partial(list_folder, wait=wait_none()))
    entry = EntryPoint("source.manufactqa-open", "dibs.data.sources.manufactqa_open:read", plugins.GROUP)
    entries = plugins._registered() | {entry.name: entry}
    monkeypatch.setattr(plugins, "_registered", lambda: entries)
    with serving() as server:
        for maker, files in FILES.items():
            publish(server, NAMES[maker], files)
        yield server


def test_it_is_fetched_and_prepared_as_it_is_from_a_copy(
    mirror: Server, copy: Path, workspace: Workspace
) -> None:
    at_mirror = card("manufactqa-open", *MAKERS, api=mirror.url, archives=mirror.url)
    dataset = prepare(at_mirror, workspace)
    assert dataset.info.queries == dataset.info.documents == 7
    said = dataset.info.source["repositories"]
    assert [said[name]["licence"] for name in MAKERS] == ["mit"] * 3
    assert said["ard"]["attribution"] == "by ard"
    assert prepare(at_mirror, workspace, folder=copy).info.sha256 == dataset.info.sha256


def test_data_of_the_expected_content_stays_though_the_card_names_its_source_anew(
    mirror: Server, workspace: Workspace
) -> None:
    before = card("manufactqa-open", *MAKERS, api=mirror.url, archives=mirror.url)
    sha256 = prepare(before, workspace).info.sha256
    after = card("manufactqa-open", *MAKERS)
    assert prepared(after, workspace) is None
    expected = after.model_copy(update={"expect": after.expect.model_copy(update={"sha256": sha256})})
    assert prepared(expected, workspace) is not None


# The real ones


@pytest.mark.real_data
def test_the_published_pairs_keep_the_rules() -> None:
    folder = shared_data("data", "manufactqa-open")
    answers = {str(row.values["_id"]): str(row.values["text"]) for row in jsonl(folder / "corpus.jsonl.gz")}
    asked = {str(row.values["_id"]): str(row.values["text"]) for row in jsonl(folder / "queries.jsonl.gz")}
    assert len(set(answers.values())) == len(set(asked.values())) == 6083
    for maker, least_asked, least_answered in (("oem", 1, 15), ("esp", 4, 3), ("ard", 3, 15)):
        assert min(len(text.split()) for name, text in asked.items() if f"-{maker}-" in name) >= least_asked
        assert (
            min(len(text.split()) for name, text in answers.items() if f"-{maker}-" in name) >= least_answered
        )
    topics = [name.removeprefix("a-oem-") for name in answers if name.startswith("a-oem-")]
    assert topics == sorted(topics, key=lambda number: f"node/{number}.html")


@pytest.mark.real_data
def test_the_repositories_give_the_published_data(workspace: Workspace) -> None:
    """Needs the archives of the three pinned commits in `sources`, each called NAME-COMMIT.tar.gz."""
    folder = shared_data("sources")
    dataset = prepare(workspace.card(TaskCard, "ManufactQA-Open"), workspace, folder=folder, complete=True)
    sources = dataset.query_field("source")
    assert [sources.count(maker) for maker in MAKERS] == [4376, 1304, 403]
