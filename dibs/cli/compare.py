"""`dibs compare`: whether one record is better than another."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from dibs.cli.options import JsonOption, WorkspaceOption


def compare(
    first: Annotated[str, typer.Argument(help="A record, as `dibs show` finds it; with --task, a pipeline.")],
    second: Annotated[str, typer.Argument(help="The record to compare with it.")],
    task: Annotated[
        str | None, typer.Option("--task", "-t", help="The task of both.", show_default="in the names")
    ] = None,
    queries: Annotated[int, typer.Option(min=0, help="Show this many of the queries that moved most.")] = 10,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two records query by query: difference, interval, p, wins and losses, what moved most.

    Records of other data are refused, and it is said what differs.

    Example: dibs compare bm25 all-MiniLM-L6-v2 --task FinanceBench
    """
    from dibs.records import find_record
    from dibs.report.comparison import compare as compared
    from dibs.report.comparison import comparison_json, comparison_view
    from dibs.report.terminal import console
    from dibs.workspace import Workspace

    place = Workspace.find(workspace)
    of_task = "" if task is None else f"{task}/"
    one, other = (find_record(place.results, f"{of_task}{name}") for name in (first, second))
    found = compared(one, other, place, queries)
    if as_json:
        typer.echo(json.dumps(comparison_json(found), indent=2, ensure_ascii=False))
        return
    for view in comparison_view(found):
        console().print(view)
