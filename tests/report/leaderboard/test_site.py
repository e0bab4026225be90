from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from dibs.files import sha256_file
from dibs.records import RUN
from dibs.report.leaderboard.build import read_report, write_report
from dibs.report.leaderboard.entries import read_results
from dibs.report.leaderboard.site_data import write_script
from dibs.report.leaderboard.stages import stages
from dibs.workspace import Workspace
from tests.cli.test_cli import Said, warns
from tests.report.leaderboard.made import answers, dense, reranked, retrieval
from tests.toys import ROOT

PAGE = ROOT / "dibs" / "report" / "leaderboard" / "page"


def handed(path: Path) -> Any:
    """What a data file hands to its page."""
    found = re.fullmatch(rf'DIBS\.receive\("{re.escape(path.stem)}",(.*)\);\n', path.read_text(), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


@pytest.fixture
def site(tiny_workspace: Workspace) -> Path:
    for more in ((), ("--template", "titled")):
        assert Said("run", "--model", "bm25", "--task", "Tiny", *more).code == 0
    return tiny_workspace.root / "leaderboard" / "site"


def test_pages_without_texts_hold_none(site: Path) -> None:
    assert Said("leaderboard", "--site").code == 0
    everything = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.*s*") if path.is_file())
    assert "net sales" not in everything
    assert handed(site / "data" / "board-Tiny.js")["texts"] is None
    assert not list(site.glob("data/texts-*"))


def test_pages_with_texts_hold_gold_and_ranks_too(site: Path, tiny_workspace: Workspace) -> None:
    said = Said("leaderboard", "--site", "--texts")
    assert said.code == 0
    assert "texts of Tiny; its licence: apache-2.0" in said.err
    board = handed(site / "data" / "board-Tiny.js")
    record = next(tiny_workspace.results.glob("Tiny/bm25/*")).name
    mine = handed(site / "data" / f"record-{record}.js")
    at = board["queries"].index("q4")
    assert board["texts"][at] == "How large is the backlog?"
    assert [board["documents"][name] for name in board["gold"][at]] == ["boeing-10k-p2", "boeing-10k-p3"]
    assert mine["goldRanks"][at] == [2, 1]
    assert handed(site / "data" / "texts-Tiny-0.js")[board["gold"][at][0]]["text"].startswith(
        "Boeing's backlog"
    )


def test_texts_of_other_data_are_not_shown(site: Path, tiny_workspace: Workspace) -> None:
    corpus = tiny_workspace.root / "tasks" / "tiny" / "corpus.jsonl"
    corpus.write_text(corpus.read_text().replace("airplanes", "boats"))
    assert Said("data", "prepare", "Tiny").code == 0
    said = Said("leaderboard", "--site", "--texts")
    assert said.code == 0
    assert "no texts of Tiny" in said.err
    assert "made with other data" in said.err
    assert handed(site / "data" / "board-Tiny.js")["texts"] is None


@warns
def test_a_folder_of_other_files_is_not_replaced(site: Path) -> None:
    site.mkdir(parents=True)
    (site / "mine.txt").write_text("mine")
    said = Said("leaderboard", "--site")
    assert said.code == 2
    assert "other files" in said.err
    assert (site / "mine.txt").read_text() == "mine"


def test_former_pages_are_removed_and_the_same_ones_written(site: Path) -> None:
    assert Said("leaderboard", "--site").code == 0
    before = {path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()}
    (site / "record-gone.html").write_text("old")
    assert Said("leaderboard", "--site").code == 0
    assert {path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()} == before
    assert not list(site.parent.glob(".site-*"))


def test_a_page_for_everything(site: Path, tiny_workspace: Workspace) -> None:
    record = retrieval(tiny_workspace.results, "a", [1.0, 0.0], on="Other", split=["x", "y"])
    answers(tiny_workspace.results, record, ["correct", None])
    (retrieval(tiny_workspace.results, "b", [0.0, 0.0], on="Other").folder / RUN).unlink()
    assert Said("leaderboard", "--site").code == 0
    names = {path.name for path in site.glob("*.html")}
    records = {
        f"record-{path.name}.html"
        for path in tiny_workspace.results.glob("*/*/*")
        if "gpt" not in path.parts[-2]
    }
    tasks, models = {"task-Tiny.html", "task-Other.html"}, {"model-bm25.html", "model-a.html", "model-b.html"}
    assert names == {"index.html", "compare.html", "query.html"} | records | tasks | models
    listed = handed(site / "data" / "records.js")
    assert list(listed["answers"]) == [record.hash]
    assert (
        handed(site / "data" / f"{listed['answers'][record.hash][0]}.js")["rows"]["q0"]["verdict"]
        == "correct"
    )
    assert re.search(r"<th scope=\"col\">x <small>\(1\)", (site / "task-Other.html").read_text())


def test_data_files_are_plain_ascii(tmp_path: Path) -> None:
    hostile = "</script>\u2028\u202e\x00\ud800 \"'"
    write_script(tmp_path, "a", [hostile])
    assert (tmp_path / "a.js").read_bytes().isascii()
    assert handed(tmp_path / "a.js") == [hostile]


def test_a_card_cannot_put_markup_or_scripts_on_a_page(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    card = {"description": evil, "licence": evil, "citation": evil, "reference": "javascript:alert(1)"}
    model = {"name": evil, "description": evil, "reference": 'https://x/"onclick="alert(1)'}
    workspace = Workspace(tmp_path, tmp_path)
    retrieval(
        workspace.results, f"a{evil}", [1.0, 0.0], card=card, model=model, command=evil, split=[evil, "y"]
    )
    assert Said("leaderboard", "--site", "--workspace", str(tmp_path)).code == 0
    pages = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")}
    assert sum("&lt;script&gt;" in text for text in pages.values()) > 3
    for text in pages.values():
        assert "<script>alert" not in text
        assert 'href="javascript' not in text
        assert 'x/"onclick' not in text


def test_the_stage_to_blame(tmp_path: Path) -> None:
    gold = {
        "pushed out": {"documents": 1, "queries": ["q1"]},
        "missing from the candidates": {"queries": ["q2"]},
    }
    retrieval(tmp_path, "first", [1.0, 0.0, 0.5, 0.0])
    retrieval(
        tmp_path,
        "first > r (30)",
        [1.0, 0.0, 0.0, 0.0],
        settings=reranked(dense("first")),
        about={"gold": gold},
    )
    first, second = sorted(read_results(tmp_path).entries, key=lambda entry: entry.pipeline)
    assert stages(first) == ["found", "ranked below 10", "partly found within 10", "ranked below 10"]
    assert stages(second) == [
        "found",
        "reranker: pushed out of the first 10",
        "first stage: not among its candidates",
        "reranker: left below 10",
    ]


def test_what_is_vendored_is_as_its_makers_publish_it() -> None:
    stated = tomllib.loads((PAGE / "vendor" / "versions.toml").read_text())["file"]
    scripts = {path.name for path in (PAGE / "vendor").glob("*.js")}
    assert {one["name"] for one in stated} == scripts
    for one in stated:
        assert sha256_file(PAGE / "vendor" / one["name"]) == one["sha256"]
        assert (PAGE / "vendor" / one["licence"].split(", ")[1]).is_file()


def test_the_committed_leaderboard_is_what_the_committed_records_give(tmp_path: Path) -> None:
    committed = ROOT / "leaderboard"
    if not (committed / "README.md").is_file():
        pytest.skip("leaderboard/ was not written yet")
    write_report(read_report(ROOT / "results"), tmp_path, "../results")
    made = {path.relative_to(tmp_path) for path in tmp_path.rglob("*.*")}
    there = {
        path.relative_to(committed) for path in [committed / "README.md", *committed.glob("figures/*.*")]
    }
    assert made == there, "run: dibs leaderboard"
    for name in made:
        if name.suffix != ".png":  # letters' edges may differ by a processor's rounding
            assert (tmp_path / name).read_bytes() == (committed / name).read_bytes(), (
                f"{name}: run dibs leaderboard"
            )
