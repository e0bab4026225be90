"""`dibs show`: look into a record, down to a single query."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dibs.cli.options import WorkspaceOption

if TYPE_CHECKING:
    from dibs.records import Kind, Record

_OTHERS: tuple[Kind, ...] = ("answers", "sweep")


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
    from dibs.report.answered import answer_view, answers_view
    from dibs.report.inspect import query_view, record_view
    from dibs.report.sweep import sweep_view
    from dibs.report.terminal import console
    from dibs.workspace import Workspace

    place = Workspace.find(workspace)
    found = _find(place.results, record)
    if found.kind == "answers":
        views = answers_view(found, place) if query is None else answer_view(found, query, place)
    elif found.kind == "sweep" and query is None:
        views = sweep_view(found, reused=True)
    else:
        views = record_view(found) if query is None else query_view(found, query, top, place)
    for view in views:
        console().print(view)


def _find(results: Path, name: str) -> Record:
    from dibs.errors import InputError
    from dibs.records import find_record

    try:
        return find_record(results, name)
    except InputError:
        for kind in _OTHERS:
            with suppress(InputError):
                return find_record(results, name, kind)
        raise
