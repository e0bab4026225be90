"""Boards: what was measured on the same data, ranked, each pipeline below the one that it starts from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dibs.report.leaderboard.entries import Entry
from dibs.scoring.compare import Comparison


@dataclass(frozen=True)
class Row:
    """A record in its place on a board."""

    entry: Entry
    rank: int
    """Shared by those that the paired tests do not separate from the best of them."""
    depth: int
    """0 for a first stage, 1 for what works on its run, and so on."""


@dataclass(frozen=True)
class Board:
    """The records of one task on one state of its data: all have the same queries in the same order."""

    name: str
    """The task's name, with the data's hash where it is not the data that most records have."""
    entries: tuple[Entry, ...]
    """Best first."""

    @property
    def task(self) -> dict[str, Any]:
        """The task's card, as the newest record has it."""
        newest = max(self.entries, key=lambda entry: str(entry.manifest.get("created")))
        card: dict[str, Any] = newest.manifest["task"]
        return card

    @property
    def main(self) -> str:
        return self.entries[0].main

    @property
    def queries(self) -> int:
        return len(self.entries[0].query_ids)

    @property
    def documents(self) -> int:
        return int(self.entries[0].manifest["data"]["documents"])

    @property
    def lacking(self) -> str | None:
        """What of the whole task is not in its data, as the record says it."""
        return self.entries[0].manifest["data"]["lacking"] or None

    @property
    def subsets(self) -> list[str]:
        """The subsets that any of its records has, but for all queries."""
        names = (name for entry in self.entries for name in entry.record.scores["subsets"])
        return [name for name in dict.fromkeys(names) if name != "all"]

    @cached_property
    def comparison(self) -> Comparison:
        """The entries' main measure, paired by query, in the order of `entries`."""
        values = np.column_stack([entry.columns[self.main] for entry in self.entries])
        return Comparison(values, self.entries[0].clusters)

    @cached_property
    def rows(self) -> list[Row]:
        """Best first; a hybrid stands below its best part, a reranked pipeline below its first stage."""
        ranks = dict(zip(self.entries, self.comparison.ranks(), strict=True))
        below: dict[Entry | None, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            below[self.start_of(entry)].append(entry)

        def walk(start: Entry | None, depth: int) -> Iterator[Row]:
            for entry in below[start]:
                yield Row(entry, ranks[entry], depth)
                yield from walk(entry, depth + 1)

        return list(walk(None, 0))

    def parts_of(self, entry: Entry) -> list[Entry] | None:
        """The records of the pipelines it is made of; None if one of them is not here."""
        found = [self._by_key.get(key) for key in entry.parts]
        return None if None in found else [part for part in found if part is not None]

    def start_of(self, entry: Entry) -> Entry | None:
        """The record that it stands below: the best of its parts that is here."""
        here = [part for key in entry.parts if (part := self._by_key.get(key))]
        return max(here, key=lambda part: part.value, default=None)

    @cached_property
    def _by_key(self) -> dict[str, Entry]:
        return {entry.key: entry for entry in reversed(self.entries)}


@dataclass(frozen=True)
class Boards:
    """Every board, and what had to be said when they were made."""

    boards: list[Board]
    problems: list[str]


def make_boards(entries: Sequence[Entry]) -> Boards:
    """A board for each task and state of its data; where a task has several states, each is said."""
    tasks: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        tasks[entry.record.task].append(entry)
    boards, problems = [], []
    for task, mine in sorted(tasks.items(), key=lambda item: item[0].lower()):
        states = Counter(entry.data for entry in mine)
        usual = max(states, key=lambda state: (states[state], state))
        for state in sorted(states, key=lambda state: (state != usual, state)):
            same = [entry for entry in mine if entry.data == state]
            if state != usual:
                named = ", ".join(entry.record.name for entry in same)
                problems.append(
                    f"{task}: {len(same)} of {len(mine)} records were made with other data ({state[:12]}, "
                    f"the others {usual[:12]}) and are not compared with them: {named}"
                )
            kept, dropped = _alike(same)
            problems += dropped
            name = task if state == usual else f"{task} (data {state[:12]})"
            boards.append(Board(name, tuple(sorted(kept, key=lambda e: (-e.value, e.record.name)))))
    return Boards(sorted(boards, key=lambda board: bool(board.task.get("sample"))), problems)


def _alike(entries: list[Entry]) -> tuple[list[Entry], list[str]]:
    """Those that have the main measure and queries of the first; what is said of the others."""
    kept = [e for e in entries if e.main == entries[0].main and e.query_ids == entries[0].query_ids]
    return kept, [
        f"{entry.record.name}: its queries or main measure are not those of {entries[0].record.name}, on the "
        "same data; run it again"
        for entry in entries
        if entry not in kept
    ]
