"""Two commands that do the same work at once: one does it, the other waits, and both end well."""

from __future__ import annotations

import time

import pytest

from dibs.workspace import Workspace
from tests.cli.test_cli import add_card
from tests.conftest import DOCUMENTS, QUERIES
from tests.failures.commands import asked, leftovers, run, start, state

RETRIEVE = ("run", "--model", "logged", "--task", "Tiny")


def test_one_computes_and_the_other_waits(tiny_workspace: Workspace) -> None:
    place = tiny_workspace
    add_card(place, "models", "logged", 'adapter = "logged"', "options = { seconds = 0.3 }")
    first = start(place, *RETRIEVE)
    notes, deadline = place.root.parent / "asked", time.monotonic() + 60
    while not notes.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    one, other = start(place, *RETRIEVE).end(), first.end()
    assert (one.code, other.code) == (0, 0), (one, other)
    assert "another process is making it; this one waits" in one.err
    assert "recorded before" in one.out
    assert other.err == ""
    texts = {*DOCUMENTS.values(), *(text for text, *_ in QUERIES.values())}
    assert len(asked(place)) == len(texts)
    assert leftovers(place) == []
    once = state(place)
    assert run(place, *RETRIEVE).code == 0
    assert state(place) == once


@pytest.mark.slow
def test_many_begin_with_nothing_at_the_same_moment(tiny_workspace: Workspace) -> None:
    place = tiny_workspace
    add_card(place, "models", "logged", 'adapter = "logged"')
    began = [start(place, *RETRIEVE, "--model", "bm25") for _ in range(4)]
    ended = [one.end() for one in began]
    assert [one.code for one in ended] == [0, 0, 0, 0], ended
    texts = {*DOCUMENTS.values(), *(text for text, *_ in QUERIES.values())}
    assert len(asked(place)) == len(texts)
    assert leftovers(place) == []
    assert len(list(place.results.glob("*/*/*/manifest.json"))) == 2
    assert state(place)


@pytest.mark.slow
def test_one_that_waits_goes_on_if_the_other_is_killed(tiny_workspace: Workspace) -> None:
    place = tiny_workspace
    add_card(place, "models", "logged", 'adapter = "logged"', "options = { seconds = 0.5 }")
    first = start(place, *RETRIEVE)
    notes, deadline = place.root.parent / "asked", time.monotonic() + 60
    while not notes.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    second = start(place, *RETRIEVE)
    time.sleep(1.5)
    first.process.kill()
    ended = second.end()
    assert ended.code == 0, ended
    texts = {*DOCUMENTS.values(), *(text for text, *_ in QUERIES.values())}
    assert len(texts) <= len(asked(place)) <= len(texts) + 2
    assert leftovers(place) == []
