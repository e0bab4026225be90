"""Which figures the records allow, and the rows they are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from dibs.report.figures.answers import answers_figure, judges_figure
from dibs.report.figures.costs import cost_figure, on_front
from dibs.report.figures.figure import Figure
from dibs.report.figures.recall import depth_figure, models_figure, reranking_figure
from dibs.report.leaderboard.answers import Answered, Calibrated
from dibs.report.leaderboard.boards import Board
from dibs.report.leaderboard.costs import costs_of
from dibs.report.leaderboard.finetuned import Model
from dibs.scoring.measures import Measure
from dibs.scoring.statistics import Estimate

_Rows = list[dict[str, Any]]


def figures(
    boards: Sequence[Board],
    models: Sequence[Model],
    answers: Sequence[Answered],
    judges: Sequence[Calibrated],
) -> list[Figure]:
    """Every figure that has something to show."""
    measure = " or ".join(dict.fromkeys(board.main for board in boards))
    made = []
    if rows := _models(boards, models):
        made.append(models_figure(rows, measure))
    if rows := _reranking(boards):
        made.append(reranking_figure(rows, measure))
    if rows := _depth(boards):
        made.append(depth_figure(rows))
    if rows := _costs(boards, "index"):
        title, unit = f"{measure} against the cost of an index", "seconds for a thousand documents"
        made.append(cost_figure("cost", title, rows, measure, unit))
    if rows := _costs(boards, "query"):
        title = f"{measure} against latency"
        made.append(cost_figure("latency", title, rows, measure, "milliseconds for a query"))
    if answers:
        made.append(
            answers_figure([{"task": a.task, "name": a.name} | _interval(a.estimate) for a in answers])
        )
    if judges:
        made.append(
            judges_figure([{"judge": j.judge} | _interval(j.accuracy) | {"kappa": j.kappa} for j in judges])
        )
    return made


def _models(boards: Sequence[Board], models: Sequence[Model]) -> _Rows:
    rows = []
    for board in boards:
        mine: _Rows = []
        for model in models:
            gain = model.gains.get(board.name)
            for kind in ("base", "finetuned"):
                if gain and (entry := getattr(gain, kind)) and (found := entry.estimate(board.main)):
                    mine.append({"task": board.name, "model": model.name, "kind": kind} | _interval(found))
        best = {row["model"]: max(r["value"] for r in mine if r["model"] == row["model"]) for row in mine}
        rows += sorted(mine, key=lambda row: (-best[row["model"]], row["model"], row["kind"]))
    return rows


def _reranking(boards: Sequence[Board]) -> _Rows:
    rows = []
    for board in boards:
        for entry in board.entries:
            first = board.start_of(entry) if entry.stage == "reranking" else None
            found = entry.estimate(board.main)
            if first and found:
                reranker = entry.pipeline.removeprefix(f"{first.pipeline} > ")
                named = {"task": board.name, "first": first.pipeline, "reranker": reranker}
                rows.append(named | {"before": first.value} | _interval(found))
    return rows


def _depth(boards: Sequence[Board]) -> _Rows:
    rows = []
    for board in boards:
        for entry in board.entries:
            measures = map(Measure.parse, entry.manifest["scoring"]["measures"])
            for measure in sorted(one for one in measures if one.kind == "recall"):
                if found := entry.estimate(str(measure)):
                    named = {"task": board.name, "pipeline": entry.pipeline, "k": measure.k}
                    rows.append(named | {"value": found.value})
    return rows


def _costs(boards: Sequence[Board], of: Literal["index", "query"]) -> _Rows:
    """What is known and not nothing; a thousand queries' seconds are a query's milliseconds."""
    rows = []
    for board in boards:
        mine = []
        for entry in board.entries:
            costs = costs_of(entry, board)
            thousand = costs.index_seconds and costs.index_seconds / board.documents * 1000
            if cost := thousand if of == "index" else costs.query_seconds:
                mine.append((entry, cost))
        front = on_front([cost for _, cost in mine], [entry.value for entry, _ in mine])
        rows += [
            {
                "task": board.name,
                "pipeline": entry.pipeline,
                "cost": cost,
                "value": entry.value,
                "front": best,
            }
            for (entry, cost), best in zip(mine, front, strict=True)
        ]
    return rows


def _interval(found: Estimate) -> dict[str, Any]:
    return {"value": found.value, "low": found.low, "high": found.high}
