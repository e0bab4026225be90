"""`dibs filter`: fewer and better training pairs, and none that leaks a test."""

from __future__ import annotations

import json
import shlex
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dibs.cli.options import BatchOption, JsonOption, NoWaitOption, WorkspaceOption, waits

if TYPE_CHECKING:
    from dibs.encoders.base import Encoder
    from dibs.resolve import Task
    from dibs.training.pairs import PairSet
    from dibs.training.steps import RoundTripStep, Step
    from dibs.workspace import Workspace

_ENCODER = "all-MiniLM-L6-v2"
_NONE = "none"


def filter_(
    pairs: Annotated[
        str, typer.Argument(help="Pairs by their folder or their name in pairs/, with or without its hash.")
    ],
    judge: Annotated[
        str | None, typer.Option(help="The LLM that judges each query, by its card's name.")
    ] = None,
    round_trip: Annotated[
        str | None,
        typer.Option(
            "--round-trip", help="The model that has to find a document by its query, such as bm25."
        ),
    ] = None,
    k: Annotated[int, typer.Option("--k", min=1, max=100, help="Among how many documents.")] = 10,
    near_duplicates: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="The similarity of words from which on a query is left out; 0 is off."
        ),
    ] = 0.9,
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task",
            "-t",
            help="A task whose test queries may not leak; may be repeated.",
            show_default="the task that the pairs are of",
        ),
    ] = None,
    cosine_model: Annotated[
        str, typer.Option(help="What compares queries with those of the test; none compares words alone.")
    ] = _ENCODER,
    batch_api: BatchOption = False,
    no_wait: NoWaitOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what judging all pairs would cost, and ask nothing.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Leave out pairs that leak a test, repeat each other, do not find their document, or a judge rejects.

    The filters work in that order, each on what is left. What they leave is a set of its own, with the
    rejects and the leakage report beside it.

    Example: dibs filter FinanceBench-structure --round-trip bm25 --k 20
    """
    from dibs.cards.model import LLMCard
    from dibs.errors import InputError
    from dibs.llm.chat import make_llm
    from dibs.llm.waiting import all_back
    from dibs.report import training as report
    from dibs.training.filter import filter_pairs
    from dibs.training.pairs import find_pairs, read_rejects
    from dibs.training.steps import DuplicatesStep, JudgeStep
    from dibs.workspace import Workspace

    place = Workspace.find(workspace)
    source = find_pairs(pairs, place)
    if dry_run:
        if judge is None:
            raise InputError("--dry-run says what a judge costs; name one with --judge")
        llm = make_llm(place.card(LLMCard, judge), place.cache)
        ahead = {llm.name: JudgeStep(llm).estimate(source.pairs)}
        _show(report.cost_rows(ahead) if as_json else report.cost_view(ahead), as_json)
        return
    tasks = _tasks(source, task, place)
    steps: list[Step] = [*_guards(tasks, cosine_model, place)]
    if near_duplicates:
        steps.append(DuplicatesStep(near_duplicates))
    if round_trip is not None:
        steps.append(_round_trip(round_trip, k, source, place))
    if judge is not None:
        steps.append(JudgeStep(make_llm(place.card(LLMCard, judge), place.cache, batch=batch_api)))
    elif batch_api:
        raise InputError("--batch-api is for a judge; name one with --judge")
    words = ["dibs", "filter", source.name, *(word for name in tasks for word in ("--task", name))]
    words += [*(("--judge", judge) if judge else ()), "--cosine-model", cosine_model]
    words += [*(("--round-trip", round_trip, "--k", str(k)) if round_trip else ())]
    words += ["--near-duplicates", str(near_duplicates)]
    filtering = partial(filter_pairs, source, steps, place, shlex.join(words))
    (done,) = all_back([filtering], wait=waits(batch_api, no_wait))
    name = f"pairs/{done.pairs.name}"
    rejects = read_rejects(place.root / "pairs" / done.pairs.name)
    shown = (
        report.as_json(done.pairs, name, rejects)
        if as_json
        else report.filtered_view(done.pairs, name, rejects, reused=done.reused)
    )
    _show(shown, as_json)


def _show(shown: Any, as_json: bool) -> None:
    from dibs.report.terminal import console

    if as_json:
        typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    for part in shown:
        console().print(part)


def _tasks(source: PairSet, named: list[str] | None, place: Workspace) -> dict[str, Task]:
    """The tasks whose queries may not leak: those named, and always the one that the pairs are of."""
    from dibs import resolve

    own = source.manifest.get("task")
    names = list(dict.fromkeys([*([own] if own else []), *(named or [])]))
    if not names:
        typer.echo(
            "warning: no task is guarded against leakage: these pairs are of a folder; --task names one",
            err=True,
        )
    found = [resolve.task(name, place) for name in names]
    return {task.card.name: task for task in found}


def _guards(tasks: dict[str, Task], model: str, place: Workspace) -> list[Step]:
    from dibs.training.documents import of_task
    from dibs.training.leakage import as_test
    from dibs.training.steps import LeakageStep

    steps: list[Step] = []
    for task in tasks.values():
        collection = of_task(task.card, task.dataset, template=None, group=None)
        encoder = None if model == _NONE else _encoder(model, task, place)
        steps.append(LeakageStep(as_test(task.dataset, collection), encoder, place.cache))
    return steps


def _encoder(name: str, task: Task, place: Workspace) -> Encoder:
    """The encoder of that name.

    Raises:
        InputError: it is no encoder; MissingError: it is not here.
    """
    from dibs import resolve
    from dibs.choices import Choices
    from dibs.errors import InputError, MissingError
    from dibs.retrieval.dense import DenseRetriever

    other = f"Or name another with --cosine-model; {_NONE} compares words alone."
    try:
        retriever = resolve.work(name, task, Choices(), place).retriever
    except MissingError as error:
        todo = f"{error.todo} {other}" if error.todo else other
        raise MissingError(error.problem, where=error.where, todo=todo) from None
    if not isinstance(retriever, DenseRetriever):
        raise InputError("makes no vectors of queries", where=name, todo=other)
    return retriever.encoder


def _round_trip(model: str, k: int, source: PairSet, place: Workspace) -> RoundTripStep:
    """The retriever over the task's corpus, read by the template that the pairs were made with."""
    from dibs import resolve
    from dibs.cards.task import Documents, Source, TaskCard
    from dibs.choices import Choices
    from dibs.training.roundtrip import asked_of
    from dibs.training.steps import RoundTripStep

    name = source.manifest.get("task")
    if name is None:
        card = TaskCard(
            name="pairs",
            description="The pairs' own documents.",
            source=Source(kind="pairs"),
            documents=Documents(template="{text}"),
            licence="not stated",
            citation="none",
        )
        own = resolve.Task(card, asked_of(source.pairs, None))
        return RoundTripStep(resolve.work(model, own, Choices(), place), None, k, place.cache)
    task = resolve.task(name, place)
    made_with = (source.manifest.get("inputs") or {}).get("template")
    variants = task.card.documents.variants
    template = next((name for name, text in variants.items() if text == made_with), None)
    work = resolve.work(model, task, Choices(template=template), place)
    return RoundTripStep(work, task.dataset, k, place.cache)
