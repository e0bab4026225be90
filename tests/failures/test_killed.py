"""kill -9 at each stage: the same command ends the work, the same as undisturbed, and leaves no rest."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path

import pytest

from dibs.workspace import Workspace
from tests.cli.test_cli import add_card
from tests.conftest import DOCUMENTS, QUERIES
from tests.data.servers import Server
from tests.data.sources.test_financebench_remote import asked as fetched
from tests.data.sources.test_financebench_remote import card as mirrored
from tests.data.sources.test_financebench_remote import mirror, pdfs  # noqa: F401 - fixtures
from tests.failures.commands import Fault, asked, leftovers, run, state
from tests.rag.helpers import with_answers

KILLED = -9
TEXTS = sorted({repr(text) for text in DOCUMENTS.values()} | {repr(text) for text, *_ in QUERIES.values()})
RETRIEVE = ("run", "--model", "logged+bm25", "--task", "Tiny")
STAGES = {
    "extract, half of the data written": Fault("dibs.data.write:_write_table", 2),
    "extract, before the data becomes the current one": Fault("dibs.data.write:write_bytes"),
    "encode, a batch of queries done": Fault("tests.failures.commands:LoggedEncoder.vectors", 2),
    "encode, a batch's vectors written and not their entries": Fault("os:fsync", 6),
    "search": Fault("dibs.retrieval.dense:exact_search"),
    "write, the run written and no score": Fault("dibs.records:write_bytes", 1),
    "write, half of a file written": Fault("pathlib:Path.replace", 3),
    "write, all but the manifest": Fault("dibs.records:write_json"),
    "index, all but the mark that it is whole": Fault("dibs.retrieval.kept:write_json"),
    "search by words": Fault("dibs.retrieval.bm25:best", 2),
}


@pytest.fixture
def place(tiny_workspace: Workspace) -> Workspace:
    add_card(tiny_workspace, "models", "logged", 'adapter = "logged"')
    return tiny_workspace


@pytest.fixture
def undisturbed(place: Workspace, tmp_path: Path) -> Workspace:
    """A workspace of the same cards, with caches of its own."""
    other = Workspace(tmp_path / "undisturbed" / "workspace", tmp_path / "undisturbed" / "cache")
    other.root.mkdir(parents=True)
    for path in sorted((place.root).rglob("*")):
        target = other.root / path.relative_to(place.root)
        target.mkdir() if path.is_dir() else target.write_bytes(path.read_bytes())
    return other


def test_a_run_that_is_killed_at_each_stage_in_turn(place: Workspace, undisturbed: Workspace) -> None:
    for stage, fault in STAGES.items():
        ended = run(place, *RETRIEVE, fault=fault)
        assert ended.code == KILLED, (stage, ended)
    assert len(list(place.results.glob("*/*/*/manifest.json"))) == 1  # that of the dense one
    ended = run(place, *RETRIEVE)
    assert ended.code == 0, ended
    assert ended.err == ""
    # The batch of two queries that was killed before it was kept, and one whose entries were not.
    encoded = asked(place)
    assert sorted(set(encoded)) == TEXTS
    assert len(encoded) <= len(TEXTS) + 2 * 2
    assert leftovers(place) == []
    assert run(undisturbed, *RETRIEVE).code == 0
    assert state(place) == state(undisturbed)
    assert asked(undisturbed)
    assert run(place, *RETRIEVE).code == 0
    assert asked(place) == []


@pytest.mark.slow
@pytest.mark.parametrize("target", ["os:fsync", "pathlib:Path.replace", "pathlib:Path.rename"])
def test_a_run_that_is_killed_at_every_write(place: Workspace, undisturbed: Workspace, target: str) -> None:
    """Each run is killed one call later than the one before, until one is not."""
    assert run(undisturbed, *RETRIEVE).code == 0
    expected = state(undisturbed)
    before = {path: path.read_bytes() for path in place.root.rglob("*") if path.is_file()}
    for call in range(1, 100):
        for folder in (place.results, place.cache):
            for path in sorted(folder.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
        ended = run(place, *RETRIEVE, fault=Fault(target, call))
        if ended.code == 0:
            break
        assert ended.code == KILLED
        assert run(place, *RETRIEVE).code == 0
        assert state(place) == expected
        assert leftovers(place) == []
    assert call > 1
    assert all(path.read_bytes() == content for path, content in before.items())


def test_answers_and_verdicts_that_were_paid_for_are_not_asked_for_again(
    place: Workspace, undisturbed: Workspace
) -> None:
    answer = ("rag", "--retrieval", "Tiny/bm25", "--generator", "writer", "--judge", "grader")
    for one in (place, undisturbed):
        with_answers(one)
        options = json.dumps("It was 7.")
        add_card(
            one, "models/llm", "writer", 'adapter = "mock"', "[options]", f'mode = "fixed"\ntext = {options}'
        )
        add_card(one, "models/llm", "grader", 'adapter = "mock"', "[options]", 'mode = "json"')
        assert run(one, "run", "--model", "bm25", "--task", "Tiny").code == 0
    for stage, fault in {
        "answer": Fault("dibs.llm.mock:MockChat._post", 3),
        "judge": Fault("dibs.llm.mock:MockChat._post", 4),
        "write": Fault("dibs.records:write_json"),
    }.items():
        assert run(place, *answer, fault=fault).code == KILLED, stage
    ended = run(place, *answer)
    assert ended.code == 0, ended
    assert run(undisturbed, *answer).code == 0
    paid, expected = Counter(asked(place)), Counter(asked(undisturbed))
    assert set(paid) == set(expected)
    # Those in flight beside the one that was killed may have been answered and not yet kept.
    assert paid.total() <= expected.total() + 2 * 8
    assert state(place) == state(undisturbed)
    assert leftovers(place) == []
    assert run(place, *answer).code == 0
    assert asked(place) == []


def test_a_download_and_an_extraction_go_on(workspace: Workspace, mirror: Server) -> None:  # noqa: F811
    source = mirrored(mirror).source
    lines = (
        'description = "d"', 'licence = "mit"', 'citation = "c"', "[source]", 'kind = "financebench"',
        *(f"{n} = {json.dumps(getattr(source, n))}" for n in ("repository", "revision", "api", "raw")),
        "[source.files]", *(f'"{name}" = "{sha256}"' for name, sha256 in source.files.items()),
    )  # fmt: skip
    add_card(workspace, "tasks", "Filings", *lines)
    prepare = ("data", "prepare", "Filings")
    for fault in (
        Fault("dibs.data.fetch:_Downloads._receive", 4),
        Fault("dibs.data.pdf:_Workers.result", 2),
        Fault("dibs.data.write:write_json"),
    ):
        assert run(workspace, *prepare, fault=fault).code == KILLED, fault
    ended = run(workspace, *prepare)
    assert ended.code == 0, ended
    counted = fetched(mirror)
    files = {path: times for path, times in counted.items() if "tree" not in path}
    assert len(files) == 4
    assert max(files.values()) <= 2  # the one that was killed on its way
    assert sum(files.values()) <= len(files) + 2
    assert leftovers(workspace) == []
    deadline = time.monotonic() + 30
    while processes_of(workspace) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_of(workspace) == []


def processes_of(place: Workspace) -> list[str]:
    """Processes that were begun by commands in that workspace."""
    mine = f"DIBS_WORKSPACE={place.root}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if int(path.name) != os.getpid() and mine in (path / "environ").read_bytes().split(b"\0"):
                found.append((path / "cmdline").read_text())
        except OSError:
            continue
    return found
