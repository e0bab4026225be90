"""For tests that feed anything at all: either it is taken, or it is refused in the right way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from dibs.errors import DibsError

E = TypeVar("E", bound=DibsError)


def fault_of(kind: type[E], call: Callable[[], object]) -> E | None:
    """The error of that kind that `call` raises, None if it raises none; any other one is let through."""
    try:
        call()
    except kind as error:
        return error
    return None
