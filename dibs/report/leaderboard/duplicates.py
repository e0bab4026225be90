"""Records that are equal though their names differ: a copy, or two cards of one thing."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from dibs.records import RUN
from dibs.report.leaderboard.boards import Board
from dibs.report.leaderboard.entries import Entry


def duplicates(boards: Iterable[Board]) -> Iterator[str]:
    """A line for each group of records with equal runs.

    Equal runs have equal measures, so only the runs of records that agree in all of theirs are read.
    """
    for board in boards:
        alike: dict[bytes, list[Entry]] = defaultdict(list)
        for entry in board.entries:
            alike[_measures(entry)].append(entry)
        for group in alike.values():
            equal: dict[str, list[Entry]] = defaultdict(list)
            for entry in group if len(group) > 1 else ():
                if ranked := _ranked(entry.record.folder / RUN):
                    equal[ranked].append(entry)
            for same in equal.values():
                if len(same) > 1:
                    yield f"{' and '.join(entry.record.name for entry in same)}: their runs are equal"


def _measures(entry: Entry) -> bytes:
    content = hashlib.sha256()
    for name, column in sorted(entry.columns.items()):
        if not isinstance(column, list):
            content.update(name.encode() + column.tobytes())
    return content.digest()


def _ranked(path: Path) -> str | None:
    """The hash of a run but for its last column, the run's name; None if it cannot be read."""
    content = hashlib.sha256()
    try:
        with gzip.open(path) as lines:
            for line in lines:
                content.update(line.rpartition(b" ")[0])
    except (OSError, EOFError, zlib.error):
        return None
    return content.hexdigest()
