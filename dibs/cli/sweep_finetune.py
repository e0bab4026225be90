"""`dibs sweep-finetune`: the best settings to finetune with, chosen on development, tested once."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from dibs.cli.finetune import Model, Pairs, Tasks
from dibs.cli.options import JsonOption, RemoteCodeOption, WorkspaceOption

if TYPE_CHECKING:
    from dibs.cards.model import ModelCard
    from dibs.evaluate import Work
    from dibs.resolve import Task


def sweep_finetune(
    model: Model,
    pairs: Pairs,
    name: Annotated[
        str | None, typer.Option(help="The chosen model's name.", show_default="the base's, and a hash")
    ] = None,
    trials: Annotated[int, typer.Option(help="Models to train at most.")] = 20,
    over: Annotated[
        list[str] | None,
        typer.Option(
            help="A setting and the values to try, such as learning_rate=1e-5,2e-5, pooling=mean,last or "
            "negatives=0,3; may be repeated.",
            show_default="learning rate, batch size, temperature, and 1 to 3 epochs",
        ),
    ] = None,
    query_prompt: Annotated[
        list[str] | None, typer.Option(help="A query prompt to try; may be repeated.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of all trials, such as mini_batch=16; may be repeated."),
    ] = None,
    task: Tasks = None,
    optimism: Annotated[
        bool,
        typer.Option(help="Measure every trial on the tasks, to say what choosing there would have claimed."),
    ] = True,
    trust_remote_code: RemoteCodeOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Finetune with many settings, keep the best on development, and measure that one.

    Settings have the names of dibs finetune's options, with _ for -. The same command goes on where it
    was stopped, and with more --trials it adds to those there are.

    Example: dibs sweep-finetune --model all-MiniLM-L6-v2 --pairs DocsQA-Sample-structure-filtered --trials 10
    """
    from dibs import resolve
    from dibs.choices import Choices
    from dibs.cli.jobs import guarded, measured, named, planned, refuse_no_better
    from dibs.cli.trials import Trials
    from dibs.evaluate import Work
    from dibs.files import write_json
    from dibs.report.finetuned import as_json as as_object
    from dibs.report.finetuned import finetuned_view, sweep_view
    from dibs.report.terminal import console
    from dibs.training.optimism import optimism as claimed
    from dibs.training.outcome import HOME, write_card
    from dibs.training.pairs import find_pairs
    from dibs.training.settings import Settings
    from dibs.training.tune import SPACE, Search, adopt, tune
    from dibs.workspace import Workspace

    place = Workspace.find(workspace)
    found = find_pairs(pairs, place)
    tasks = guarded(found, task, place)
    space = Trials(over=tuple(over or ()), prompts=tuple(query_prompt or ())).fields() or SPACE
    fixed = Settings().changed(Choices(settings=tuple(settings or ())).fields())
    most = max([fixed.negatives, *(n for n in space.get("negatives", ()) if isinstance(n, int))])
    job = planned(
        model, found, replace(fixed, negatives=most), name, place, trust_remote_code=trust_remote_code
    )
    words = [
        "dibs",
        "sweep-finetune",
        "--model",
        named(model),
        "--pairs",
        found.name,
        "--trials",
        str(trials),
    ]
    for option, given in (("--over", over), ("--query-prompt", query_prompt), ("--set", settings)):
        words += [word for text in given or () for word in (option, text)]
    search = Search(replace(job, settings=fixed, command=shlex.join(words)), space, trials)
    if name is None:
        search = replace(search, job=replace(search.job, name=f"{job.base.name[:80]}-ft-{search.id[:8]}"))
    tried = tune(search, partial(typer.echo, err=True))
    best = adopt(search, tried, place.root / HOME)
    write_card(best, job.base, place)
    made = measured(best, model, tasks, place, trust_remote_code=trust_remote_code)
    if optimism and tasks:

        def work(card: ModelCard, of: Task) -> Work:
            context = resolve.context(of, Choices(trust_remote_code=trust_remote_code), place)
            return Work(of.card, of.dataset, resolve.pipeline(card, of, context), card)

        best.about["sweep"]["tests"] = claimed(
            search, tried, {of.card.name: partial(work, of=of) for of in tasks}
        )
        write_json(best.folder.with_name(f"{best.name}.json"), best.about)
    if as_json:
        typer.echo(json.dumps(as_object(best, made, reused=False), indent=2, ensure_ascii=False))
    else:
        for part in (*sweep_view(best), *finetuned_view(best, made, reused=False)):
            console().print(part)
    refuse_no_better(best)
