"""Figures of retrieval: models by task, with and without reranking, and recall against k."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from dibs.report.figures.figure import INK, Figure, Rows
from dibs.report.figures.style import (
    AFTER,
    BEFORE,
    COLOURS,
    MARKS,
    SHOWN,
    WIDTH,
    aside,
    bars,
    by_task,
    height,
    legend,
    named,
    outlined,
    panels,
    shares,
    short,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

_ROW = 0.3
"""Inches for a name."""
_PLOT = 2.6


def models_figure(rows: Rows, measure: str) -> Figure:
    """Base models and what was finetuned from them, by task.

    Args:
        rows: `task`, `model` (the base's name), `kind` (base or finetuned), `value`, `low`, `high`;
            the best first within a task.
    """
    tasks = {
        task: list(dict.fromkeys(row["model"] for row in mine))[:SHOWN]
        for task, mine in by_task(rows).items()
    }
    heights = [len(names) * _ROW * 1.3 for names in tasks.values()]

    def draw(canvas: Canvas) -> None:
        drawn = {}
        for axes, (task, names) in zip(panels(canvas, heights, list(tasks)), tasks.items(), strict=True):
            mine = [row for row in by_task(rows)[task] if row["model"] in names]
            for kind, colour, hatch, shift in (("base", BEFORE, "", -0.2), ("finetuned", AFTER, "//", 0.2)):
                some = [row for row in mine if row["kind"] == kind]
                both = {row["model"] for row in mine if row["kind"] != kind}
                places = [names.index(row["model"]) + (shift if row["model"] in both else 0) for row in some]
                if some:
                    drawn[kind] = bars(
                        axes, places, some, colour, 0.38, hatch=hatch, edgecolor="white", linewidth=0
                    )
            named(axes, names)
        legend(canvas, list(drawn.values()), list(drawn))

    best = [max(mine, key=lambda row: row["value"]) for mine in by_task(rows).values()]
    told = "; ".join(f"on {row['task']} {row['model']} ({row['kind']}) at {row['value']:.3f}" for row in best)
    return Figure(
        "models",
        f"{measure} of embedding models by task, base and finetuned",
        f"Bars of {measure} with 95 % intervals, one panel a task. Best: {told}.",
        rows,
        (WIDTH, height(heights)),
        draw,
    )


def reranking_figure(rows: Rows, measure: str) -> Figure:
    """Each first stage without its reranker and with it.

    Args:
        rows: `task`, `first`, `reranker`, `before`, `value`, `low`, `high`.
    """
    tasks = {task: mine[:SHOWN] for task, mine in by_task(rows).items()}
    heights = [len(mine) * _ROW * 1.4 for mine in tasks.values()]

    def draw(canvas: Canvas) -> None:
        drawn = []
        for axes, mine in zip(panels(canvas, heights, list(tasks)), tasks.values(), strict=True):
            places = range(len(mine))
            before, after = [row["before"] for row in mine], [row["value"] for row in mine]
            axes.hlines(places, before, after, color=INK, linewidth=1.4, zorder=1)
            drawn = [
                axes.plot(before, places, "o", markersize=8, **outlined(BEFORE))[0],
                axes.plot(after, places, "D", markersize=8, **outlined(AFTER))[0],
            ]
            for place, row in zip(places, mine, strict=True):
                told = f"{row['before']:.3f} to {row['value']:.3f}"
                right = max(row["before"], row["value"])
                side = (
                    (right + 0.02, "left")
                    if right < 0.8
                    else (min(row["before"], row["value"]) - 0.02, "right")
                )
                axes.text(side[0], place, told, va="center", ha=side[1], fontsize=9)
            named(axes, [f"{row['first']}\n> {row['reranker']}" for row in mine])
        legend(canvas, drawn, ["first stage alone", "with the reranker"])

    told = "; ".join(
        f"{row['task']}, {row['first']} > {row['reranker']}: {row['before']:.3f} to {row['value']:.3f}"
        for row in rows[:SHOWN]
    )
    return Figure(
        "reranking",
        f"{measure} without and with reranking",
        f"Two marks for each first stage, {measure} alone and with the reranker. {told}.",
        rows,
        (WIDTH, height(heights)),
        draw,
    )


def depth_figure(rows: Rows) -> Figure:
    """Recall against k.

    Args:
        rows: `task`, `pipeline`, `k`, `value`, rising in k; the best pipeline first within a task.
    """
    tasks = {
        task: list(dict.fromkeys(row["pipeline"] for row in mine))[: len(COLOURS)]
        for task, mine in by_task(rows).items()
    }
    heights = [_PLOT] * len(tasks)

    def draw(canvas: Canvas) -> None:
        for axes, (task, names) in zip(panels(canvas, heights, list(tasks)), tasks.items(), strict=True):
            for name, colour, mark in zip(names, COLOURS, MARKS, strict=False):
                mine = [row for row in by_task(rows)[task] if row["pipeline"] == name]
                ks, values = [row["k"] for row in mine], [row["value"] for row in mine]
                axes.plot(
                    ks,
                    values,
                    mark + "-",
                    markersize=6,
                    linewidth=1.8,
                    label="\n".join(short(line, 30) for line in wrap(name, 30)[:2]),
                    **outlined(colour),
                )
            axes.set_xscale("log")
            ticks = sorted({row["k"] for row in by_task(rows)[task]})
            axes.set_xticks(ticks, [str(k) for k in ticks])
            axes.minorticks_off()
            shares(axes, "y")
            aside(axes)
            axes.set_xlabel("k", loc="right", labelpad=-8)

    told = "; ".join(f"{task}: {names[0]}" for task, names in tasks.items())
    return Figure(
        "recall-at-k",
        "Recall against the number of documents k",
        f"Lines of recall at each k, one panel a task, the best pipelines. Best by the main measure: {told}.",
        rows,
        (WIDTH, height(heights, 0)),
        draw,
    )
