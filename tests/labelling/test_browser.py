"""The page in a real browser, with documents that nobody vouches for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from dibs.labelling.journal import Journal, Pair, read_journal
from dibs.labelling.page import LabelServer
from dibs.labelling.session import Session
from dibs.labelling.source import labelled
from dibs.workspace import Workspace
from tests.labelling.made import POOL, make_task
from tests.labelling.test_page import serving
from tests.report.browser.test_site import FLAGS, HOSTILE

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

DOCUMENTS = {
    "d1": f"Apple's {HOSTILE} rose.",
    "<img src=x onerror='window.owned = 1'>": "net sales " + "a" * 100_000,
    "d3": "Boeing delivered 480 airplanes.",
}
QUERIES = {"q1": (f"What were Apple's {HOSTILE}?", HOSTILE), "q2": ("How many airplanes?", "")}
PAIRS = [Pair(query, document) for query in QUERIES for document in DOCUMENTS]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def server(workspace: Workspace) -> Iterator[LabelServer]:
    make_task(workspace, documents=DOCUMENTS, queries=QUERIES)
    task = labelled("Works", workspace)
    with (
        Journal(task.journal("ann"), "ann") as journal,
        serving(Session(task, PAIRS, journal, POOL)) as server,
    ):
        yield server


class Labeller:
    """A page, and whatever it complained of or asked others for."""

    def __init__(self, browser: Any, server: LabelServer, **look: Any) -> None:
        self.page = browser.new_context(**({"viewport": {"width": 1200, "height": 900}} | look)).new_page()
        self.expect = pytest.importorskip("playwright.sync_api").expect
        self.complaints: list[str] = []
        self.page.on("console", lambda said: self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda asked: self._asked(asked.url, server.url))
        self.page.goto(server.url)
        self.shows("0 of 6 judged")

    def _asked(self, url: str, home: str) -> None:
        if not url.startswith((home, "data:,")):
            self.complaints.append(f"asked for {url}")

    def shows(self, progress: str) -> None:
        self.expect(self.page.locator("#progress")).to_contain_text(progress)

    def close(self) -> None:
        assert self.complaints == []
        assert self.page.evaluate("window.owned") is None
        self.page.context.close()


@pytest.fixture
def labeller(browser: Any, server: LabelServer) -> Iterator[Labeller]:
    labeller = Labeller(browser, server)
    yield labeller
    labeller.close()


def grades(place: Workspace) -> list[int]:
    return [one.grade for one in read_journal(place.root / "tasks/labels/Works/ann.jsonl").labels]


def test_judge_by_keyboard(labeller: Labeller, workspace: Workspace) -> None:
    page = labeller.page
    for key, progress in (("y", "document 2 of 3"), ("0", "document 3 of 3"), ("s", "query 2 of 2")):
        page.keyboard.press(key)
        labeller.shows(progress)
    page.keyboard.press("b")
    labeller.shows("query 1 of 2, document 3 of 3; 2 of 6 judged")
    page.keyboard.press("Control+y")
    page.keyboard.press("2")
    page.keyboard.press("1")
    labeller.shows("3 of 6 judged")
    assert grades(workspace) == [1, 0, 1]


def test_judge_with_buttons_to_the_end(labeller: Labeller, workspace: Workspace) -> None:
    page = labeller.page
    for judged in range(1, 6):
        page.get_by_role("button", name="not relevant").click()
        labeller.shows(f"{judged} of 6 judged")
    page.get_by_role("button", name="back").click()
    labeller.expect(page.get_by_role("button", name="not relevant")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="skip").click()
    labeller.shows("document 3 of 3")
    page.locator("button", has_text="1").focus()
    page.keyboard.press("Enter")
    labeller.expect(page.locator("h1")).to_have_text("That was the last document.")
    assert grades(workspace) == [0, 0, 0, 0, 0, 1]
    page.get_by_role("button", name="stop").click()
    labeller.expect(page.locator("h1")).to_contain_text("can be closed")


def test_texts_are_texts(labeller: Labeller) -> None:
    page = labeller.page
    labeller.expect(page.locator("#text")).to_contain_text("<script>window.owned = 1</script>")
    labeller.expect(page.locator("h1")).to_contain_text("{{ 7 * 7 }}")
    labeller.expect(page.locator("#answer")).to_contain_text("<img src=x")
    labeller.expect(page.locator("#text mark").first).to_have_text("Apple")
    assert "\x1b" not in page.locator("#text").inner_text()
    page.keyboard.press("s")
    labeller.expect(page.locator("#text")).to_contain_text("(cut: 80,010 more characters)")
    labeller.expect(page.locator("#name")).to_have_text("<img src=x onerror='window.owned = 1'>")


def test_a_server_that_is_gone_is_said(browser: Any, server: LabelServer, workspace: Workspace) -> None:
    labeller = Labeller(browser, server)
    labeller.page.route("**/act", lambda route: route.abort())
    labeller.page.keyboard.press("y")
    labeller.expect(labeller.page.locator("#problem")).to_contain_text("Nothing was written")
    labeller.page.unroute("**/act")
    labeller.page.keyboard.press("y")
    labeller.shows("1 of 6 judged")
    labeller.expect(labeller.page.locator("#problem")).to_be_hidden()
    assert grades(workspace) == [1]
    labeller.complaints.clear()  # the browser's own word on the request that was cut off
    labeller.close()


LOOKS: dict[str, dict[str, Any]] = {
    "wide": {"viewport": {"width": 1400, "height": 900}},
    "narrow and dark": {"viewport": {"width": 390, "height": 800}, "color_scheme": "dark"},
}


@pytest.mark.parametrize("look", LOOKS)
def test_the_page_is_accessible_and_fits(browser: Any, server: LabelServer, look: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    labeller = Labeller(browser, server, **LOOKS[look])
    for key, progress in (("s", "document 2"), ("s", "document 3"), ("s", "query 2"), ("b", "query 1")):
        found = axe.run(labeller.page, options={"preload": False}).response["violations"]
        assert [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found] == []
        assert (
            labeller.page.evaluate("document.documentElement.scrollWidth") <= LOOKS[look]["viewport"]["width"]
        )
        labeller.page.keyboard.press(key)
        labeller.shows(progress)
    labeller.close()
