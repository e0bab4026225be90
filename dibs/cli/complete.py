"""What the shell offers after TAB: names of tasks, models, records. Only the names of files are read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

import dibs

VARIABLE = "_DIBS_COMPLETE"
"""The environment variable by which a shell asks."""
_PACKAGE = Path(dibs.__file__).parent
_BUILTIN = _PACKAGE / "builtin" if (_PACKAGE / "builtin").is_dir() else _PACKAGE.parent
# As in `dibs.workspace`, whose import takes longer than a TAB may.

Complete = Callable[[typer.Context, str], list[str]]


def attach(app: typer.Typer) -> None:
    """Give every parameter whose name says what it takes the names to choose from."""
    groups = [group.typer_instance for group in app.registered_groups]
    for one in (app, *filter(None, groups)):
        for command in one.registered_commands:
            if command.callback is not None:
                _attach(command.callback)


def _attach(callback: Callable[..., Any]) -> None:
    hints = get_type_hints(callback, include_extras=True)
    for name, hint in hints.items():
        for about in getattr(hint, "__metadata__", ()):
            if isinstance(about, OptionInfo | ArgumentInfo) and name in _COMPLETE:
                served = callback.__name__ == "serve" and name == "model"
                about.autocompletion = _COMPLETE["generator" if served else name]
    callback.__annotations__ = hints  # typer reads them again, and would make others of the text


def _cards(folder: str, *more: str, between: str = "") -> Complete:
    """Names of cards, and `more`; after one of the signs `between`, the next of several in one word."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        cut = max((incomplete.rfind(sign) + 1 for sign in between), default=0)
        done, begun = incomplete[:cut], incomplete[cut:]
        homes = (_BUILTIN / folder, _workspace(ctx) / folder)
        names = {*more, *(path.stem for home in homes for path in home.glob("*.toml"))}
        return [f"{done}{name}" for name in sorted(names, key=str.lower) if name.startswith(begun)]

    return complete


def _records(ctx: typer.Context, incomplete: str) -> list[str]:
    """TASK/PIPELINE of each record."""
    names = {f"{path.parent.name}/{path.name}" for path in _pipelines(_workspace(ctx) / "results")}
    return [name for name in sorted(names) if name.startswith(incomplete)]


def _pipelines(results: Path) -> Iterator[Path]:
    return (path for path in results.glob("*/*") if path.is_dir() and not path.name.startswith("."))


def _pairs(ctx: typer.Context, incomplete: str) -> list[str]:
    names = sorted(path.name for path in (_workspace(ctx) / "pairs").glob("*") if path.is_dir())
    return [name for name in names if name.startswith(incomplete)]


def _fields(ctx: typer.Context, incomplete: str) -> list[str]:
    """Fields of a model's card, for --set."""
    from dibs.cards.model import ModelCard

    return [f"{name}=" for name in ModelCard.model_fields if name != "name" and name.startswith(incomplete)]


def _workspace(ctx: typer.Context) -> Path:
    return Path(ctx.params.get("workspace") or os.environ.get("DIBS_WORKSPACE") or Path.cwd())


_COMPLETE: dict[str, Complete] = {
    "task": _cards("tasks"),
    "model": _cards("models", between="+"),
    "reranker": _cards("rerankers"),
    "generator": _cards("models/llm"),
    "judge": _cards("models/llm", "rules", between=",+"),
    "retrieval": _records,
    "record": _records,
    "records": _records,
    "first": _records,
    "second": _records,
    "pairs": _pairs,
    "settings": _fields,
}
"""By the names of commands' parameters, which say the same everywhere."""
