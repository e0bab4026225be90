"""What is built installs into an empty environment, and works there."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.toys import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]

USER = """
import dibs
from dibs.cards.model import ModelCard
from dibs.errors import InputError
card: ModelCard = ModelCard(name="m", adapter="bm25")
problem: int = InputError("x").problem
"""


def run(*words: str | Path, cwd: Path, **environment: str) -> str:
    """What a command says on both outputs."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DIBS_"))
    }
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, env=inherited | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel that is built from it."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    command = ("-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    run(sys.executable, *command, cwd=folder, PYTHONPATH=os.pathsep.join(sys.path))
    return folder


def wheel(folder: Path) -> Path:
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that holds the wheel, and sees this one's packages, but not DIBS."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=False, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    command = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", site, wheel(built))
    run(sys.executable, *command, cwd=home)
    # Through a .pth the packages are seen, and their own .pth, which brings this checkout, is not read.
    (site / "packages.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    script = home / "bin" / "dibs"
    script.write_text(f"#!{home / 'bin' / 'python'}\nfrom dibs.cli.main import main\nmain()\n")
    script.chmod(0o755)
    return home / "bin"


def test_what_the_wheel_holds(built: Path) -> None:
    names = zipfile.ZipFile(wheel(built)).namelist()
    wanted = (
        "dibs/py.typed",
        "dibs/builtin/tasks/DocsQA-Sample.toml",
        "dibs/builtin/tasks/samples/docsqa-sample/corpus.jsonl",
        "dibs/builtin/models/bm25.toml",
        "dibs/builtin/models/llm/mock.toml",
        "dibs/builtin/rerankers/bge-reranker-base.toml",
        "dibs/rag/prompts/general.v1.txt",
        "dibs/rag/judges/prompts/grade.v1.txt",
        "dibs/doctor/examine.py",
    )
    assert [name for name in wanted if name not in names and f"{name}.gz" not in names] == []
    assert any(name.startswith("dibs/report/leaderboard/") and name.endswith(".js") for name in names)
    roots = {name.partition("/")[0] for name in names}
    assert {root for root in roots if not root.endswith(".dist-info")} == {"dibs"}
    inside = {name.split("/")[1] for name in names if name.startswith("dibs/")}
    assert not inside & {"results", "tests", "leaderboard"}
    assert sum(info.file_size for info in zipfile.ZipFile(wheel(built)).infolist()) < 20_000_000
    ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / "dibs").rglob("*.py")}
    assert {name for name in ours if "builtin" not in name} <= set(names)


def test_what_the_sdist_holds(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "LICENSE", "README.md", "dibs/py.typed", "tasks/DocsQA-Sample.toml"} <= names
    assert not {name.partition("/")[0] for name in names} & {"results", "leaderboard", ".venv", "demo"}


def test_the_smoke_run_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    place = {"DIBS_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}
    (tmp_path / "empty").mkdir()
    where = run(installed / "python", "-c", "import dibs; print(dibs.__file__)", cwd=tmp_path, **place)
    assert str(ROOT) not in where
    for words, said in {
        ("--version",): "dibs 0.",
        ("tasks",): "DocsQA-Sample",
        ("models",): "all-MiniLM-L6-v2",
        ("doctor", "--offline"): "ready",
        ("run", "--model", "bm25", "--task", "DocsQA-Sample"): "recall@10",
        ("show", "DocsQA-Sample/bm25"): "bm25",
        ("rag", "--retrieval", "DocsQA-Sample/bm25", "--generator", "mock"): "accuracy",
    }.items():
        assert said in run(installed / "dibs", *words, cwd=tmp_path / "empty", **place), words
    assert len(list((tmp_path / "empty" / "results" / "DocsQA-Sample").iterdir())) >= 1


def test_types_reach_a_user_s_script(installed: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(USER)
    settings = tmp_path / "mypy.ini"
    # Of the packages below DIBS only its own is read: torch alone takes a minute.
    settings.write_text(
        "[mypy]\nstrict = true\nfollow_imports = skip\n[mypy-dibs.*]\nfollow_imports = silent\n"
    )
    command = ("-m", "mypy", "--config-file", settings, "--python-executable", installed / "python", script)
    words = [sys.executable, *map(str, command)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert "script.py:6: error: Incompatible types" in done.stdout, done.stdout + done.stderr
    assert "Found 1 error in 1 file" in done.stdout
