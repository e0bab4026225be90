"""`dibs tasks`, `models`, `rerankers`, `llms`: what there is, and what it lacks to run here."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import typer

from dibs.cli.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from dibs.errors import DibsError


def tasks(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the tasks, and how to get the data of those that are not ready.

    Example: dibs tasks
    """
    from dibs.listed import task_rows
    from dibs.workspace import Workspace

    columns = ("task", "queries", "documents", "ready", "description", "get")
    _show(task_rows(Workspace.find(workspace)), as_json, columns)


def models(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the models, and how to get what those that are not ready lack.

    Besides these, --model takes a folder or hub name of a sentence-transformers model, and any
    model of MTEB's registry.

    Example: dibs models --json
    """
    from dibs.cards.model import ModelCard
    from dibs.listed import model_rows
    from dibs.workspace import Workspace

    rows = model_rows("model", Workspace.find(workspace).cards(ModelCard))
    _show(rows, as_json, ("model", "adapter", "dimension", "max_tokens", "ready", "get"))


def rerankers(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the rerankers, and how to get what those that are not ready lack.

    Example: dibs rerankers
    """
    from dibs.cards.model import RerankerCard
    from dibs.listed import model_rows
    from dibs.workspace import Workspace

    rows = model_rows("reranker", Workspace.find(workspace).cards(RerankerCard))
    _show(rows, as_json, ("reranker", "adapter", "max_tokens", "ready", "get"))


def llms(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the chat models that can answer and judge, and how to get what those that are not ready lack.

    Example: dibs llms
    """
    from dibs.cards.model import LLMCard
    from dibs.listed import model_rows
    from dibs.workspace import Workspace

    prices = ("usd_per_million_tokens", "usd_per_million_output_tokens")
    rows = model_rows("llm", Workspace.find(workspace).cards(LLMCard))
    _show(rows, as_json, ("llm", "adapter", "context_tokens", *prices, "ready", "get"))


def _show(found: Iterable[dict[str, Any] | DibsError], as_json: bool, columns: tuple[str, ...]) -> None:
    from dibs.errors import DibsError

    rows = []
    for row in found:
        if isinstance(row, DibsError):
            typer.echo(f"warning: {row}", err=True)
        else:
            rows.append(row)
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    from dibs.report.terminal import console, plain_table

    console().print(plain_table(rows, columns))
