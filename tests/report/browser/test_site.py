"""The pages in a real browser, opened from disk as a reader opens them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dibs.records import Record
from dibs.report.leaderboard.build import read_report
from dibs.workspace import Workspace
from tests.cli.test_cli import Said
from tests.report.leaderboard.made import answers, calibration, dense, reranked, retrieval

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = (
    "</script><script>window.owned = 1</script><img src=x onerror='window.owned = 1'> net sales "
    "{{ 7 * 7 }} \x1b[2J \x07 \u202e\u2066 \u2028 \ud83d\ude00 & &lt;b&gt; "
)
LONG = "net sales " + "a" * 100_000
CARD = """
name = "Tiny"
description = "A task <script>window.owned = 1</script> of tests."
measures = ["recall@1", "recall@10", "recall@100", "success@10", "ndcg@10"]
licence = "for <b>tests</b>"
citation = "none"
split_by = "kind"

[source]
kind = "beir"
path = "tiny"

[documents]
template = "{text}"

[documents.variants]
titled = "{title}: {text}"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace with hostile texts, a long task, answers and a judge; its site is below leaderboard/."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    home = tmp_path_factory.mktemp("site")
    place = Workspace(home / "workspace", home / "cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIBS_WORKSPACE", str(place.root))
        patch.setenv("DIBS_CACHE", str(place.cache))
        _tiny(place.root / "tasks")
        for more in ([], ["--template", "titled"]):
            said = Said("run", "--model", "bm25", "--task", "Tiny", *more)
            assert said.code == 0, said.err
        plain = next(Record(path.parent) for path in place.results.glob("Tiny/bm25/*/manifest.json"))
        answers(place.results, plain, ["incorrect", "correct", None], queries=["q1", "q2", "q3"])
        calibration(place.results, "rules", 0.85, 0.7)
        random = np.random.default_rng(1)
        for name, settings in (("small", dense("small")), ("small > judge (30)", reranked(dense("small")))):
            recall = (random.random(6_787) < 0.5).astype(float).tolist()
            retrieval(place.results, name, recall, on="Long", settings=settings, intervals=False)
        said = Said("leaderboard", "--site", "--texts")
        assert said.code == 0, said.err
        yield place


def _tiny(tasks: Path) -> None:
    folder = tasks / "tiny"
    (folder / "qrels").mkdir(parents=True)
    (tasks / "Tiny.toml").write_text(CARD)
    texts = {"d1": f"Apple's {HOSTILE} rose.", "d2": LONG, "d3": "Boeing delivered 480 airplanes."}
    corpus: list[dict[str, Any]] = [
        {"_id": name, "title": HOSTILE, "text": text} for name, text in texts.items()
    ]
    asked = {"q1": f"What were Apple's {HOSTILE}?", "q2": "How many airplanes?", "q3": "Umbrella?"}
    more = {"kind": "<i>", "answer": HOSTILE}
    queries: list[dict[str, Any]] = [
        {"_id": name, "text": text, "metadata": more} for name, text in asked.items()
    ]
    for file, lines in (("corpus", corpus), ("queries", queries)):
        (folder / f"{file}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = "q1\td1\t1\nq2\td3\t1\nq3\td2\t1\n"
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}")


@pytest.fixture(scope="module")
def site(place: Workspace) -> Path:
    return place.root / "leaderboard" / "site"


@pytest.fixture(scope="module")
def browser(place: Workspace) -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Reader:
    """A page, and whatever it complained of or asked the network for."""

    def __init__(self, browser: Any, site: Path, **look: Any) -> None:
        self.page = browser.new_context(**({"viewport": {"width": 1400, "height": 900}} | look)).new_page()
        self.complaints: list[str] = []
        self._site = site
        self.expect = pytest.importorskip("playwright.sync_api").expect
        self.page.on("console", lambda said: self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda asked: self._asked(asked.url))

    def _asked(self, url: str) -> None:
        if not url.startswith("file:"):
            self.complaints.append(f"asked for {url}")

    def open(self, page: str) -> Any:
        self.page.goto(f"file://{self._site}/{page}")
        self.page.wait_for_load_state("networkidle")
        return self.page

    def rows(self, table: str) -> list[str]:
        """The first column's header cells, from top to bottom."""
        found: list[str] = self.page.locator(f"{table} tbody th").all_inner_texts()
        return found

    def expect_rows(self, table: str, *names: str) -> None:
        """A table is drawn again a moment after what was done to it: wait until it has these rows."""
        self.expect(self.page.locator(f"{table} tbody th")).to_have_text(names, use_inner_text=True)

    def close(self) -> None:
        assert self.complaints == []
        assert self.page.evaluate("window.owned") is None
        self.page.context.close()


@pytest.fixture
def reader(browser: Any, site: Path) -> Iterator[Reader]:
    reader = Reader(browser, site)
    yield reader
    reader.close()


def test_sort_by_mouse_and_by_keyboard(reader: Reader) -> None:
    page = reader.open("index.html")
    names = ["bm25", "bm25 (titled)", "small", "small > judge (30)"]
    assert set(reader.rows("#all-records")) == set(names)
    header = page.get_by_role("columnheader", name="Pipeline")
    header.click()
    reader.expect(header).to_have_attribute("aria-sort", "ascending")
    reader.expect_rows("#all-records", *names)
    page.locator("#all-records th", has_text="Pipeline").locator("[role=button]").focus()
    page.keyboard.press("Enter")
    reader.expect(header).to_have_attribute("aria-sort", "descending")
    reader.expect_rows("#all-records", *reversed(names))


def test_filter(reader: Reader) -> None:
    page = reader.open("index.html")
    task, kind = page.locator(".filters select").all()
    search = page.get_by_role("searchbox").first
    task.select_option("Long")
    reader.expect(page.locator("#all-records tbody th")).to_have_count(2)
    assert sorted(reader.rows("#all-records")) == ["small", "small > judge (30)"]
    kind.select_option("reranking")
    reader.expect_rows("#all-records", "small > judge (30)")
    task.select_option("")
    kind.select_option("")
    search.fill("titled")
    reader.expect_rows("#all-records", "bm25 (titled)")
    search.fill("nothing has this")
    reader.expect(page.locator("#all-records")).to_contain_text("Nothing matches")


def test_compare_two(reader: Reader, place: Workspace) -> None:
    page = reader.open("index.html")
    page.get_by_label("Compare small on Long", exact=True).check()
    reader.expect(page.get_by_label("Compare bm25 on Tiny", exact=True)).to_be_disabled()
    page.get_by_label("Compare small > judge (30) on Long").check()
    page.get_by_role("link", name="Compare the two").click()
    page.wait_for_selector("#won-table tbody th")
    board = next(board for board in read_report(place.results).boards if board.name == "Long")
    names = [entry.pipeline for entry in board.entries]
    found = board.comparison.difference(names.index("small"), names.index("small > judge (30)"))
    shown = page.locator(".difference").inner_text()
    assert f"{abs(found.estimate.value):.3f}" in shown
    assert ("+" if found.estimate.value > 0 else "\N{MINUS SIGN}") in shown
    assert page.locator(".stages").first.inner_text().split() == [
        *(f"{found.won} won by the first {found.lost} won by the second {found.tied} equal".split())
    ]
    assert page.get_by_role("heading", name=f"Won by the first ({found.won:,})").is_visible()


def test_down_to_a_query_whose_texts_are_hostile(reader: Reader) -> None:
    page = reader.open("index.html")
    page.get_by_role("link", name="bm25", exact=True).first.click()
    page.get_by_role("link", name="q1").click()
    page.wait_for_selector(".pages")
    reader.expect(page.locator("h1")).to_have_text("q1")
    assert "<script>window.owned = 1</script>" in page.locator(".question").inner_text()
    assert "{{ 7 * 7 }}" in page.locator(".question").inner_text()
    assert "window.owned" in page.get_by_text("Gold answer:").locator("..").inner_text()
    assert page.locator(".pages li.gold").count() == 2  # among the gold, and among the ranked
    marked = page.locator(".pages mark").all_inner_texts()
    assert {"net", "sales"} <= set(marked)
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    reader.expect(page.locator(".text").first).to_contain_text("<img src=x", use_inner_text=True)
    assert "incorrect" in page.locator("article").inner_text()
    assert "the generator, which was given a gold page" in page.locator("article").inner_text()
    page.get_by_role("link", name="next query").click()
    reader.expect(page.locator("h1")).to_have_text("q2")


def test_a_line_of_100_kb_is_cut_and_fits(browser: Any, site: Path, place: Workspace) -> None:
    reader = Reader(browser, site, viewport={"width": 390, "height": 800})
    record = next(place.results.glob("Tiny/bm25/*")).name
    page = reader.open(f"query.html?record={record}&query=q3")
    page.wait_for_selector(".pages")
    page.locator("summary").first.click()
    reader.expect(page.locator(".text").first).to_have_text(re.compile(r"\(cut\)$"), use_inner_text=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    reader.close()


def test_a_long_table_stays_fast(reader: Reader, place: Workspace) -> None:
    record = next(place.results.glob("Long/small/*")).name
    page = reader.open(f"record-{record}.html")
    page.wait_for_selector("#queries-table tbody th")
    assert page.locator("#queries-table tbody tr").count() == 25
    assert "6,787" in page.locator("#queries").inner_text()
    milliseconds = page.evaluate(
        """() => {
            const table = new DataTable.Api("#queries-table");
            const begin = performance.now();
            table.order([1, "desc"]).draw();
            table.search("q678").draw();
            return performance.now() - begin;
        }"""
    )
    assert milliseconds < 2_000
    page.get_by_role("searchbox").fill("q6786")
    reader.expect_rows("#queries-table", "q6786")


@pytest.mark.parametrize("page", ["compare.html?a=no&b=more", "query.html?record=no&query=no", "query.html"])
def test_what_is_not_there_is_said(reader: Reader, page: str) -> None:
    reader.open(page)
    reader.expect(reader.page.locator("main")).to_have_text(re.compile("Choose|There is no"))


LOOKS: dict[str, dict[str, Any]] = {
    "wide": {"viewport": {"width": 1400, "height": 900}},
    "narrow and dark": {"viewport": {"width": 390, "height": 800}, "color_scheme": "dark"},
}


@pytest.mark.parametrize("look", LOOKS)
def test_pages_are_accessible_and_fit(browser: Any, site: Path, place: Workspace, look: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tiny, titled = (next(place.results.glob(f"Tiny/{name}/*")).name for name in ("bm25", "bm25-titled"))
    reader = Reader(browser, site, **LOOKS[look])
    for name in (
        "index.html",
        "task-Tiny.html",
        "model-bm25.html",
        f"record-{tiny}.html",
        f"compare.html?a={tiny}&b={titled}",
        "compare.html",
        f"query.html?record={tiny}&query=q1",
    ):
        page = reader.open(name)
        page.wait_for_function("document.querySelector('main').innerText.length > 60")
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        found = axe.run(page, options={"preload": False}).response["violations"]
        told = [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found]
        assert told == [], f"{name}: {told}"
        assert page.evaluate("document.documentElement.scrollWidth") <= LOOKS[look]["viewport"]["width"], name
    reader.close()


def test_keyboard_reaches_the_content_first(reader: Reader) -> None:
    page = reader.open("index.html")
    page.keyboard.press("Tab")
    page.wait_for_function("document.activeElement.textContent === 'Skip to content'")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.wait_for_function("document.activeElement.closest('main') !== null")


def test_every_link_leads_somewhere(site: Path) -> None:
    for page in site.glob("*.html"):
        links = re.findall(r'(?:href|src)="([^"#?]+)[^"]*"', page.read_text(encoding="utf-8"))
        missing = [link for link in links if not re.match("https?:", link) and not (site / link).exists()]
        assert missing == [], page.name
