"""What a run would take, as a table and as rows for JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from dibs.estimate import Estimate
from dibs.files import canonical_json
from dibs.report.terminal import printable


def plan_rows(planned: Sequence[Estimate]) -> list[dict[str, Any]]:
    """One JSON object a step; a step that several pipelines share comes once."""
    return [asdict(one) for one in dict.fromkeys(planned)]


def plan_table(planned: Sequence[Estimate]) -> Iterator[RenderableType]:
    """A row a step, and below it the sums and what has to be known."""
    steps = list(dict.fromkeys(planned))
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("task", "pipeline", "step"):
        table.add_column(name, no_wrap=True)
    for name in ("in all", "to do", "tokens to send", "USD", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in steps:
        names = (Text(printable(one.task)), Text(printable(one.pipeline)), one.step)
        table.add_row(*names, f"{one.total:,}", f"{one.to_do:,}", _tokens(one), _usd(one), _time(one))
    yield table
    tokens = sum(one.tokens or 0 for one in steps)
    if not tokens:
        yield Text("Nothing is sent to a provider.")
    else:
        usd = sum(one.usd or 0 for one in steps)
        unpriced = any(one.tokens and one.usd is None for one in steps)
        more = ", and what has no price on its card" if unpriced else ""
        yield Text(
            f"In all about {tokens:,} tokens, {usd:,.2f} USD{more}. The provider's own count may differ."
        )
        if any(one.batch_usd is not None for one in steps):
            batch = sum(one.usd or 0 if one.batch_usd is None else one.batch_usd for one in steps)
            yield Text(f"With --batch-api {batch:,.2f} USD{more}, and done within a day.")
    if any(one.seconds for one in steps):
        yield Text("Times are at the pace of earlier records, whatever machine made them.")
    for note in dict.fromkeys(f"{one.pipeline}: {one.note}" for one in steps if one.note):
        yield Text(printable(note))


def _tokens(one: Estimate) -> str:
    return "" if one.tokens is None else f"{one.tokens:,}"


def _time(one: Estimate) -> str:
    return "" if one.seconds is None else str(timedelta(seconds=round(one.seconds)))


def _usd(one: Estimate) -> str:
    if one.usd is None:
        return "no price" if one.tokens else ""
    return f"{one.usd:,.4f}"


UNKNOWN, FAILED = "not known yet", "cannot be done"


def study_plan(planned: Sequence[dict[str, Any]]) -> Iterator[RenderableType]:
    """A row a command, with the sum of its steps; what an earlier command does is not counted again."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("command", overflow="fold")
    for name in ("to do", "tokens", "USD", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    seen: set[str] = set()
    sums = _Sums()
    for one in planned:
        if one["steps"] is None:
            table.add_row(Text(printable(one["command"])), one["unknown"], "", "", "")
            continue
        mine = _Sums()
        for step in one["steps"]:
            key = canonical_json({name: step.get(name) for name in ("task", "pipeline", "step")})
            if step.get("step") is None or key not in seen:
                seen.add(key)
                mine.add(step)
                sums.add(step)
        table.add_row(Text(printable(one["command"])), *mine.cells())
    table.add_section()
    table.add_row("in all", *sums.cells())
    yield table
    if any(one["unknown"] == UNKNOWN for one in planned):
        yield Text("What is not known yet needs the record of a run that an earlier command makes.")
    yield Text("Times are at the pace of earlier records; where there is none, none is counted.")


@dataclass
class _Sums:
    to_do: int = 0
    tokens: int = 0
    usd: float = 0.0
    seconds: float = 0.0

    def add(self, step: Mapping[str, Any]) -> None:
        """Add a step of `dibs run`, or an arm of `dibs rag`."""
        if "requests" in step:
            self.to_do += step["requests"]
            self.tokens += step["prompt_tokens"] + step["completion_tokens"]
        else:
            self.to_do += step["to_do"]
            self.tokens += step["tokens"] or 0
        self.usd += step["usd"] or 0.0
        self.seconds += step.get("seconds") or 0.0

    def cells(self) -> tuple[str, ...]:
        if not self.to_do:
            return ("nothing", "", "", "")
        time = str(timedelta(seconds=round(self.seconds))) if self.seconds else ""
        return (f"{self.to_do:,}", f"{self.tokens:,}", f"{self.usd:,.2f}", time)
