from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from dibs.cli.main import app
from dibs.data.dataset import open_dataset
from dibs.workspace import Workspace


def data(*words: str) -> Result:
    return CliRunner().invoke(app, ["data", *words], prog_name="dibs")


def flip(path: Path, text: bytes) -> None:
    """Flip one bit in the middle of `text`, as a failing disk does."""
    content = bytearray(path.read_bytes())
    content[content.index(text) + len(text) // 2] ^= 1
    path.write_bytes(content)


def test_what_was_prepared_is_as_it_was_written(tiny_workspace: Workspace) -> None:
    assert data("prepare", "Tiny").exit_code == 0
    sha256 = open_dataset(tiny_workspace.data / "Tiny").info.sha256
    said = data("check", "tiny")
    assert said.exit_code == 0
    assert said.stdout == (
        f"Tiny is as it was written: 5 queries, 6 documents, 6 judgements; content {sha256[:12]}\n"
    )


def test_a_flipped_bit_is_found_and_prepare_makes_the_data_anew(tiny_workspace: Workspace) -> None:
    data("prepare", "Tiny")
    home = tiny_workspace.data / "Tiny"
    before = open_dataset(home).info
    flip(open_dataset(home).folder / "corpus.arrow", b"gross margin was 43 percent")
    said = data("check", "Tiny")
    assert said.exit_code == 1
    assert "the data set is not as it was written: sha256 is" in said.stderr
    assert "\n  Make it anew: dibs data prepare Tiny" in said.stderr
    assert data("prepare", "Tiny").exit_code == 0
    assert data("check", "Tiny").exit_code == 0
    assert open_dataset(home).info == before
    assert len(list(home.iterdir())) == 2  # the damaged version is gone


def test_prepare_makes_data_anew_that_cannot_be_opened(tiny_workspace: Workspace) -> None:
    data("prepare", "Tiny")
    (open_dataset(tiny_workspace.data / "Tiny").folder / "corpus.arrow").write_bytes(b"")
    assert data("check", "Tiny").exit_code == 1
    assert data("prepare", "Tiny").exit_code == 0
    assert data("check", "Tiny").exit_code == 0


def test_data_that_is_not_prepared_cannot_be_checked(tiny_workspace: Workspace) -> None:
    said = data("check", "Tiny")
    assert said.exit_code == 2
    assert said.stderr.startswith("error: the data of Tiny is not prepared\n  Run: dibs data prepare Tiny")
