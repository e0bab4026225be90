"""Numbers that others published, with their sources."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).with_name("published.toml")


@dataclass(frozen=True)
class Published:
    """A table of published numbers."""

    title: str
    source: str
    reference: str
    note: str
    columns: list[str]
    rows: list[list[str | float]]


def published() -> list[Published]:
    """Every table of `published.toml`, in its order."""
    return [Published(**table) for table in tomllib.loads(_FILE.read_text(encoding="utf-8"))["table"]]
