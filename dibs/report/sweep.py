"""A sweep as a terminal shows it and as JSON has it, from its record alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from dibs.records import Record
from dibs.report.terminal import printable
from dibs.scoring.statistics import Estimate
from dibs.sweep.grid import label

ROWS = 40
"""Configurations that a table shows; the record has all."""


def as_json(record: Record) -> dict[str, Any]:
    """The sweep as one JSON object; `configurations` are in the order of the grid."""
    return {
        "task": record.task,
        "pipeline": record.pipeline,
        "record": f"results/{record.name}",
        "main_measure": _main(record),
        **record.scores,
    }


def sweep_view(record: Record, *, reused: bool) -> Iterator[RenderableType]:
    """The configurations, the best on the development queries first, and below what the choice is worth."""
    scores, main = record.scores, _main(record)
    yield _table(record)
    if len(scores["configurations"]) > ROWS:
        yield Text(f"The best {ROWS} are shown; the record has all.")
    chosen, default, hindsight = (scores[who] for who in ("chosen", "default", "hindsight"))
    yield Text(printable(f"Chosen: {_named(record, chosen)}: {main} {_held_out(record, chosen)} held out."))
    if chosen == default:
        yield Text("No change was better on the development queries than the default, the card as it is.")
    else:
        less = scores["chosen_less_default"]
        yield Text(
            f"Default: {_held_out(record, default)}. The difference, paired: "
            f"{_signed(Estimate(**less['estimate']))}, p = {less['p']:.3f}; of "
            f"{scores['split']['held_out']['queries']:,} queries {less['won']:,} are better and "
            f"{less['lost']:,} worse."
        )
    yield Text(printable(_optimism(record, hindsight)))
    yield Text(f"Intervals: 95 %, bootstrap over {_drawn(record)}. {_encoded(record)}")
    yield Text(f"Sweep: results/{record.name}{'; recorded before' if reused else ''}")
    yield Text(printable(f"A record of the chosen one: {scores['configurations'][chosen]['command']}"))


def _table(record: Record) -> Table:
    scores, main = record.scores, _main(record)
    development, held_out = (scores["split"][half] for half in ("development", "held_out"))
    table = Table(
        title=f"{record.task}: {len(scores['configurations']):,} configurations, {main}; chosen on "
        f"{development['queries']:,} queries, {held_out['queries']:,} held out",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("")
    table.add_column("configuration", overflow="fold")
    table.add_column("development", justify="right", no_wrap=True)
    table.add_column("held out [95 %]", justify="right", no_wrap=True)
    places = range(len(scores["configurations"]))
    best_first = sorted(
        places,
        key=lambda place: (
            -scores["configurations"][place]["development"][main],
            place != scores["chosen"],
            place,
        ),
    )
    for row, place in enumerate(best_first):
        if row < ROWS or place in (scores["chosen"], scores["default"], scores["hindsight"]):
            mark = Text("chosen" if place == scores["chosen"] else "", style="bold")
            value = f"{scores['configurations'][place]['development'][main]:.3f}"
            table.add_row(mark, Text(printable(_named(record, place))), value, _held_out(record, place))
    return table


def _optimism(record: Record, hindsight: int) -> str:
    scores = record.scores
    if hindsight == scores["chosen"]:
        return "Choosing on the held-out queries would have shown the same."
    return (
        f"Choosing on the held-out queries would have shown {_held_out(record, hindsight)} "
        f"({_named(record, hindsight)}), {100 * scores['optimism']:.1f} points too much."
    )


def _encoded(record: Record) -> str:
    cost = record.manifest["cost"]
    seconds = cost["encode_documents"] + cost["encode_queries"]
    return (
        f"Encoded: {cost['documents_encoded']:,} documents, {cost['queries_encoded']:,} queries, "
        f"{seconds:,.0f} s."
    )


def _drawn(record: Record) -> str:
    field = record.scores["interval"]["cluster"]
    return f"clusters of equal {field}" if field else "queries"


def _main(record: Record) -> str:
    return str(record.manifest["scoring"]["main_measure"])


def _named(record: Record, place: int) -> str:
    return label(record.scores["configurations"][place]["changes"])


def _held_out(record: Record, place: int) -> str:
    return str(Estimate(**record.scores["configurations"][place]["held_out_interval"]))


def _signed(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:+.3f}"
    return f"{estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"
