"""How a training goes, on standard error: a bar with loss and recall, and a line for each evaluation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dibs.progress import EVERY
from dibs.training.development import MEASURE, Evaluation


class Reporter:
    """Shows steps as a bar on a terminal, in a log as a line a minute, and evaluations as lines in both."""

    def __init__(self, bar: Progress, steps: int) -> None:
        self._bar = bar
        self._steps = steps
        self._task = bar.add_task("", total=steps)
        self._loss = self._recall = ""
        self._told = time.monotonic()

    def step(self, step: int, loss: float | None = None) -> None:
        """So many steps are done; the loss of the last ones, where it was just measured."""
        if loss is not None:
            self._loss = f"loss {loss:.3f}"
        shown = ", ".join(filter(None, (self._loss, self._recall))) or "training"
        self._bar.update(self._task, completed=step, description=shown)
        if self._bar.console.is_terminal:
            self._bar.refresh()
        elif time.monotonic() - self._told >= EVERY:
            self._say(f"step {step:,} of {self._steps:,}: {shown}")

    def evaluated(self, found: Evaluation) -> None:
        """One evaluation is done."""
        self._recall = f"{MEASURE} {found.recall:.3f}"
        what = f"step {found.step:,} of {self._steps:,}, epoch {found.epoch:.2f}" if found.step else "base"
        training = f"{self._loss}; " if found.step and self._loss else ""
        line = f"{what}: {training}development {MEASURE} {found.recall:.4f}, loss {found.loss:.4f}"
        self._say(line)

    def _say(self, line: str) -> None:
        self._told = time.monotonic()
        self._bar.console.print(line, highlight=False, soft_wrap=True)


@contextmanager
def reporting(steps: int) -> Iterator[Reporter]:
    """Report while the block runs."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, auto_refresh=False, disable=not console.is_terminal
    ) as bar:
        yield Reporter(bar, steps)
