"""`dibs doctor`: what is ready here, and what mends the rest."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from dibs.cli.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from dibs.doctor.findings import Finding

_MANY = ("tasks", "models", "rerankers", "llms")
"""What there is so much of that a line for each would hide the rest."""
_COLOURS = {"ready": "green", "missing": "yellow", "slow": "yellow", "broken": "red"}


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask whether the hub answers.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Give each card a line of its own.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is ready here, what is missing or slow, and the command that mends it.

    Keys are named and never shown. The exit code is 2 if something that every run needs is broken.

    Example: dibs doctor --offline
    """
    from dibs.doctor.examine import examine
    from dibs.workspace import Workspace

    found = list(examine(Workspace.find(workspace), offline=offline))
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=2, ensure_ascii=False))
    else:
        _print(found, everything)
    if any(one.state == "broken" for one in found):
        raise typer.Exit(2)


def _print(found: list[Finding], everything: bool) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from dibs.report.terminal import console, printable

    table = Table(box=box.SIMPLE_HEAD)
    for name in ("", "what", "state", "found", "to mend it"):
        table.add_column(name, overflow="fold")
    for one in found if everything else _together(found):
        cells = (one.area, one.name, one.state, one.found, one.todo or "")
        shown = [Text(printable(cell)) for cell in cells]
        shown[2].stylize(_COLOURS[one.state])
        table.add_row(*shown)
    console().print(table)
    counts = {state: sum(one.state == state for one in found) for state in _COLOURS}
    typer.echo(", ".join(f"{count} {state}" for state, count in counts.items() if count))


def _together(found: list[Finding]) -> list[Finding]:
    """Of cards of one kind, one line for all that are ready and one for each way to mend the others."""
    rows: dict[object, list[Finding]] = {}
    for one in found:
        rows.setdefault((one.area, one.state, one.todo) if one.area in _MANY else one, []).append(one)
    return [
        mine[0]
        if len(mine) == 1
        else replace(mine[0], name=f"{len(mine)} of them", found=", ".join(one.name for one in mine))
        for mine in rows.values()
    ]
