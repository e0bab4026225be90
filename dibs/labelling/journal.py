"""A labeller's journal: JSONL, one line a judgement, on disk before the next document is shown."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from dibs.errors import DamagedError, InputError, of_system


@dataclass(frozen=True)
class Label:
    """What one person said of one document."""

    query: str
    document: str
    grade: int
    """0 is not relevant."""
    labeller: str
    time: str
    """UTC, as ISO 8601."""
    pool: dict[str, Any]
    """What was pooled: `models`, `depth`, `seed`."""
    settles: bool = False
    """It was said with the labellers' different grades in sight, and counts above them."""

    @property
    def pair(self) -> Pair:
        return Pair(self.query, self.document)


class Pair(NamedTuple):
    """A query and a document, by their ids."""

    query: str
    document: str


class Written(NamedTuple):
    """What a journal holds."""

    labels: list[Label]
    torn: bool
    """Its last line was not written to its end, and is left out."""
    whole: int
    """Bytes up to the end of the last whole line."""


_LABEL = TypeAdapter(Label)


def read_journal(path: Path) -> Written:
    """A journal's lines in order; one that does not exist is empty.

    Raises:
        DamagedError: a line other than the last is no judgement; it is named.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Written([], False, 0)
    labels, whole = [], 0
    lines = content.splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        try:
            labels.append(_LABEL.validate_json(line, strict=True))
        except ValidationError as error:
            if number == len(lines) and not line.endswith(b"\n"):
                return Written(labels, True, whole)
            problem = error.errors()[0]
            field = ".".join(map(str, problem["loc"]))
            raise DamagedError(
                f"is no judgement: {field + ': ' if field else ''}{problem['msg']}",
                where=f"{path}, line {number}",
                todo="Correct the line, or take it out.",
            ) from None
        whole += len(line)
    return Written(labels, False, whole)


class Journal:
    """A journal that is open for more, by one process at a time; what is there already is in `labels`."""

    def __init__(self, path: Path, labeller: str) -> None:
        """Open the journal, or begin it.

        Raises:
            InputError: another process has it open; DamagedError: a line in it is no judgement.
        """
        self.path, self.labeller = path, labeller
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
        try:
            self._lock.acquire()
        except Timeout:
            raise InputError(
                "this journal is open in another process",
                where=str(path),
                todo="Go on there, or give another name with --labeller.",
            ) from None
        try:
            self.labels, self.torn, self._end = read_journal(path)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        except BaseException:
            self._lock.release()
            raise
        self._gap = b"" if _ends_a_line(path, self._end) else b"\n"

    def add(self, label: Label) -> None:
        """Write a judgement; it is on disk when this returns.

        Raises:
            DibsError: there is no room, or whatever the system said; the earlier ones are kept.
        """
        line = self._gap + (json.dumps(asdict(label), ensure_ascii=False) + "\n").encode()
        try:
            os.ftruncate(self._file, self._end)  # half a line that was written before
            os.lseek(self._file, self._end, os.SEEK_SET)
            done = 0
            while done < len(line):
                done += os.write(self._file, line[done:])
            os.fsync(self._file)
        except OSError as error:
            raise of_system(OSError(error.errno, error.strerror, str(self.path))) from None
        self._end += len(line)
        self._gap = b""
        self.labels.append(label)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)
        self._lock.release()


def _ends_a_line(path: Path, size: int) -> bool:
    return size == 0 or path.read_bytes()[size - 1 : size] == b"\n"
