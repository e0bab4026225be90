"""What the doctor says of one thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ready", "missing", "slow", "broken"]
"""`missing` is something optional; `broken` is something that every run needs."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    area: str
    """What it is a part of: packages, machine, disk, network, keys, tasks, ..."""
    name: str
    state: State
    found: str
    """What there is, one line."""
    todo: str | None = None
    """The command or the change that mends it; None where there is nothing to mend."""
