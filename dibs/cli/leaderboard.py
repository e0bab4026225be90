"""`dibs leaderboard`: tables, figures and pages from the records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dibs.cli.options import WorkspaceOption


def leaderboard(
    output: Annotated[
        Path | None,
        typer.Option(help="Folder to write to.", show_default="leaderboard/ in the workspace"),
    ] = None,
    site: Annotated[
        bool, typer.Option("--site", help="Write the pages too, to site/ in that folder: open index.html.")
    ] = False,
    texts: Annotated[
        bool,
        typer.Option(
            "--texts",
            help="Put the texts of queries and documents on the pages, from the prepared data. Check the "
            "licence of each task's data before you pass such a folder on.",
        ),
    ] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Write the leaderboard from results/ alone: README.md, figures, and pages on wish.

    Example: dibs leaderboard --site
    """
    from dibs.errors import InputError
    from dibs.report.leaderboard.build import link_to, read_report, write_report
    from dibs.report.terminal import printable
    from dibs.workspace import Workspace

    if texts and not site:
        raise InputError("--texts puts texts on the pages, which are not written", todo="Add --site.")
    place = Workspace.find(workspace)
    folder = output or place.root / "leaderboard"
    report = read_report(place.results)
    write_report(report, folder, link_to(place.results, folder))
    typer.echo(f"{folder / 'README.md'}: {report.records:,} records, {len(report.figures)} figures")
    if site:
        from dibs.report.leaderboard.site import write_site

        for note in write_site(report, folder / "site", folder / "figures", place if texts else None):
            typer.echo(f"warning: {note}", err=True)
        typer.echo(f"{folder / 'site' / 'index.html'}: open it in a browser")
    for problem in report.problems:
        typer.echo(f"warning: {printable(problem)}", err=True)
