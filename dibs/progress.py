"""Progress on standard error: rate and time left, for work over two seconds, on a terminal only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

PATIENCE = 2.0
"""Seconds of work before a bar appears."""

Advance = Callable[[int], None]
"""Called with the number of items that were done since the last call."""


@contextmanager
def track(label: str, total: int | None, unit: str) -> Iterator[Advance]:
    """Show how far `label` is while the block runs.

    Args:
        total: How many items there are in all; None where it is not known.
        unit: What is counted, in the plural.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda count: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    started = time.monotonic()
    with Progress(*columns, console=console, transient=True, disable=False, auto_refresh=False) as bar:
        task = bar.add_task(label, total=total, visible=False, rate="")
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            seconds = time.monotonic() - started
            rate = f"{done / seconds:,.1f} {unit}/s" if seconds > 0 else ""
            bar.update(task, advance=count, visible=seconds > PATIENCE, rate=rate)
            bar.refresh()

        yield advance
