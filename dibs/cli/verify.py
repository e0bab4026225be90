"""`dibs verify`: whether scores are what they are said to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dibs.cli.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from dibs.verify import Outcome


def verify(
    file: Annotated[
        Path, typer.Argument(help="A TOML file of expected scores, such as results/expected.toml.")
    ],
    run: Annotated[
        bool, typer.Option("--run", help="Run each command again instead of reading the records at hand.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare scores with expected ones; print OK, near or FAIL for each.

    The exit code is 0 if all are OK or near, else 1.

    Example: dibs verify results/expected.toml
    """
    from dibs.verify import read_expected, recorded, repeated
    from dibs.workspace import Workspace

    place = Workspace.find(workspace)
    outcomes = list((repeated if run else recorded)(read_expected(file), place))
    if as_json:
        rows = [
            {"verdict": one.verdict, "found": one.found, "note": one.note} | one.expected.model_dump()
            for one in outcomes
        ]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        _print(outcomes)
    if any(one.verdict == "FAIL" for one in outcomes):
        raise typer.Exit(1)


def _print(outcomes: list[Outcome]) -> None:
    from dibs.report.terminal import console, plain_table, printable

    rows = [
        {
            "": one.verdict,
            "record": one.expected.record,
            "subset": one.expected.subset,
            "measure": one.expected.measure,
            "expected": f"{one.expected.expected:.4f}",
            "found": "" if one.found is None else f"{one.found:.4f}",
            "note": printable(one.note or one.expected.source),
        }
        for one in outcomes
    ]
    console().print(plain_table(rows, list(rows[0])))
    counts = {verdict: sum(one.verdict == verdict for one in outcomes) for verdict in ("OK", "near", "FAIL")}
    console().print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
