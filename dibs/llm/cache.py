"""The replies that were paid for: one SQLite file, which any number of processes may use at once.

Each row holds a reply and the SHA-256 of its key and content. A reply is written as soon as it is
there, in a transaction of its own, so a killed process loses none that it was given. (The log is not
forced to the disk for each: what a power cut takes is the last few, never the file.)
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import warnings
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock

from dibs.errors import DibsError, InputError
from dibs.files import canonical_json
from dibs.llm.chat import Reply, Token

_FILE = "replies.sqlite"
_WAIT = 60.0
"""Seconds that one process waits for another's transaction."""
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})
"""What SQLite says of a file that is none of its own, or not as we made it."""
_TABLE = "CREATE TABLE IF NOT EXISTS replies (key BLOB PRIMARY KEY, reply BLOB, sha256 BLOB) WITHOUT ROWID"
_OPENING = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", _TABLE)
_ROWS = "SELECT key, reply, sha256 FROM replies"
_PUT = "INSERT OR REPLACE INTO replies (key, reply, sha256) VALUES (?, ?, ?)"


class ReplyCache:
    """Replies by the key of what was asked; any threads may use it."""

    def __init__(self, folder: Path) -> None:
        """The cache in `folder`; the file is opened, or made, when it is first used."""
        self.path = folder / _FILE
        self._using = threading.Lock()
        self._lock = FileLock(folder / "replies.lock")
        self._connection: sqlite3.Connection | None = None

    def get(self, key: str) -> Reply | None:
        """The reply kept under `key` (hex); None if there is none, or it is not as it was written.

        Raises:
            InputError: the file cannot be read or made.
        """
        name = bytes.fromhex(key)
        rows = self._run(f"{_ROWS} WHERE key = ?", (name,))
        if not rows:
            return None
        _, content, checksum = rows[0]
        if _is_whole(name, content, checksum):
            return _from_json(content)
        problem = f"the reply {key[:12]} is not as it was written, and is asked for again"
        warnings.warn(f"{self.path}: {problem}", stacklevel=2)
        return None

    def put(self, key: str, reply: Reply) -> None:
        """Keep a reply; it is there for every process when this returns.

        Raises:
            InputError: the file cannot be written to.
        """
        name, content = bytes.fromhex(key), _to_json(reply)
        self._run(_PUT, (name, content, _checksum(name, content)))

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        with self._using:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            with self._alone():
                self._connection.close()
            self._connection = None

    def _run(self, statement: str, values: tuple[bytes, ...]) -> list[tuple[Any, ...]]:
        with self._using:
            try:
                try:
                    return self._open().execute(statement, values).fetchall()
                except sqlite3.DatabaseError as error:
                    if not _is_damage(error):
                        raise
                    self._rebuild(error)
                    return self._open().execute(statement, values).fetchall()
            except (sqlite3.Error, OSError) as error:
                raise self._unusable(error) from None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._alone(), ExitStack() as undone:
                connection = _connect(self.path)
                undone.callback(connection.close)
                for statement in _OPENING:
                    connection.execute(statement)
                undone.pop_all()
            self._connection = connection
        return self._connection

    def _alone(self) -> AbstractContextManager[Any]:
        """While the file is opened, closed or replaced: SQLite does not always wait for others then."""
        return self._lock.acquire(poll_interval=0.005)

    def _rebuild(self, damage: sqlite3.DatabaseError) -> None:
        """Set the file aside and begin a new one with those of its replies that can be read."""
        self._close()
        with self._alone():
            if self._is_sound():  # another process was here first
                return
            aside = next(path for n in range(1, 10_000) if not (path := self._aside(n)).exists())
            for ending in ("-wal", "-shm", ""):
                part = Path(f"{self.path}{ending}")
                if part.exists():
                    part.rename(f"{aside}{ending}")
            kept = self._salvage(aside)
        problem = f"is damaged ({damage}), and is now called {aside.name}"
        warnings.warn(f"{self.path} {problem}; {kept:,} replies of it are kept", stacklevel=5)

    def _aside(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.damaged-{number}")

    def _is_sound(self) -> bool:
        try:
            found = self._open().execute("PRAGMA quick_check").fetchall()
            self._open().execute(f"{_ROWS} LIMIT 1").fetchall()
        except sqlite3.DatabaseError as error:
            self._close()
            if not _is_damage(error):
                raise
            return False
        if found != [(b"ok",)]:
            self._close()
            return False
        return True

    def _salvage(self, damaged: Path) -> int:
        """Copy the good rows that can be read, from both ends up to what is broken; gives their number."""
        good: dict[bytes, tuple[bytes, bytes]] = {}
        old = _connect(damaged)
        for order in ("ASC", "DESC"):
            with suppress(sqlite3.DatabaseError):
                for key, reply, sha256 in old.execute(f"{_ROWS} ORDER BY key {order}"):
                    if isinstance(key, bytes) and _is_whole(key, reply, sha256):
                        good[key] = (reply, sha256)
        old.close()
        new = self._open()
        new.execute("BEGIN")
        new.executemany(_PUT, ((key, *row) for key, row in good.items()))
        new.execute("COMMIT")
        return len(good)

    def _unusable(self, error: Exception) -> DibsError:
        return InputError(
            f"the replies of chat models cannot be kept: {error}",
            where=str(self.path),
            todo="Set DIBS_CACHE to a folder on a local disk that you may write to and that has room.",
        )


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
    connection.text_factory = bytes  # what a damaged row holds need not be UTF-8
    return connection


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGE


def _is_whole(key: bytes, content: Any, checksum: Any) -> bool:
    return isinstance(content, bytes) and checksum == _checksum(key, content)


def _checksum(key: bytes, content: bytes) -> bytes:
    return hashlib.sha256(key + content).digest()


def _to_json(reply: Reply) -> bytes:
    values = asdict(reply)
    del values["cached"]
    return canonical_json(values).encode()


def _from_json(content: bytes) -> Reply:
    values = json.loads(content)
    tokens = tuple(Token(**token) for token in values.pop("tokens"))
    return Reply(**values, tokens=tokens, cached=True)
