"""`dibs run`: models on tasks, each pair a record."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dibs.cli.options import (
    AddressOption,
    BackendOption,
    BatchOption,
    EngineOption,
    JsonOption,
    NoWaitOption,
    PrecisionOption,
    RemoteCodeOption,
    WorkersOption,
    WorkspaceOption,
    waits,
)

if TYPE_CHECKING:
    from dibs.errors import DibsError
    from dibs.estimate import Estimate
    from dibs.evaluate import Done
    from dibs.workspace import Workspace


def run(
    model: Annotated[
        list[str],
        typer.Option(
            "--model",
            "-m",
            help="A model's name, folder or hub name, or several with + between them; may be repeated.",
        ),
    ],
    task: Annotated[list[str], typer.Option("--task", "-t", help="A task's name; may be repeated.")],
    template: Annotated[
        str | None,
        typer.Option(help="One of the task's document templates, such as FinanceBench's `titled`."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Set a field of the models' cards, such as max_tokens=128; may be repeated."
        ),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Show results by a field of the queries, such as question_type.")
    ] = None,
    fusion: Annotated[
        Literal["rrf", "scores"],
        typer.Option(help="How hybrids are fused: reciprocal ranks, or each query's scores scaled to 0..1."),
    ] = "rrf",
    weights: Annotated[
        str | None, typer.Option(help="Weights of a hybrid's parts, such as 0.3,0.7.", show_default="equal")
    ] = None,
    reranker: Annotated[
        str | None, typer.Option(help="A reranker's name; reorders each pipeline's candidates.")
    ] = None,
    candidates: Annotated[
        str,
        typer.Option(help="How many documents are reranked; several, such as 10,30,100, give a curve."),
    ] = "30",
    top_k: Annotated[
        int | None, typer.Option(min=1, help="Documents kept of a reranked list.", show_default="all")
    ] = None,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Do again what failed for some queries.")
    ] = False,
    trust_remote_code: RemoteCodeOption = False,
    backend: BackendOption = None,
    precision: PrecisionOption = None,
    engine: EngineOption = None,
    address: AddressOption = None,
    workers: WorkersOption = None,
    batch_api: BatchOption = False,
    no_wait: NoWaitOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be encoded, sent and paid; do nothing.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Retrieve with every model on every task, score, and leave a record of each.

    What is recorded is not done again, and no text is embedded twice. A run that was stopped goes on
    where it was.

    Example: dibs run --model bm25 --model all-MiniLM-L6-v2 --task FinanceBench-Sample
    """
    from dibs.choices import Choices
    from dibs.distributed.engine import using_engine
    from dibs.request import Request
    from dibs.workspace import Workspace

    place = Workspace.find(workspace)
    choices = Choices(
        template=template,
        settings=tuple(settings or ()),
        fusion=fusion,
        weights=_weights(weights),
        reranker=reranker,
        top_k=top_k,
        trust_remote_code=trust_remote_code,
        backend=backend,
        precision=precision,
        batch_api=batch_api,
        engine=None if dry_run else engine,
        address=None if dry_run else address,
        workers=None if dry_run else workers,
    )
    wait = waits(batch_api, no_wait)
    request = Request(tuple(model), tuple(task), choices, _candidates(candidates), by, retry_errors, wait)
    if dry_run:
        planned = request.plan(place)
        _print_plan([step for steps in planned.made for step in steps], as_json)
        _fail(planned.failures)
    else:
        with using_engine(engine, address, workers):
            tried = request.run(place)
        print_done(tried.made, by, place, as_json)
        _fail(tried.failures)


def _fail(failures: list[DibsError]) -> None:
    """Say all; the first decides how the command leaves, and what is only with a provider comes last."""
    failures = sorted(failures, key=lambda failure: not failure.exit_code)
    for failure in failures[1:]:
        typer.echo(f"error: {failure}" if failure.exit_code else str(failure), err=True)
    if failures:
        raise failures[0]


def _print_plan(planned: list[Estimate], as_json: bool) -> None:
    from dibs.report.plan import plan_rows, plan_table
    from dibs.report.terminal import console

    if as_json:
        typer.echo(json.dumps(plan_rows(planned), indent=2, ensure_ascii=False))
        return
    for part in plan_table(planned):
        console().print(part)


def _candidates(text: str) -> tuple[int, ...]:
    from dibs.errors import InputError

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        problem = f"--candidates {text}: not whole numbers with commas between"
        raise InputError(problem, todo="Such as 30, or 10,30,100.") from None


def _weights(text: str | None) -> tuple[float, ...] | None:
    from dibs.errors import InputError

    if text is None:
        return None
    try:
        weights = tuple(float(part) for part in text.split(","))
        if not all(map(math.isfinite, weights)):
            raise ValueError
        return weights
    except ValueError:
        raise InputError(
            f"--weights {text}: not numbers with commas between", todo="Such as 0.3,0.7."
        ) from None


def print_done(done: list[Done], by: str | None, place: Workspace, as_json: bool) -> None:
    """The records, those of the pipelines they are made of among them, as a table or as JSON."""
    from dibs.report.tables import as_rows, run_tables
    from dibs.report.terminal import console
    from dibs.request import with_parts

    rows = with_parts(done)
    if as_json:
        typer.echo(json.dumps(as_rows([one.record for one in rows], by, place), indent=2, ensure_ascii=False))
        return
    for table in run_tables(rows, by, place):
        console().print(table)
