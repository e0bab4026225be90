"""Figures of answers: how many are right with each retriever, and how far judges agree with humans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dibs.report.figures.figure import Figure, Rows
from dibs.report.figures.style import AFTER, BEFORE, WIDTH, bars, by_task, height, named, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

_ROW = 0.42


def answers_figure(rows: Rows) -> Figure:
    """Shares of correct answers.

    Args:
        rows: `task`, `name` (what the generator was given, and its name), `value`, `low`, `high`.
    """
    tasks = by_task(rows)
    heights = [len(mine) * _ROW for mine in tasks.values()]

    def draw(canvas: Canvas) -> None:
        for axes, mine in zip(panels(canvas, heights, list(tasks)), tasks.values(), strict=True):
            bars(axes, range(len(mine)), mine, BEFORE, 0.6)
            named(axes, [row["name"].replace(", ", ",\n", 1) for row in mine])

    told = "; ".join(f"{row['task']}, {row['name']}: {row['value']:.3f}" for row in rows)
    return Figure(
        "answers",
        "Share of answers that are correct, by what the generator was given",
        f"Bars with 95 % intervals, one panel a task. {told}.",
        rows,
        (WIDTH, height(heights, 0)),
        draw,
    )


def judges_figure(rows: Rows) -> Figure:
    """Judges' agreement with human labels.

    Args:
        rows: `judge`, `value`, `low`, `high` (the share of equal verdicts), `kappa` (Cohen's, or None).
    """
    heights = [len(rows) * _ROW * 1.2]

    def draw(canvas: Canvas) -> None:
        (axes,) = panels(canvas, heights, ["Agreement (bar) and Cohen's κ (diamond)"])
        bars(axes, range(len(rows)), rows, BEFORE, 0.5)
        known = [(row["kappa"], place) for place, row in enumerate(rows) if row["kappa"] is not None]
        axes.plot(
            [k for k, _ in known],
            [p for _, p in known],
            "D",
            color=AFTER,
            markeredgecolor="white",
            markersize=8,
        )
        named(axes, [row["judge"] for row in rows])

    told = "; ".join(f"{row['judge']}: {row['value']:.3f}" for row in rows)
    return Figure(
        "judges",
        "Judges' agreement with human labels",
        f"Bars of the share of equal verdicts with 95 % intervals. {told}.",
        rows,
        (WIDTH, height(heights, 0)),
        draw,
    )
