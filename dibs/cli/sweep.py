"""`dibs sweep`: the best settings of a model, chosen on some queries and tested on the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from dibs.cli.options import BackendOption, JsonOption, PrecisionOption, RemoteCodeOption, WorkspaceOption


def sweep(
    model: Annotated[
        str, typer.Option("--model", "-m", help="A model's name, or a hybrid such as bm25+all-MiniLM-L6-v2.")
    ],
    task: Annotated[str, typer.Option("--task", "-t", help="A task's name.")],
    over: Annotated[
        list[str] | None,
        typer.Option(
            help="A field of the model's card and the values to try, such as pooling=mean,cls,last, "
            "max_tokens=128,256, dimension=64,128,384, stored=float32,int8 or normalise=true,false; may be "
            "repeated.",
        ),
    ] = None,
    query_prompt: Annotated[
        list[str] | None, typer.Option(help="A query prompt to try; may be repeated.")
    ] = None,
    query_prompts: Annotated[
        Path | None, typer.Option(help="A file of query prompts to try, one a line.")
    ] = None,
    weights: Annotated[
        int | None,
        typer.Option(help="Steps from 0 to 1 of the weights of a hybrid's parts.", show_default="11"),
    ] = None,
    fusion: Annotated[
        str | None,
        typer.Option(help="Ways to fuse a hybrid that are tried.", show_default="rrf,scores"),
    ] = None,
    development: Annotated[
        float, typer.Option(help="The share of the clusters of queries that choose.")
    ] = 0.5,
    seed: Annotated[
        int | None, typer.Option(help="Of the draw of these clusters.", show_default="20250220")
    ] = None,
    template: Annotated[str | None, typer.Option(help="One of the task's document templates.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Set a field of the model's card for all that is tried; may be repeated."),
    ] = None,
    trust_remote_code: RemoteCodeOption = False,
    backend: BackendOption = None,
    precision: PrecisionOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try settings of a model, choose the best on a development split, report it on the held-out queries.

    Documents are encoded once for all poolings and dimensions, and a query prompt re-embeds queries
    alone. The model's card as it is always competes.

    Example: dibs sweep --model all-MiniLM-L6-v2 --task DocsQA-Sample --over pooling=mean,cls
    """
    from dibs.choices import Choices
    from dibs.cli.trials import Trials, planned
    from dibs.report.sweep import as_json as as_object
    from dibs.report.sweep import sweep_view
    from dibs.report.terminal import console
    from dibs.scoring.statistics import SEED
    from dibs.sweep.run import sweep as run
    from dibs.workspace import Workspace

    place = Workspace.find(workspace)
    choices = Choices(
        template=template,
        settings=tuple(settings or ()),
        trust_remote_code=trust_remote_code,
        backend=backend,
        precision=precision,
    )
    trials = Trials(
        over=tuple(over or ()),
        prompts=(*(query_prompt or ()), *(_lines(query_prompts) if query_prompts else ())),
        weights=weights,
        fusion=fusion,
        share=development,
        seed=SEED if seed is None else seed,
    )
    swept = run(planned(model, task, trials, choices, place), place)
    if as_json:
        typer.echo(json.dumps(as_object(swept.record), indent=2, ensure_ascii=False))
        return
    for part in sweep_view(swept.record, reused=swept.reused):
        console().print(part)


def _lines(path: Path) -> list[str]:
    """The prompts in a file; blanks at their ends count, and empty lines do not."""
    from dibs.errors import InputError

    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", where=str(path), todo="Make it UTF-8 text.") from None
    found = [line.removesuffix("\r") for line in lines if line.strip()]
    if not found:
        raise InputError("has no query prompt", where=str(path), todo="Write one a line.")
    return found
