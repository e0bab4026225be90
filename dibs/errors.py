"""The one family of errors that DIBS raises on purpose.

Each message says what is wrong, where, and what to do about it; the command line prints
it without a traceback and leaves with the error's exit code. Keys and passwords are cut out of it here.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar

from dibs.redact import redacted

_ROOM = "Make room on the disk, or name other folders with --workspace and DIBS_CACHE, and run again."
_RIGHT = "Make it writable, or name other folders with --workspace and DIBS_CACHE, and run again."
_TODO = dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _ROOM)
_TODO |= dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _RIGHT)
_LISTED = 60
"""Names that a message lists at most."""


class DibsError(Exception):
    """Something went wrong that is not the user's doing (exit code 1).

    Args:
        problem: What is wrong, one sentence without a final full stop.
        where: The file, line, field or address it was found at.
        todo: What to do about it, one sentence or a command.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, problem: str, *, where: str | None = None, todo: str | None = None) -> None:
        self.problem = redacted(problem)
        self.where = where and redacted(where)
        self.todo = todo and redacted(todo)
        place = f"{self.where}: " if self.where else ""
        advice = f"\n  {self.todo}" if self.todo else ""
        super().__init__(f"{place}{self.problem}{advice}")


class InputError(DibsError):
    """The user's input is wrong: an option, a card, a corpus, a run (exit code 2)."""

    exit_code = 2


class MissingError(InputError):
    """Something the work needs is not here: a package, a key, data; `todo` says how to get it."""


class ProviderError(DibsError):
    """A remote service failed, after all retries; what was done before is kept."""


class DamagedError(DibsError):
    """A file that DIBS wrote is not as it was written."""


def of_system(error: OSError) -> DibsError:
    """What the system said, in our words: a full or read-only disk is the user's to mend."""
    problem, place = error.strerror or str(error), str(error.filename) if error.filename else None
    if error.errno not in _TODO:
        return DibsError(problem, where=place)
    return InputError(problem, where=place, todo=f"{_TODO[error.errno]} What was done before is kept.")


def unknown(kind: str, name: str, known: Iterable[str], *, todo: str | None = None) -> InputError:
    """An error for a name that nothing answers to; it suggests known names, the nearest first."""
    names = sorted(known)
    near = get_close_matches(name.lower(), [n.lower() for n in names], n=3, cutoff=0.5)
    nearest = sorted((n for n in names if n.lower() in near), key=lambda n: near.index(n.lower()))
    rest = f", ... ({len(names):,} in all)" if len(names) > _LISTED else ""
    listed = f"Known: {', '.join(names[:_LISTED])}{rest}." if names else "There is none yet."
    advice = f"Did you mean {', '.join(nearest)}?" if nearest else listed
    return InputError(f"no {kind} is called {name!r}", todo=advice if todo is None else f"{advice} {todo}")
