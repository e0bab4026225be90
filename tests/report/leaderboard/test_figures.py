"""Figures whose names are long: nothing is drawn off the paper, and no name into the plot."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Text

from dibs.report.figures.answers import answers_figure, judges_figure
from dibs.report.figures.costs import cost_figure
from dibs.report.figures.figure import Figure
from dibs.report.figures.recall import depth_figure, models_figure, reranking_figure

LONG = "bm25+an-organisation-all-MiniLM-L6-v2-of-finance"
INTERVAL = {"value": 0.9, "low": 0.1, "high": 1.0}
TASK = {"task": "FinanceBench"}


def made() -> dict[str, Figure]:
    rows: dict[str, list[dict[str, Any]]] = {
        "models": [TASK | {"model": f"{LONG}-{n}", "kind": "base"} | INTERVAL for n in range(3)],
        "reranking": [TASK | {"first": LONG, "reranker": f"{LONG} (30)", "before": 0.95} | INTERVAL],
        "depth": [TASK | {"pipeline": f"{LONG} > {LONG} (30)", "k": k, "value": 1.0} for k in (1, 10, 100)],
        "costs": [
            TASK | {"pipeline": f"{LONG}-{n}", "cost": 10.0**n, "value": 0.1 * n, "front": True}
            for n in range(3)
        ],
        "answers": [TASK | {"name": f"{LONG}, {LONG}"} | INTERVAL],
        "judges": [{"judge": f"{LONG}+{LONG}", "kappa": 0.9} | INTERVAL],
    }
    return {
        "models": models_figure(rows["models"], "recall@10"),
        "reranking": reranking_figure(rows["reranking"], "recall@10"),
        "depth": depth_figure(rows["depth"]),
        "costs": cost_figure("cost", "Cost", rows["costs"], "recall@10", "seconds"),
        "answers": answers_figure(rows["answers"]),
        "judges": judges_figure(rows["judges"]),
    }


@pytest.mark.parametrize("name", list(made()))
def test_every_text_is_on_the_paper(name: str) -> None:
    figure = made()[name]
    canvas = Canvas(figsize=figure.size)
    FigureCanvasAgg(canvas)
    figure.draw(canvas)
    canvas.canvas.draw()
    paper = canvas.bbox
    unseen = {label for axes in canvas.axes for axis in (axes.xaxis, axes.yaxis) for label in beyond(axis)}
    texts = [text for text in canvas.findobj(Text) if text.get_text().strip() and text.get_visible()]
    texts = [text for text in texts if text not in unseen]
    assert len(texts) > 3
    for text in texts:
        box = text.get_window_extent()
        assert box.x0 >= 0, text.get_text()
        assert box.x1 <= paper.width, text.get_text()
        assert box.y0 >= 0, text.get_text()
        assert box.y1 <= paper.height, text.get_text()


def beyond(axis: Axis) -> list[Text]:
    """The labels of ticks outside the axis, which are not drawn."""
    low, high = axis.get_view_interval()
    ticks = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
    return [label for place, label in ticks if not low <= place <= high]
