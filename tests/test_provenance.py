from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import dibs
from dibs.provenance import git


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, which DIBS seems to run from."""
    for name in ("dibs/__init__.py", "models/bm25.toml", "docs/guide.md"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("one\n")
    named = ("-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    for words in (("init", "-q"), ("add", "."), (*named, "commit", "-q", "-m", "First")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(dibs, "__file__", str(tmp_path / "dibs" / "__init__.py"))
    return tmp_path


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        (None, False),
        ("dibs/__init__.py", True),
        ("models/bm25.toml", True),
        ("models/new.toml", False),
        ("docs/guide.md", False),
    ],
)
def test_what_shapes_a_result_is_told_apart(checkout: Path, file: str | None, changed: bool) -> None:
    if file:
        (checkout / file).write_text("two\n")
    found = git()
    assert found is not None
    assert len(found["commit"]) == 40
    assert found["changed"] is changed


def test_outside_a_checkout_there_is_nothing_to_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dibs, "__file__", str(tmp_path / "dibs" / "__init__.py"))
    assert git() is None
