"""`dibs show`: look into a record, down to a single query."""

from __future__ import annotations

from typing import Annotated

import typer

from dibs.cli.options import WorkspaceOption


def show(
    record: Annotated[
        str, typer.Argument(help="A record's folder, TASK/PIPELINE, or the beginning of its hash.")
    ],
    query: Annotated[
        str | None,
        typer.Option("--query", "-q", help="Show this query: its gold, and its ranking or answer."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many ranked documents to show of a query.")] = 10,
    workspace: WorkspaceOption = None,
) -> None:
    """Show how a record was made and what it scored, or what happened to one query.

    Example: dibs show FinanceBench/bm25 --query financebench_id_00005
    """
    from dibs.errors import InputError
    from dibs.rag.calibrate import Done
    from dibs.records import KINDS, find_record
    from dibs.report.answered import answer_view, answers_view
    from dibs.report.calibration import view as calibration_view
    from dibs.report.inspect import query_view, record_view
    from dibs.report.sweep import sweep_view
    from dibs.report.terminal import console
    from dibs.workspace import Workspace

    place = Workspace.find(workspace)
    found = find_record(place.results, record, *KINDS)
    if found.kind == "answers":
        views = answers_view(found, place) if query is None else answer_view(found, query, place)
    elif found.kind == "retrieval":
        views = record_view(found) if query is None else query_view(found, query, top, place)
    elif query is not None:
        raise InputError(f"a record of {found.kind} has no queries to show", where=found.name)
    elif found.kind == "sweep":
        views = sweep_view(found, reused=True)
    else:
        views = calibration_view(Done(found, reused=True))
    for view in views:
        console().print(view)
