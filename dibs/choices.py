"""What a user chooses besides models and tasks, and the command that says it again."""

from __future__ import annotations

import json
import shlex
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from dibs.cards.model import Backend, Precision
from dibs.errors import InputError

_WHERE = ("engine", "address", "workers", "batch_api")
"""Choices that change no result: a command that is kept leaves them out."""


@dataclass(frozen=True)
class Choices:
    """The options of `dibs run` that change what is run."""

    template: str | None = None
    """One of the task's document templates."""
    settings: tuple[str, ...] = ()
    """Fields of the models' cards to set anew, each as `field=value`."""
    fusion: str = "rrf"
    """How the parts of a hybrid are fused."""
    weights: tuple[float, ...] | None = None
    """One for each part of a hybrid."""
    reranker: str | None = None
    """The name of a reranker's card."""
    candidates: int = 30
    """How many of the first stage's documents it reorders, the study's number."""
    top_k: int | None = None
    """Documents that are kept of what it reordered."""
    trust_remote_code: bool = False
    """The user's word that a model's own code may run."""
    backend: Backend | Literal["auto"] | None = None
    """What runs a local model, if not what its card says; `auto` is the fastest that is here and gives
    torch's vectors."""
    precision: Precision | None = None
    """What a local model computes in, if not what its card says."""
    engine: Literal["ray"] | None = None
    """What has local models run by other processes; None runs them in this one."""
    address: str | None = None
    """Of the engine's cluster; None begins one on this machine."""
    workers: int | None = None
    """The engine's; None is one for each GPU, or each machine."""
    batch_api: bool = False
    """Documents that an API embeds go through its batch interface."""

    def fields(self) -> dict[str, Any]:
        """The settings by the card's fields; a value is read as TOML, and as plain text where it is none.

        Raises:
            InputError: a setting is not of the form field=value.
        """
        fields: dict[str, Any] = {}
        for text in self.settings:
            key, equals, value = text.partition("=")
            if not equals or not key.strip():
                problem = f"--set {text}: is not of the form field=value"
                raise InputError(problem, todo="Such as --set max_tokens=128.")
            try:
                fields[key.strip()] = tomllib.loads(f"value = {value}")["value"]
            except tomllib.TOMLDecodeError:
                fields[key.strip()] = value
        return fields

    def command(self, model: str, task: str) -> str:
        """`dibs run` for one pair, as its record keeps it; a folder is named without where it lies."""
        shown = Path(model).name if Path(model).is_absolute() else model
        words = ["dibs", "run", "--model", shown, "--task", task]
        for name, value in asdict(self).items():
            option = f"--{name.replace('_', '-')}"
            if name in _WHERE:
                continue
            if name == "settings":
                words += [word for text in value for word in ("--set", text)]
            elif name == "weights" and value is not None:
                words += [option, ",".join(map(str, value))]
            elif value is True:
                words.append(option)
            elif value and value != getattr(Choices, name):
                words += [option, str(value)]
        return shlex.join(words)


def setting(field: str, value: Any) -> str:
    """What `--set` takes to give that field that value.

    Raises:
        InputError: TOML has no such value.
    """
    plain = f"{field}={value}"
    if isinstance(value, str) and Choices(settings=(plain,)).fields() == {field: value}:
        return plain
    try:
        return f"{field}={_toml(value)}"
    except (TypeError, ValueError):
        problem = f"{field} cannot be set to {value!r}"
        raise InputError(problem, todo="Give a text, number, truth value, list or dict.") from None


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(held)}" for key, held in value.items()) + "}"
    if value is None:
        raise TypeError
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
