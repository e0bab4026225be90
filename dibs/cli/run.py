"""`dibs run`: models on tasks, each pair a record."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dibs.cli.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from dibs.cli.choices import Choices
    from dibs.estimate import Estimate
    from dibs.evaluate import Done
    from dibs.workspace import Workspace

_Backend = Literal["auto", "torch", "onnxruntime", "openvino"]
_Precision = Literal["float32", "bfloat16"]


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
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that comes with a model.")
    ] = False,
    backend: Annotated[
        _Backend | None,
        typer.Option(
            help="What runs local models, if not what their cards say; auto takes the fastest that is "
            "installed and gives torch's vectors, and says so.",
        ),
    ] = None,
    precision: Annotated[
        _Precision | None,
        typer.Option(
            help="What local models compute in; another than the card's is named in the results. bfloat16 "
            "is faster on processors with AMX, and slower on others."
        ),
    ] = None,
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
    from dibs.cli.choices import Choices
    from dibs.errors import DibsError, InputError
    from dibs.workspace import Workspace

    place = Workspace.find(workspace)
    plain = Choices(
        template=template,
        settings=tuple(settings or ()),
        fusion=fusion,
        weights=_weights(weights),
        trust_remote_code=trust_remote_code,
        backend=backend,
        precision=precision,
    )
    curve = [replace(plain, reranker=reranker, candidates=c, top_k=top_k) for c in _candidates(candidates)]
    if reranker is None:
        for option, given in (
            ("--candidates", candidates != "30"),
            ("--top-k", top_k is not None),
            ("--retry-errors", retry_errors),
        ):
            if given:
                raise InputError(f"{option} is for rerankers", todo="Name one with --reranker.")
    done: list[Done] = []
    planned: list[Estimate] = []
    failures: list[DibsError] = []
    for task_name, model_name, choices in product(task, model, curve if reranker else [plain]):
        try:
            if dry_run:
                planned += _planned(model_name, task_name, choices, place)
            else:
                done.append(_one(model_name, task_name, choices, by, place, retry_errors))
        except DibsError as error:  # the other pairs are still worth having
            failures.append(error)
    if dry_run:
        _print_plan(planned, as_json)
    else:
        print_done(done, by, place, as_json)
    for failure in failures[1:]:
        typer.echo(f"error: {failure}", err=True)
    if failures:
        raise failures[0]


def _one(
    model: str, task: str, choices: Choices, by: str | None, place: Workspace, retry_errors: bool
) -> Done:
    from dibs.cli import resolve
    from dibs.errors import DibsError
    from dibs.evaluate import evaluate

    found = resolve.task(task, place)
    if by is not None:
        found.dataset.query_field(by)  # refused before the work, not after
    try:
        return evaluate(resolve.work(model, found, choices, place, retry_errors=retry_errors), place)
    except OSError as error:  # a full disk for one pair is no reason to lose the others
        raise DibsError(f"{error.strerror or error}", where=error.filename) from None


def _planned(model: str, task: str, choices: Choices, place: Workspace) -> list[Estimate]:
    from dibs.cli import resolve
    from dibs.estimate import estimates

    return list(estimates(resolve.work(model, resolve.task(task, place), choices, place), place))


def _print_plan(planned: list[Estimate], as_json: bool) -> None:
    from dibs.report.plan import plan_rows, plan_table
    from dibs.report.terminal import console

    if as_json:
        typer.echo(json.dumps(plan_rows(planned), indent=2, ensure_ascii=False))
        return
    for part in plan_table(planned):
        console().print(part)


def _candidates(text: str) -> list[int]:
    """The numbers of candidates, the largest first, so that one pass scores what all of them need."""
    from dibs.errors import InputError

    try:
        return sorted({int(part) for part in text.split(",")}, reverse=True)
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

    rows = list({one.record.name: one for one in _with_parts(done)}.values())
    if as_json:
        typer.echo(json.dumps(as_rows([one.record for one in rows], by, place), indent=2, ensure_ascii=False))
        return
    for table in run_tables(rows, by, place):
        console().print(table)


def _with_parts(done: Iterable[Done]) -> Iterator[Done]:
    """Each record after those of the pipelines it is made of: a hybrid is read beside its parts."""
    for one in done:
        yield from _with_parts(one.parts)
        yield one
