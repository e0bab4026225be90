"""`dibs tasks`, `models`, `rerankers`, `llms`: what there is, and what it lacks to run here."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import typer

from dibs.cli.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from dibs.cards import AdapterCard
    from dibs.errors import DibsError


def tasks(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the tasks, and how to get the data of those that are not ready."""
    from dibs.cards import TaskCard
    from dibs.errors import DibsError
    from dibs.ready import task_lacks
    from dibs.workspace import Workspace

    place, rows = Workspace.find(workspace), []
    for card in place.cards(TaskCard):
        if isinstance(card, DibsError):
            typer.echo(f"warning: {card}", err=True)
            continue
        lacks = task_lacks(card, place)
        rows.append(
            {
                "task": card.name,
                "ready": lacks is None,
                "queries": card.expect.queries,
                "documents": card.expect.documents,
                "stand_in_for": card.stand_in_for,
                "description": card.description,
                "get": lacks,
            }
        )
    _show(rows, as_json, ("task", "queries", "documents", "ready", "description", "get"))


def models(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the models, and how to get what those that are not ready lack.

    Besides these, --model takes a folder or hub name of a sentence-transformers model, and any
    model of MTEB's registry.
    """
    from dibs.cards import ModelCard
    from dibs.workspace import Workspace

    rows = _adapters("model", Workspace.find(workspace).cards(ModelCard))
    _show(rows, as_json, ("model", "adapter", "dimension", "max_tokens", "ready", "get"))


def rerankers(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the rerankers, and how to get what those that are not ready lack."""
    from dibs.cards import RerankerCard
    from dibs.workspace import Workspace

    rows = _adapters("reranker", Workspace.find(workspace).cards(RerankerCard))
    _show(rows, as_json, ("reranker", "adapter", "max_tokens", "ready", "get"))


def llms(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the chat models that can answer and judge, and how to get what those that are not ready lack."""
    from dibs.cards import LLMCard
    from dibs.workspace import Workspace

    prices = ("usd_per_million_tokens", "usd_per_million_output_tokens")
    rows = _adapters("llm", Workspace.find(workspace).cards(LLMCard))
    _show(rows, as_json, ("llm", "adapter", "context_tokens", *prices, "ready", "get"))


def _adapters(kind: str, cards: Iterable[AdapterCard | DibsError]) -> list[dict[str, Any]]:
    from dibs.errors import DibsError
    from dibs.ready import model_lacks

    rows = []
    for card in cards:
        if isinstance(card, DibsError):
            typer.echo(f"warning: {card}", err=True)
            continue
        lacks = model_lacks(card)
        sizes = ("dimension", "max_tokens", "context_tokens")
        prices = ("usd_per_million_tokens", "usd_per_million_output_tokens")
        fields = ("adapter", *sizes, *prices, "description")
        told = {field: getattr(card, field) for field in fields if hasattr(card, field)}
        rows.append({kind: card.name, "ready": lacks is None, **told, "get": lacks})
    return rows


def _show(rows: list[dict[str, Any]], as_json: bool, columns: tuple[str, ...]) -> None:
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    from dibs.report.terminal import console, plain_table

    console().print(plain_table(rows, columns))
