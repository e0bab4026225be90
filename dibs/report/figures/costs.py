"""Quality against what it costs: the pipelines that none beats in both make up the Pareto front."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dibs.report.figures.figure import INK, Figure, Rows
from dibs.report.figures.style import (
    AFTER,
    BEFORE,
    SHOWN,
    WIDTH,
    by_task,
    height,
    legend,
    outlined,
    panels,
    short,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_PLOT = 2.4
"""Inches that a panel is high."""
_FEW_DECADES = 100
"""Of the greatest cost to the least: below it, powers of ten alone would be too few marks."""
_LINE = 11
"""Points that a name is high."""
_ABOVE_LINE = 7
"""Points that a name stands above its mark where the front's line goes on from it."""


def cost_figure(name: str, title: str, rows: Rows, measure: str, cost: str) -> Figure:
    """Pipelines as points, the front as a line.

    Args:
        name: Of the figure's files.
        rows: `task`, `pipeline`, `cost`, `value`, `front` (whether none is better and cheaper).
        cost: What `cost` is, with its unit.
    """
    tasks = by_task(rows)
    heights = [_PLOT] * len(tasks)

    def draw(canvas: Canvas) -> None:
        drawn = {}
        for axes, mine in zip(panels(canvas, heights, list(tasks), left=0.8), tasks.values(), strict=True):
            front = sorted((row for row in mine if row["front"]), key=lambda row: row["cost"])
            axes.step(
                [r["cost"] for r in front], [r["value"] for r in front], where="post", color=INK, linewidth=1
            )
            for kind, mark, colour in ((True, "D", AFTER), (False, "o", BEFORE)):
                some = [row for row in mine if row["front"] == kind]
                xs, ys = [row["cost"] for row in some], [row["value"] for row in some]
                if some:
                    drawn[kind] = axes.plot(xs, ys, mark, markersize=8, **outlined(colour))[0]
            _scales(axes, mine)
            _labels(axes, mine)
            axes.set_ylabel(measure)
            axes.set_xlabel(cost, loc="right", labelpad=1)
        names = {True: "on the Pareto front", False: "another is as good and cheaper, or better"}
        legend(canvas, list(drawn.values()), [names[kind] for kind in drawn])

    told = "; ".join(
        f"{task}: {', '.join(row['pipeline'] for row in mine if row['front'])}"
        for task, mine in tasks.items()
    )
    return Figure(
        name,
        title,
        f"Points of {measure} against {cost}, one panel a task. On the Pareto front: {told}.",
        rows,
        (WIDTH, height(heights)),
        draw,
    )


def _scales(axes: Axes, rows: Rows) -> None:
    """A logarithmic scale of costs, with room for names on its right, and one of values."""
    costs, values = [row["cost"] for row in rows], [row["value"] for row in rows]
    from matplotlib.ticker import LogLocator

    axes.set_xscale("log")
    spread = max(costs) / min(costs)
    axes.set_xlim(min(costs) / max(1.5, spread**0.08), max(costs) * max(3.0, spread**0.5))
    if spread < _FEW_DECADES:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda cost, place: f"{cost:g}")
    axes.minorticks_off()
    room = max(0.03, (max(values) - min(values)) * 0.18)
    axes.set_ylim(max(0, min(values) - room), min(1.08, max(values) + 1.5 * room))


def _labels(axes: Axes, rows: Rows) -> None:
    """The names of the front and the best others, right of their points, moved up where they would meet."""
    bottom, top = axes.get_ylim()
    end = float("-inf")
    shown = sorted(rows, key=lambda row: (not row["front"], -row["value"]))[:SHOWN]
    for row in sorted(shown, key=lambda row: row["value"]):
        point = (row["value"] - bottom) / (top - bottom) * _PLOT * 72
        end = max(point + (_ABOVE_LINE if row["front"] else 0), end + _LINE)
        place = (8, end - point)
        name = short(row["pipeline"])
        axes.annotate(
            name, (row["cost"], row["value"]), place, textcoords="offset points", va="center", fontsize=8.5
        )


def on_front(costs: list[float], values: list[float]) -> list[bool]:
    """For each pipeline whether no other is as good and cheaper, or as cheap and better."""
    points = list(zip(costs, values, strict=True))
    return [
        not any((c <= cost and v >= value) and (c, v) != (cost, value) for c, v in points)
        for cost, value in points
    ]
