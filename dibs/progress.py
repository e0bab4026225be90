"""What is said on standard error: lines, and progress for work over two seconds, on a terminal only."""

from __future__ import annotations

import sys
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

EVERY = 60.0
"""Seconds between two lines where there is no terminal: a log says that work goes on, and how far it is."""

Advance = Callable[[int], None]
"""Called with the number of items that were done since the last call."""


def say(line: str) -> None:
    """Tell the user something on standard error that no file holds."""
    sys.stderr.write(f"{line}\n")


@contextmanager
def track(label: str, total: int | None, unit: str) -> Iterator[Advance]:
    """Show how far `label` is while the block runs.

    Args:
        total: How many items there are in all; None where it is not known.
        unit: What is counted, in the plural.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(label, total, unit)
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
            rate = _pace(done / seconds, unit) if seconds > 0 else ""
            bar.update(task, advance=count, visible=seconds > PATIENCE, rate=rate)
            bar.refresh()

        yield advance


def _lines(label: str, total: int | None, unit: str) -> Advance:
    started = told = time.monotonic()
    done = 0

    def advance(count: int) -> None:
        nonlocal told, done
        done += count
        now = time.monotonic()
        if now - told >= EVERY:
            told = now
            rate = done / (now - started)
            of, left = (
                (f" of {total:,}", f", {(total - done) / rate / 60:,.0f} min left")
                if total and rate
                else ("", "")
            )
            say(f"{label}: {done:,}{of} {unit}, {_pace(rate, unit)}{left}")

    return advance


def _pace(rate: float, unit: str) -> str:
    """Per second, or per minute where that is less than one."""
    return f"{rate:,.1f} {unit}/s" if rate >= 1 else f"{60 * rate:,.1f} {unit}/min"
