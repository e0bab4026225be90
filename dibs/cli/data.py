"""`dibs data`: bring a task's data here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dibs.cli.options import WorkspaceOption

app = typer.Typer(help="Bring a task's data here, check it, and keep it in one form.", no_args_is_help=True)


@app.callback()
def _group() -> None: ...


@app.command()
def prepare(
    task: Annotated[str, typer.Argument(help="The task's name; `dibs tasks` lists them.")],
    folder: Annotated[
        Path | None, typer.Option("--from", help="Read this copy instead of fetching.", show_default=False)
    ] = None,
    complete: Annotated[bool, typer.Option("--complete", help="Refuse if anything is absent.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Build a task's corpus, queries and qrels, from its pinned source or from a copy.

    A folder may be in BEIR's layout (corpus.jsonl, queries.jsonl, qrels/test.tsv, plain or gzipped),
    the same as parquet, or MTEB's; for FinanceBench also the files of its repository, or a
    pages.parquet.

    Example: dibs data prepare FinanceBench
    """
    from dibs.cards.task import TaskCard
    from dibs.data.prepare import prepare as build
    from dibs.data.prepare import shortfall
    from dibs.workspace import Workspace

    place = Workspace.find(workspace)
    card = place.card(TaskCard, task)
    dataset = build(card, place, folder=folder, complete=complete)
    info = dataset.info
    typer.echo(
        f"{card.name}: {info.queries:,} queries, {info.documents:,} documents "
        f"({info.empty_documents:,} empty, {info.duplicate_documents:,} repeat another), "
        f"{info.qrels:,} judgements; content {info.sha256[:12]}"
    )
    if lacking := shortfall(card, dataset):
        typer.echo(f"not complete: {lacking}")
    for note in info.notes:
        typer.echo(f"note: {note}")


@app.command()
def check(
    task: Annotated[str, typer.Argument(help="The task's name; `dibs tasks` lists them.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Read a task's prepared data whole and say whether it is as it was written.

    Counts and content hash are made anew and compared. Damaged data is an error that names the
    command to make it anew.

    Example: dibs data check FinanceBench-Sample
    """
    from dibs.cards.task import TaskCard
    from dibs.data.dataset import check_content, open_dataset
    from dibs.data.state import how_to_get
    from dibs.errors import MissingError
    from dibs.workspace import Workspace

    place = Workspace.find(workspace)
    card = place.card(TaskCard, task)
    try:
        dataset = open_dataset(place.data / card.name)
    except FileNotFoundError:
        problem = f"the data of {card.name} is not prepared"
        raise MissingError(problem, todo=how_to_get(card)) from None
    check_content(dataset)
    info = dataset.info
    typer.echo(
        f"{card.name} is as it was written: {info.queries:,} queries, {info.documents:,} documents, "
        f"{info.qrels:,} judgements; content {info.sha256[:12]}"
    )
