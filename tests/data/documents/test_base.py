from __future__ import annotations

from pathlib import Path

import pytest

from dibs.data.documents.base import anchor, distinct, document_id, part_id, title_of


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("a/b.pdf", "a/b.pdf"),
        ("my file.pdf", "my%20file.pdf"),
        ("50% #1\t.md", "50%25%20%231%09.md"),
        ("Größe.md", "Größe.md"),
        ("bad\udcff.md", "bad%FF.md"),
        ("a\u2028b\\c.md", "a%E2%80%A8b%5Cc.md"),
    ],
)
def test_ids_are_paths_that_end_no_column(place: str, name: str) -> None:
    assert document_id(place) == name
    assert len(name.split()) == 1
    name.encode()


def test_an_encoded_name_is_not_taken_for_the_plain_one() -> None:
    assert document_id("a%20b") != document_id("a b")


def test_parts_and_anchors() -> None:
    assert part_id("a.pdf", "p3") == "a.pdf#p3"
    assert part_id("a.txt", "") == "a.txt"
    assert anchor("Set it up! (on Linux)") == "set-it-up-on-linux"
    assert anchor("??") == ""
    assert list(distinct(iter(["notes", "notes", "notes-1", "notes"]))) == [
        "notes",
        "notes-1",
        "notes-1-1",
        "notes-2",
    ]
    assert title_of(Path("a/year_end.report.pdf")) == "year end.report"
