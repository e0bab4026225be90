"""From the names a user gives to a task's data and to a pipeline that can run."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from dibs import plugins
from dibs.cards.model import ModelCard, RerankerCard
from dibs.cards.task import TaskCard
from dibs.choices import Choices
from dibs.data.dataset import Dataset
from dibs.data.prepare import ensure
from dibs.distributed.engine import find_engine
from dibs.encoders.auto import choose
from dibs.encoders.base import Encoder, EncoderContext, make_encoder
from dibs.errors import InputError
from dibs.evaluate import Work
from dibs.files import slug
from dibs.progress import say
from dibs.retrieval.approximate import Approximate
from dibs.retrieval.base import Retriever
from dibs.retrieval.dense import DenseRetriever
from dibs.retrieval.hybrid import HybridRetriever
from dibs.retrieval.reranked import RerankingRetriever
from dibs.retrieval.rerankers.base import make_reranker
from dibs.training.outcome import seen_queries
from dibs.workspace import Workspace


@dataclass(frozen=True)
class Task:
    """A task and its data."""

    card: TaskCard
    dataset: Dataset
    own_ids: int = 0
    """Queries whose own id is also a document's, which MTEB leaves out of their rankings."""


def task(name: str, workspace: Workspace) -> Task:
    """The task of that name: one of the workspace's cards, else one of MTEB's retrieval tasks.

    Of an MTEB task with several subsets, `NAME:SUBSET` is one.

    Raises:
        InputError: nobody knows it; the nearest names are told.
        MissingError: its data has to be prepared first.
    """
    try:
        card = workspace.card(TaskCard, name)
    except InputError:
        if name in workspace.card_files(TaskCard):
            raise
        from dibs import mteb

        theirs, _, subset = name.partition(":")
        if not mteb.has_task(theirs):
            raise
        found = mteb.task_from_mteb(theirs, workspace, subset=subset or None)
        return Task(found.card, found.dataset, found.own_ids)
    return Task(card, ensure(card, workspace))


def work(
    name: str, task: Task, choices: Choices, workspace: Workspace, *, retry_errors: bool = False
) -> Work:
    """The pipeline `name` on that task, reranked if the user chose a reranker.

    Raises:
        InputError: nobody knows a model, or a choice does not fit; MissingError: it is not here.
    """
    first = _first_stage(
        name, task, replace(choices, reranker=None, candidates=Choices.candidates, top_k=None), workspace
    )
    if choices.reranker is None:
        return first
    card = workspace.card(RerankerCard, choices.reranker)
    reranker = make_reranker(card, context(task, choices, workspace))
    retriever = RerankingRetriever(first.retriever, reranker, choices.candidates, choices.top_k)
    command = choices.command(name, task.card.name)
    return replace(
        first, retriever=retriever, model=card, parts=(first,), command=command, retry_errors=retry_errors
    )


def _first_stage(name: str, task: Task, choices: Choices, workspace: Workspace) -> Work:
    """A model, or several with `+` between them, which are fused.

    Raises:
        InputError: nobody knows a model, or a choice does not fit; MissingError: it is not here.
    """
    names = _parts(name, workspace)
    command = choices.command(name, task.card.name)
    if len(names) == 1:
        if choices.weights is not None:
            raise InputError("--weights are for hybrids, such as --model bm25+all-MiniLM-L6-v2", where=name)
        card, retriever = _model(name, task, choices, workspace)
        seen = seen_queries(card.name, workspace, task.card.name) if card.base else frozenset()
        return Work(task.card, task.dataset, retriever, card, choices.template, (), command, seen=seen)
    alone = replace(choices, weights=None, fusion=Choices.fusion)
    parts = tuple(_first_stage(part, task, alone, workspace) for part in names)
    hybrid = HybridRetriever(tuple(part.retriever for part in parts), choices.fusion, choices.weights)
    card = ModelCard(name=card_name("-".join(names)), adapter="hybrid")
    seen = frozenset[str]().union(*(part.seen for part in parts))
    return Work(task.card, task.dataset, hybrid, card, choices.template, parts, command, seen=seen)


def _parts(name: str, workspace: Workspace) -> list[str]:
    """The models that a name is made of; a card's or folder's name may itself hold a `+`."""
    if not name.strip():
        raise InputError("--model has no name", todo="dibs models lists them.")
    if "+" not in name or name in workspace.card_files(ModelCard) or Path(name).exists():
        return [name]
    parts = [part.strip() for part in name.split("+")]
    if not all(parts):
        raise InputError(
            "a part of the hybrid has no name", where=name, todo="Such as bm25+all-MiniLM-L6-v2."
        )
    return parts


def _model(name: str, task: Task, choices: Choices, workspace: Workspace) -> tuple[ModelCard, Retriever]:
    """A card, a folder, a hub name, or a model of MTEB's registry, and what runs it."""
    card = _card(name, workspace)
    if card is None:
        from dibs import mteb

        if mteb.has_model(name):
            if choices.settings:
                raise InputError("--set changes cards; a model of MTEB's registry has none", where=name)
            _refuse(name, choices)
            card = ModelCard(name=card_name(name), adapter="mteb", model=name)
            return card, _without_own_ids(_mteb_retriever(name, task.card, choices), task)
        card = ModelCard(name=card_name(name), adapter="sentence-transformers", model=name)
    card = card.with_settings(choices.fields())
    if card.adapter in plugins.names("retriever"):
        _refuse(name, choices)
        return card, pipeline(card, task, context(task, choices, workspace))
    place = context(task, choices, workspace)
    card = card.running(None if choices.backend == "auto" else choices.backend, choices.precision)
    if choices.backend == "auto":
        chosen = choose(card, place)
        say(chosen.line)
        return chosen.card, _without_own_ids(DenseRetriever(chosen.encoder, Approximate.of(card)), task)
    return card, pipeline(card, task, place)


def pipeline(card: ModelCard, task: Task, place: EncoderContext) -> Retriever:
    """What runs that card on that task.

    Raises:
        InputError: the card does not suit its adapter; MissingError: a package, key or model is not here.
    """
    if card.adapter in plugins.names("retriever"):
        if Approximate.of(card):
            raise InputError("stored and index are for models with vectors", where=card.name)
        return _without_own_ids(plugins.load("retriever", card.adapter)(card), task)
    return _without_own_ids(DenseRetriever(make_encoder(card, place), Approximate.of(card)), task)


def context(task: Task, choices: Choices, workspace: Workspace) -> EncoderContext:
    """What the task and the user say to encoders and rerankers."""
    return EncoderContext(
        cache=workspace.cache,
        instruction=task.card.query_prompt or "",
        max_tokens=task.card.max_tokens,
        trust_remote_code=choices.trust_remote_code,
        batch=choices.batch_api,
        engine=find_engine(choices.engine, choices.address, choices.workers),
    )


def _without_own_ids(retriever: Retriever, task: Task) -> Retriever:
    if not task.own_ids:
        return retriever
    from dibs import mteb

    return mteb.WithoutOwnIds(retriever)


def _refuse(name: str, choices: Choices) -> None:
    """What is not an encoder of ours has no backend and no precision to choose; `auto` leaves it alone."""
    if choices.precision or choices.backend not in (None, "auto"):
        raise InputError("--backend and --precision are for local models with a card", where=name)


def _card(name: str, workspace: Workspace) -> ModelCard | None:
    """A card by its name or by the hub name it holds, or one for a folder; None for another hub name."""
    if Path(name).is_dir() and name not in workspace.card_files(ModelCard):
        folder = str(Path(name).resolve())
        return ModelCard(name=card_name(folder), adapter="sentence-transformers", model=folder)
    if "/" not in name:
        return workspace.card(ModelCard, name)
    for card in workspace.cards(ModelCard):
        if isinstance(card, ModelCard) and card.model == name:
            return card
    return None


def _mteb_retriever(name: str, task: TaskCard, choices: Choices) -> Retriever:
    from dibs import mteb

    made = mteb.model_from_mteb(
        name,
        instruction=task.query_prompt or "",
        language=task.language,
        trust_remote_code=choices.trust_remote_code,
    )
    return DenseRetriever(made) if isinstance(made, Encoder) else made


def card_name(name: str) -> str:
    """The end of a path or hub name, as a card may be called."""
    return re.sub(r"[=+]", "-", slug(name.rpartition("/")[2])).lstrip("_.-")[:100] or "unnamed"
