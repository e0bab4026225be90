from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from dibs.errors import DamagedError, DibsError, InputError
from dibs.labelling.journal import Journal, read_journal
from tests.labelling.made import label

ONE, TWO = label("q1", "filter", 1), label("q1", "välve \u2028", 0)


def test_a_judgement_is_on_disk_at_once_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "labels" / "ann.jsonl"
    with Journal(path, "ann") as journal:
        journal.add(ONE)
        assert read_journal(path).labels == [ONE]
        journal.add(TWO)
    assert [json.loads(line)["document"] for line in path.read_text().split("\n")[:-1]] == [
        "filter",
        "välve \u2028",
    ]
    with Journal(path, "ann") as journal:
        assert journal.labels == [ONE, TWO]


@pytest.mark.parametrize("kept", [1, 40, -2])
def test_a_torn_last_line_is_dropped_and_written_over(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "ann.jsonl"
    with Journal(path, "ann") as journal:
        journal.add(ONE)
        whole = path.stat().st_size
        journal.add(TWO)
    path.write_bytes(path.read_bytes()[: whole + kept] if kept > 0 else path.read_bytes()[:kept])
    assert read_journal(path) == ([ONE], True, whole)
    with Journal(path, "ann") as journal:
        assert journal.torn
        journal.add(TWO)
    assert read_journal(path).labels == [ONE, TWO]


def test_a_last_line_that_lacks_its_end_alone_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "ann.jsonl"
    with Journal(path, "ann") as journal:
        journal.add(ONE)
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    with Journal(path, "ann") as journal:
        assert not journal.torn
        journal.add(TWO)
    assert read_journal(path).labels == [ONE, TWO]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{}", "query: Field required"),
        ("[1]", "line 1"),
        ("not JSON", "Invalid JSON"),
        ("\udcff", "line 1"),
        (json.dumps({**vars(ONE), "grade": "1"}), "grade"),
        (json.dumps({**vars(ONE), "grade": True}), "grade"),
        (json.dumps({**vars(ONE), "pool": []}), "pool"),
        ("[" * 100_000, "line 1"),
    ],
)
def test_a_line_that_is_no_judgement_is_named(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "ann.jsonl"
    path.write_text(f"{line}\n", errors="surrogateescape")
    with pytest.raises(DamagedError, match=told):
        read_journal(path)
    with pytest.raises(DamagedError), Journal(path, "ann"):
        pass
    path.write_text("")
    with Journal(path, "ann") as journal:  # the lock was let go
        assert journal.labels == []


def test_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "ann.jsonl"
    with Journal(path, "ann"), pytest.raises(InputError, match="another process"), Journal(path, "ann"):
        pass


def test_a_full_disk_leaves_no_half_line_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ann.jsonl"
    write = os.write

    def full(file: int, content: bytes) -> int:
        if len(content) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, content[:20])

    with Journal(path, "ann") as journal:
        journal.add(ONE)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(DibsError, match="No space left"):
                journal.add(TWO)
        assert journal.labels == [ONE]
        assert read_journal(path) == ([ONE], True, path.read_bytes().index(b"\n") + 1)
        journal.add(TWO)
    assert read_journal(path).labels == [ONE, TWO]
