from __future__ import annotations

import io
from collections.abc import Iterator, Mapping

import pytest
from rich.console import Console

from dibs.errors import InputError
from dibs.labelling.journal import Journal, Label, Pair, read_journal
from dibs.labelling.session import Session
from dibs.labelling.source import labelled
from dibs.labelling.terminal import label_in_terminal
from dibs.workspace import Workspace
from tests.labelling.made import PAIRS, POOL, make_task, task


def session_of(
    place: Workspace,
    journal: Journal,
    *,
    grades: int = 2,
    settling: Mapping[Pair, Mapping[str, int]] | None = None,
) -> Session:
    return Session(labelled("Works", place), PAIRS, journal, POOL, grades=grades, settling=settling)


@pytest.fixture
def journal(workspace: Workspace) -> Iterator[Journal]:
    with Journal(task(workspace).journal("ann"), "ann") as journal:
        yield journal


def typed(session: Session, keys: str, width: int = 80) -> str:
    """What the terminal shows while those keys are pressed."""
    out = io.StringIO()
    pressed = iter(keys)
    label_in_terminal(session, Console(file=out, width=width), lambda: next(pressed, ""))
    return out.getvalue()


def said(journal: Journal) -> list[tuple[str, str, int]]:
    return [(one.query, one.document, one.grade) for one in read_journal(journal.path).labels]


def test_each_key_does_what_it_says(workspace: Workspace, journal: Journal) -> None:
    out = typed(session_of(workspace, journal), "y0bxssq")
    # Relevant; not; back to that; a key without meaning; skipped; the end is not reached.
    assert said(journal) == [("q1", "filter", 1), ("q1", "valve", 0)]
    assert out.count("When is the filter changed?") == 3
    assert "answer: once a year" in out
    assert "query 2 of 2, document 2 of 2; 2 of 4 judged" in out
    assert "[0] not relevant" in out
    assert "highly" not in out


def test_back_shows_what_was_said_and_the_last_word_counts(workspace: Workspace, journal: Journal) -> None:
    out = typed(session_of(workspace, journal), "ybn" + "yyyy")
    assert "you said 1" in out
    assert said(journal)[:2] == [("q1", "filter", 1), ("q1", "filter", 0)]
    assert len(said(journal)) == 5
    assert "That was the last document." in out


def test_a_session_goes_on_where_the_last_one_was(workspace: Workspace, journal: Journal) -> None:
    typed(session_of(workspace, journal), "ysy")
    again = session_of(workspace, journal)
    item = again.item()
    assert item is not None
    assert (item.document, again.judged) == ("valve", 2)
    again.judge(0)
    again.judge(0)
    assert again.done
    assert again.item() is None
    with pytest.raises(InputError):
        again.judge(1)
    assert session_of(workspace, journal).done


def test_three_grades_where_they_are_asked_for(workspace: Workspace, journal: Journal) -> None:
    assert "[2] highly relevant" in typed(session_of(workspace, journal, grades=3), "2")
    typed(session_of(workspace, journal), "2")
    assert said(journal) == [("q1", "filter", 2)]
    with pytest.raises(InputError, match="none of 0 to 1"):
        session_of(workspace, journal).judge(2)


def test_nothing_shows_who_found_a_document(workspace: Workspace, journal: Journal) -> None:
    assert "bm25" not in typed(session_of(workspace, journal), "yyyy")
    assert journal.labels[0].pool == POOL


def test_what_is_settled_shows_what_others_said(workspace: Workspace, journal: Journal) -> None:
    journal.add(Label("q1", "filter", 1, "ann", "2026-11-22T10:00:00+00:00", POOL))
    out = typed(session_of(workspace, journal, settling={pair: {"bob": 0} for pair in PAIRS}), "1")
    assert "bob said 0" in out
    assert journal.labels[-1].settles


def test_hostile_and_long_texts_are_shown_as_text(workspace: Workspace) -> None:
    hostile = "[bold]net[/] \x1b[2J\x1b]0;owned\x07 \u202e" + "filter " * 1_000
    documents = {"[red]d\x1b[2J": hostile, "other": "x"}
    make_task(workspace, documents=documents, queries={"q1": ("[/]filter\x1b[2J", "[bold]")})
    found = labelled("Works", workspace)
    pairs = [Pair("q1", name) for name in documents]
    with Journal(found.journal("ann"), "ann") as journal:
        out = typed(Session(found, pairs, journal, POOL), "m1")
    assert "[bold]net[/]" in out
    assert "\x1b" not in out
    assert "more lines: [m]" in out
    assert out.count("filter") > 1_000
    assert [label.document for label in journal.labels] == ["[red]d\x1b[2J"]
