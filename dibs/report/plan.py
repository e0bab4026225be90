"""What a run would take, as a table and as rows for JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from dibs.estimate import Estimate
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
    for name in ("in all", "to do", "tokens to send", "USD"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in steps:
        names = (Text(printable(one.task)), Text(printable(one.pipeline)), one.step)
        table.add_row(*names, f"{one.total:,}", f"{one.to_do:,}", _tokens(one), _usd(one))
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
    for note in dict.fromkeys(f"{one.pipeline}: {one.note}" for one in steps if one.note):
        yield Text(printable(note))


def _tokens(one: Estimate) -> str:
    return "" if one.tokens is None else f"{one.tokens:,}"


def _usd(one: Estimate) -> str:
    if one.usd is None:
        return "no price" if one.tokens else ""
    return f"{one.usd:,.4f}"
