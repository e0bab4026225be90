"""What the shells are offered, asked as they ask it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dibs.cards.model import LLMCard, ModelCard, RerankerCard
from dibs.cards.task import TaskCard
from dibs.cli import complete
from dibs.workspace import Workspace

ASK = "import sys; sys.argv[0] = 'dibs'; from dibs.cli.main import main; main()"


def offered(place: Workspace, line: str, shell: str = "bash", code: str = ASK) -> list[str]:
    """The words that a shell is offered at the end of `line`."""
    words = line.split()
    last = "" if line.endswith(" ") else words[-1]
    asked = {"_DIBS_COMPLETE": f"complete_{shell}"}
    if shell == "bash":
        asked |= {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - (last != ""))}
    elif shell == "zsh":
        asked |= {"_TYPER_COMPLETE_ARGS": line}
    else:
        asked |= {"_TYPER_COMPLETE_FISH_ACTION": "get-args", "_TYPER_COMPLETE_ARGS": line}
    environment = os.environ | asked | {"DIBS_WORKSPACE": str(place.root)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.fixture
def place(tiny_workspace: Workspace) -> Workspace:
    """A workspace with cards and a record of its own."""
    for folder, name in (("models", "my-model"), ("models/llm", "my-llm"), ("rerankers", "my-reranker")):
        (tiny_workspace.root / folder).mkdir(exist_ok=True)
        (tiny_workspace.root / folder / f"{name}.toml").write_text("")
    (tiny_workspace.root / "results" / "Tiny" / "bm25" / "0123").mkdir(parents=True)
    (tiny_workspace.root / "pairs" / "my-pairs").mkdir(parents=True)
    return tiny_workspace


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_is_offered_names(place: Workspace, shell: str) -> None:
    assert any("my-model" in word for word in offered(place, "dibs run --model my", shell))
    assert any("Tiny" in word for word in offered(place, "dibs run --model bm25 --task Ti", shell))


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("dibs run --model my", ["my-model"]),
        ("dibs run --model bm25+my", ["bm25+my-model"]),
        ("dibs run --task FinanceB", ["FinanceBench", "FinanceBench-Sample"]),
        ("dibs run --reranker my", ["my-reranker"]),
        ("dibs run --set pool", ["pooling="]),
        ("dibs rag --generator my", ["my-llm"]),
        ("dibs rag --judge ru", ["rules"]),
        ("dibs rag --judge rules+my", ["rules+my-llm"]),
        ("dibs rag --retrieval T", ["Tiny/bm25"]),
        ("dibs show T", ["Tiny/bm25"]),
        ("dibs compare Tiny/bm25 T", ["Tiny/bm25"]),
        ("dibs export trec out T", ["Tiny/bm25"]),
        ("dibs finetune --pairs my", ["my-pairs"]),
        ("dibs judge calibrate --judge my", ["my-llm"]),
        ("dibs data prepare T", ["Tiny"]),
        ("dibs serve my", ["my-llm"]),
        ("dibs doc", ["doctor"]),
    ],
)
def test_what_is_offered(place: Workspace, line: str, names: list[str]) -> None:
    assert offered(place, line) == names


def test_nothing_heavy_is_imported(place: Workspace) -> None:
    heavy = ("torch", "mteb", "pandas", "numpy", "rich.table", "httpx", "dibs.cards")
    code = (
        "import sys, atexit\n"
        f"atexit.register(lambda: print(*(name for name in {heavy!r} if name in sys.modules)))\n{ASK}"
    )
    assert offered(place, "dibs run --model my", code=code) == ["my-model"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_each_shell(place: Workspace, shell: str) -> None:
    environment = os.environ | {"_DIBS_COMPLETE": f"source_{shell}"}
    done = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True)
    assert done.returncode == 0
    assert "_DIBS_COMPLETE" in done.stdout
    assert "dibs" in done.stdout


def test_the_names_are_those_of_the_workspace(place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer import Context
    from typer.main import get_command

    from dibs.cli.main import app

    context = Context(get_command(app))
    monkeypatch.chdir(place.root)
    for files, name in (
        (place.card_files(TaskCard), "task"),
        (place.card_files(ModelCard), "model"),
        (place.card_files(RerankerCard), "reranker"),
        (place.card_files(LLMCard), "generator"),
    ):
        assert set(complete._COMPLETE[name](context, "")) == set(files)


def test_a_folder_that_is_not_there_offers_what_is_shipped(tmp_path: Path) -> None:
    place = Workspace(tmp_path / "nowhere", tmp_path)
    assert "bm25" in offered(place, "dibs run --model bm")
