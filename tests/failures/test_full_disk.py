"""A disk that is full, or may not be written to: said in our words, nothing half-written, and all goes on."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dibs.workspace import Workspace
from tests.cli.test_cli import add_card
from tests.failures.commands import Ended, Fault, asked, leftovers, run, state

RETRIEVE = ("run", "--model", "logged", "--model", "bm25", "--task", "Tiny")
NOBODY = 65534


@pytest.fixture
def place(tiny_workspace: Workspace) -> Workspace:
    add_card(tiny_workspace, "models", "logged", 'adapter = "logged"')
    return tiny_workspace


def refused(ended: Ended) -> None:
    """Exit code 2, what is wrong and what to do; no traceback."""
    assert ended.code == 2, ended
    first, todo = ended.err.splitlines()[:2]
    assert first.startswith("error: ")
    assert "Traceback" not in ended.err + ended.out
    assert todo.startswith("  ")
    assert any(word in todo for word in ("Make room", "Make it writable", "DIBS_CACHE")), todo


FULL = {
    "the data": Fault("dibs.data.write:_write_table", 2, errno.ENOSPC),
    "what makes the data the current one": Fault("dibs.data.write:write_bytes", 1, errno.ENOSPC),
    "vectors": Fault("os:fsync", 5, errno.ENOSPC),
    "the run": Fault("os:fsync", 11, errno.ENOSPC),
    "an index": Fault("dibs.retrieval.kept:write_json", 1, errno.ENOSPC),
    "scores": Fault("dibs.records:write_bytes", 1, errno.ENOSPC),
    "the manifest": Fault("dibs.records:write_json", 1, errno.EDQUOT),
}


def test_a_disk_that_is_full_at_each_write_in_turn(place: Workspace) -> None:
    for what, fault in FULL.items():
        ended = run(place, *RETRIEVE, fault=fault)
        refused(ended)
        assert leftovers(place) == [], what
    assert run(place, *RETRIEVE).code == 0
    # Nothing that was kept is encoded again: only the batches whose writing failed.
    assert len(asked(place)) <= 11 + 2 * 2
    once = state(place)
    shutil.rmtree(place.results)
    shutil.rmtree(place.cache)
    assert run(place, *RETRIEVE).code == 0
    assert state(place) == once


@pytest.mark.parametrize("size", [0, 700, pytest.param(1500, marks=pytest.mark.slow)])
def test_files_that_may_not_grow(place: Workspace, size: int) -> None:
    """The system itself refuses to write: no fault of ours stands in for it."""
    words = (*RETRIEVE, "--json") if size == 0 else RETRIEVE
    ended = run(place, *words, file_size=size)
    if size:  # what a disk without one byte has no room for either is the message
        refused(ended)
    assert ended.code != 0
    assert leftovers(place) == []
    assert run(place, *RETRIEVE).code == 0
    assert run(place, *RETRIEVE).code == 0
    assert len(list(place.results.glob("*/*/*/manifest.json"))) == 2


@pytest.mark.slow
def test_a_leaderboard_for_which_there_is_no_room(place: Workspace) -> None:
    assert run(place, *RETRIEVE).code == 0
    assert run(place, "leaderboard").code == 0
    page = place.root / "leaderboard" / "README.md"
    before = page.read_bytes()
    refused(run(place, "leaderboard", fault=Fault("os:fsync", 1, errno.ENOSPC)))
    assert page.read_bytes() == before
    assert leftovers(place) == []
    assert run(place, "leaderboard", fault=Fault("os:fsync", 2)).code == -9
    assert run(place, "leaderboard").code == 0
    assert page.read_bytes() == before
    assert leftovers(place) == []


@pytest.fixture
def readable(tiny_workspace: Workspace) -> Iterator[Workspace]:
    """A workspace that any user may read; its results/ nobody may write to, its cache anybody."""
    folder = Path(tempfile.mkdtemp())
    try:
        place = Workspace(folder / "workspace", folder / "cache")
        shutil.copytree(tiny_workspace.root, place.root)
        add_card(place, "models", "logged", 'adapter = "logged"')
        for path in (folder, *place.root.rglob("*"), place.root):
            path.chmod(0o777 if path.is_dir() else 0o666)
        place.results.mkdir()
        place.results.chmod(0o555)
        yield place
    finally:
        shutil.rmtree(folder)


@pytest.mark.skipif(os.name != "posix", reason="rights are those of POSIX")
def test_results_that_may_not_be_written_to_are_told_before_the_work(readable: Workspace) -> None:
    user = NOBODY if os.geteuid() == 0 else 0  # root may write anywhere
    ended = run(readable, *RETRIEVE[:3], "--task", "Tiny", user=user)
    refused(ended)
    assert f"{readable.results}: nothing can be written here: Permission denied" in ended.err
    assert asked(readable) == []
    assert list(readable.results.iterdir()) == []
    readable.results.chmod(0o777)
    assert run(readable, *RETRIEVE[:3], "--task", "Tiny", user=user).code == 0
    readable.results.chmod(0o555)
    # What is recorded can be read where nothing can be written.
    again = run(readable, *RETRIEVE[:3], "--task", "Tiny", user=user)
    assert (again.code, again.err) == (0, "")
    assert stat.S_IMODE(readable.results.stat().st_mode) == 0o555
