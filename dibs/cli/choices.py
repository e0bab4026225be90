"""What a user chooses besides models and tasks, and the command that says it again."""

from __future__ import annotations

import shlex
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from dibs.cards import Backend, Precision
from dibs.errors import InputError


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
            if name == "settings":
                words += [word for text in value for word in ("--set", text)]
            elif name == "weights" and value is not None:
                words += [option, ",".join(map(str, value))]
            elif value is True:
                words.append(option)
            elif value and value != getattr(Choices, name):
                words += [option, str(value)]
        return shlex.join(words)
