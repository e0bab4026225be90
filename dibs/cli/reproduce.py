"""`dibs reproduce`: a whole study from one file."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dibs.cli.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from dibs.study import Step


def reproduce(
    study: Annotated[Path, typer.Argument(help="A TOML file that says what is measured on what.")],
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="List the work with its tokens, money and time; do nothing."),
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Do everything a study lists: models on tasks, reranked and not, and answers from their runs.

    What is recorded is not done again. A step that fails does not lose the others; the exit code is then 1.

    Example: dibs reproduce studies/small.toml --dry-run
    """
    from dibs.study import read_study, steps

    found = read_study(study)
    listed = list(steps(found))
    if dry_run:
        _plan(listed, workspace, as_json)
        return
    failed = []
    for number, step in enumerate(listed, start=1):
        typer.echo(f"[{number}/{len(listed)}] {step}", err=True)
        if _call(step, workspace, *(("--json",) if as_json else ())):
            failed.append(step)
    for step in failed:
        typer.echo(f"failed: {step}", err=True)
    typer.echo(f"{found.name}: {len(listed) - len(failed)} of {len(listed)} steps done", err=True)
    if failed:
        raise typer.Exit(1)


def _call(step: Step, workspace: Path | None, *more: str) -> int:
    """Do it in this process, so that heavy imports are paid for once; the exit code."""
    from dibs.cli.main import app

    place = () if workspace is None else ("--workspace", str(workspace))
    command = typer.main.get_command(app)
    return int(command.main([*step.words, *more, *place], prog_name="dibs", standalone_mode=False) or 0)


def _plan(listed: list[Step], workspace: Path | None, as_json: bool) -> None:
    from dibs.report.plan import FAILED, UNKNOWN, study_plan
    from dibs.report.terminal import console

    planned: list[dict[str, Any]] = []
    for step in listed:
        said = io.StringIO()
        with redirect_stdout(said):
            failed = _call(step, workspace, "--dry-run", "--json")
        found = None if failed else json.loads(said.getvalue())
        # What is retrieved needs no earlier record; what is answered from, may.
        unknown = (FAILED if step.words[0] == "run" else UNKNOWN) if failed else None
        planned.append({"command": str(step), "steps": found, "unknown": unknown})
    if as_json:
        typer.echo(json.dumps(planned, indent=2, ensure_ascii=False))
    else:
        for part in study_plan(planned):
            console().print(part)
    if any(one["unknown"] == FAILED for one in planned):
        raise typer.Exit(1)
