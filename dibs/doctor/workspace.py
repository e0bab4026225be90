"""The tasks and models of a workspace, and what each lacks."""

from __future__ import annotations

from collections.abc import Iterator

from dibs.cards.model import AdapterCard, LLMCard, ModelCard, RerankerCard
from dibs.cards.task import TaskCard
from dibs.doctor.findings import Finding
from dibs.errors import DibsError
from dibs.ready import model_lacks, task_lacks
from dibs.workspace import Workspace


def task_findings(workspace: Workspace) -> Iterator[Finding]:
    """Whether each task's data is here."""
    for card in workspace.cards(TaskCard):
        if isinstance(card, DibsError):
            yield _malformed("tasks", card)
        elif lacks := task_lacks(card, workspace):
            yield Finding(
                "tasks", card.name, "missing", "its data is not prepared", lacks.removeprefix("Run: ")
            )
        else:
            yield Finding("tasks", card.name, "ready", "its data is here")


def model_findings(workspace: Workspace) -> Iterator[Finding]:
    """Whether each model, reranker and LLM has its package, key and weights."""
    for area, card in _cards(workspace):
        if isinstance(card, DibsError):
            yield _malformed(area, card)
        elif lacks := model_lacks(card):
            yield Finding(area, card.name, "missing", card.adapter, lacks)
        else:
            yield Finding(area, card.name, "ready", card.adapter)


def adapter_cards(workspace: Workspace) -> list[AdapterCard]:
    """All cards of models, rerankers and LLMs that can be read."""
    return [card for _, card in _cards(workspace) if not isinstance(card, DibsError)]


def _cards(workspace: Workspace) -> Iterator[tuple[str, AdapterCard | DibsError]]:
    yield from (("models", card) for card in workspace.cards(ModelCard))
    yield from (("rerankers", card) for card in workspace.cards(RerankerCard))
    yield from (("llms", card) for card in workspace.cards(LLMCard))


def _malformed(area: str, error: DibsError) -> Finding:
    return Finding(area, error.where or "card", "broken", error.problem, error.todo)
