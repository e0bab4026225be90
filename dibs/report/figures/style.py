"""How figures look: panels, bars, labels, and colours that the colour-blind and a grey print keep apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dibs.report.figures.figure import INK, PAPER, Rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

# Okabe and Ito's colours, those too pale for white paper darkened; each has a mark of its own as well.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b8578a", "#8a6d00", "#56708a")
MARKS = ("o", "s", "^", "D", "v", "P")
BEFORE, AFTER = COLOURS[0], COLOURS[1]
SHOWN = 8
"""Pipelines that a panel shows at most, the best ones; the CSV has them all."""
WIDTH = 9.0
"""Of every figure, in inches."""
TOP = 0.35
"""Inches above the panels where there is a legend."""
_LEFT, _RIGHT, _ABOVE, _BELOW = 2.75, 0.25, 0.42, 0.4


def height(heights: Sequence[float], top: float = TOP) -> float:
    """How high a figure is whose panels stand below each other and are so high, in inches.

    Args:
        top: Inches above them, for a legend.
    """
    return top + sum(one + _ABOVE + _BELOW for one in heights)


def panels(
    canvas: Canvas, heights: Sequence[float], titles: Sequence[str], left: float = _LEFT
) -> list[Axes]:
    """Panels below each other; placed by hand, since matplotlib's layout takes longer than the drawing.

    Args:
        left: Inches on their left, for names.
    """
    whole = float(canvas.get_size_inches()[1])
    top = whole - height(heights, 0)
    made = []
    for one, title in zip(heights, titles, strict=True):
        top += _ABOVE
        bottom = 1 - (top + one) / whole
        axes = canvas.add_axes((left / WIDTH, bottom, (WIDTH - left - _RIGHT) / WIDTH, one / whole))
        axes.set_title(
            short(title, 80), fontweight="bold", y=1.0
        )  # a place of its own saves a search for one
        top += one + _BELOW
        made.append(axes)
    return made


def legend(canvas: Canvas, marks: Sequence[Any], names: Sequence[str]) -> None:
    """One legend for all panels, on top."""
    whole = canvas.get_size_inches()[1]
    canvas.legend(
        marks,
        names,
        loc="upper left",
        ncols=len(names),
        bbox_to_anchor=(0.02, 1 - 0.04 / whole),
        borderaxespad=0,
    )


def aside(axes: Axes) -> None:
    """A panel's own legend, in the column on its left."""
    box = axes.get_position()
    place = (0.01, (box.y0 + box.y1) / 2)
    transform = axes.figure.transFigure
    axes.legend(
        loc="center left",
        bbox_to_anchor=place,
        bbox_transform=transform,
        fontsize=8.5,
        borderaxespad=0,
        handlelength=1.6,
    )


def bars(axes: Axes, places: Sequence[float], rows: Rows, colour: str, thick: float, **more: Any) -> Any:
    """Horizontal bars of the rows' `value`, with whiskers from `low` to `high` and the value beside them."""
    values = [row["value"] for row in rows]
    made = axes.barh(
        places,
        values,
        thick,
        color=colour,
        xerr=whiskers(rows),
        error_kw={"ecolor": INK, "elinewidth": 1},
        **more,
    )
    for place, row in zip(places, rows, strict=True):
        end = max(row["value"], row["high"] or 0)
        axes.text(end + 0.012, place, f"{row['value']:.3f}", va="center", fontsize=9)
    return made


def whiskers(rows: Rows) -> Any:
    """How far each interval reaches below and above its value, as matplotlib takes it."""
    return [
        [max(0.0, row["value"] - (row["value"] if row["low"] is None else row["low"])) for row in rows],
        [max(0.0, (row["value"] if row["high"] is None else row["high"]) - row["value"]) for row in rows],
    ]


def named(axes: Axes, names: Sequence[str]) -> None:
    """Names of one or two lines down the left side, the first on top, and shares along the bottom."""
    lines = ["\n".join(map(short, name.split("\n"))) for name in names]
    axes.set_yticks(range(len(names)), lines, fontsize=9)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    shares(axes, "x")


def shares(axes: Axes, along: str) -> None:
    """A scale from 0 to 1, with room for a label at its end."""
    getattr(axes, f"set_{along}lim")(0, 1.08)
    getattr(axes, f"set_{along}ticks")([0, 0.25, 0.5, 0.75, 1])


def outlined(colour: str) -> dict[str, Any]:
    """A mark with an edge, so that marks that overlap stay apart."""
    return {"color": colour, "markeredgecolor": PAPER, "markeredgewidth": 0.8}


def short(name: str, length: int = 36) -> str:
    """A name that fits beside a bar, with nothing in it that matplotlib would read as a formula."""
    plain = "".join(c if c.isprintable() else " " for c in name)
    return (plain if len(plain) <= length else f"{plain[: length - 1]}…").replace("$", r"\$")


def by_task(rows: Rows) -> dict[str, Rows]:
    """The rows of each task, in their order."""
    return {
        task: [row for row in rows if row["task"] == task] for task in dict.fromkeys(r["task"] for r in rows)
    }
