"""What every command prints with."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDTH = 160
"""Columns where standard output is no terminal: a table is not to lose its right side in a file."""


def console() -> Console:
    """Standard output; colours on a terminal only."""
    return Console() if sys.stdout.isatty() else Console(width=_WIDTH)


def printable(text: str) -> str:
    """`text` without what a terminal would obey: a corpus may hold any character."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def plain_table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> Table:
    """Rows of equal keys as a table; numbers to the right."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in columns:
        numeric = (
            all(row[name] is None or isinstance(row[name], int | float) for row in rows) and name != "ready"
        )
        table.add_column(name.replace("_", " "), justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(Text(_cell(row[name])) for name in columns))
    return table


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
