"""What `dibs finetune` and `dibs sweep-finetune` share: what is trained, its gates, and its measuring."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dibs.cli.words import option_words

if TYPE_CHECKING:
    from dibs.records import Record
    from dibs.report.finetuned import Gain
    from dibs.resolve import Task
    from dibs.training.finetune import Job
    from dibs.training.outcome import Outcome
    from dibs.training.pairs import PairSet
    from dibs.training.settings import Settings
    from dibs.workspace import Workspace


def guarded(pairs: PairSet, names: list[str] | None, place: Workspace) -> list[Task]:
    """The tasks to measure on, none of which the pairs leak.

    Raises:
        InputError: they do, or a task is not known; MissingError: its data is not here.
    """
    from dibs import resolve
    from dibs.cards.task import TaskCard
    from dibs.ready import task_lacks
    from dibs.training.documents import of_task
    from dibs.training.gates import refuse_leakage
    from dibs.training.leakage import as_test

    here = [
        card.name
        for card in place.cards(TaskCard)
        if isinstance(card, TaskCard) and not task_lacks(card, place)
    ]
    tasks = [resolve.task(name, place) for name in (here if names is None else names)]
    tests = [as_test(t.dataset, of_task(t.card, t.dataset, template=None, group=None)) for t in tasks]
    refuse_leakage(pairs, tests)
    return tasks


def planned(
    model: str,
    pairs: PairSet,
    settings: Settings,
    name: str | None,
    place: Workspace,
    *,
    trust_remote_code: bool,
) -> Job:
    """What is to be trained.

    Raises:
        InputError: nobody knows a model, or the new one's name is taken; MissingError: it is not here.
    """
    from dibs import resolve
    from dibs.cards.model import ModelCard
    from dibs.cards.task import Documents, Source, TaskCard
    from dibs.choices import Choices
    from dibs.errors import InputError
    from dibs.files import digest
    from dibs.training.finetune import Job
    from dibs.training.outcome import HOME, outcome
    from dibs.training.roundtrip import asked_of

    of_task = pairs.manifest.get("task")
    instruction = (
        place.card(TaskCard, of_task).query_prompt if of_task in place.card_files(TaskCard) else None
    )
    card = TaskCard(
        name="pairs",
        description="The pairs' own documents.",
        source=Source(kind="pairs"),
        documents=Documents(template="{text}"),
        query_prompt=instruction,
        max_tokens=settings.max_tokens,
        licence="not stated",
        citation="none",
    )
    own = resolve.Task(card, asked_of(pairs.of("train"), None))
    choices = Choices(trust_remote_code=trust_remote_code)
    base = resolve.work(model, own, choices, place)
    if not isinstance(base.model, ModelCard):
        raise InputError("cannot be finetuned", where=model)
    mined = None
    if settings.negatives:
        mined = base if settings.miner is None else resolve.work(settings.miner, own, choices, place)
    job = Job(
        name=name or "",
        base=base.model,
        pairs=pairs,
        settings=settings,
        cache=place.cache,
        instruction=instruction or "",
        miner=mined,
        trust_remote_code=trust_remote_code,
        command=_command(model, pairs.name, name, settings),
    )
    job = job if name else replace(job, name=f"{base.model.name[:80]}-ft-{digest(job.inputs())[:8]}")
    taken = job.name in place.card_files(ModelCard) and outcome(place.root / HOME, job.name) is None
    if taken or resolve.card_name(job.name) != job.name:
        problem = "a model has that name" if taken else "is no name of a card"
        raise InputError(
            problem, where=job.name, todo="Give another with --name, of letters, digits, . _ and -."
        )
    return job


def measured(
    found: Outcome, base: str, tasks: list[Task], place: Workspace, *, trust_remote_code: bool
) -> list[Gain]:
    """Base and finetuned model on the tasks, each a record; the model card in the folder says it all."""
    from dibs import resolve
    from dibs.choices import Choices
    from dibs.evaluate import evaluate
    from dibs.files import write_bytes
    from dibs.report.finetuned import gains, model_card

    choices = Choices(trust_remote_code=trust_remote_code)

    def record(model: str, task: Task) -> Record:
        return evaluate(resolve.work(model, task, choices, place), place).record

    readme = found.folder / "README.md"
    if not readme.exists():  # the measuring takes long, and may be stopped
        write_bytes(readme, model_card(found, []).encode())
    made = gains(found, [(record(base, task), record(found.name, task)) for task in tasks], place)
    write_bytes(readme, model_card(found, made).encode())
    return made


def refuse_no_better(found: Outcome) -> None:
    """The last gate: the model is kept and marked, and the command fails.

    Raises:
        InputError: the model is no better than its base on the development pairs.
    """
    from dibs.errors import InputError

    if not found.improved:
        raise InputError(
            "it is no better than its base on the development pairs; it is kept, and marked so",
            where=found.name,
            todo="Try other settings, or more or better pairs.",
        )


def _command(model: str, pairs: str, name: str | None, settings: Settings) -> str:
    words = ["dibs", "finetune", "--model", named(model), "--pairs", pairs]
    words += ["--name", name] if name else []
    return shlex.join([*words, *option_words(settings)])


def named(model: str) -> str:
    """A model as a command names it: a folder without where it lies."""
    return Path(model).name if Path(model).is_absolute() else model
