"""What a finetuning leaves: the model's folder, and beside it how it was made.

finetuned/NAME/        the model, as sentence-transformers keeps it
finetuned/NAME.json    how it was made and how training went; written last
models/NAME.toml       its card
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dibs.cards.model import ModelCard
from dibs.errors import DamagedError
from dibs.files import write_bytes
from dibs.workspace import Workspace

HOME = "finetuned"
_LEFT = {
    "name", "adapter", "base", "description", "model", "revision", "package", "package_path", "backend",
    "reference", "query_prompt", "document_prompt",
}  # fmt: skip
"""Fields of the base's card that are not the finetuned model's."""


@dataclass(frozen=True)
class Outcome:
    """A finetuned model on disk."""

    folder: Path
    about: dict[str, Any]
    """What `NAME.json` says."""

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def improved(self) -> bool:
        """Whether it is better than its base on the development pairs."""
        return bool(self.about["development"]["improved"])


def outcome(home: Path, name: str) -> Outcome | None:
    """The finished model of that name in `home`; None if there is none.

    Raises:
        DamagedError: what says how it was made cannot be read.
    """
    path = home / f"{name}.json"
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        todo = f"Delete {path} and finetune again."
        raise DamagedError(f"cannot be read: {error}", where=str(path), todo=todo) from None
    return Outcome(home / name, about) if (home / name).is_dir() else None


def seen_queries(model: str, workspace: Workspace, task: str) -> frozenset[str]:
    """The task's queries of which a gold document was trained on, as the accounts of the model and of those
    that it was finetuned from have them.

    Empty where the model was not finetuned in this workspace.
    """
    seen: set[str] = set()
    names = {model}
    while found := outcome(workspace.root / HOME, model):
        for one in found.about["pairs"]["leakage"] or []:
            seen |= set(one["seen"]["queries"]) if one["task"] == task else set()
        model = str(found.about.get("base", model))
        if model in names:
            break
        names.add(model)
    return frozenset(seen)


def card_of(found: Outcome, base: ModelCard, model: str) -> ModelCard:
    """The card that runs the model; its prompts are those it was trained with.

    Args:
        model: Where its folder is.
    """
    kept = base.model_dump(exclude_defaults=True, exclude=_LEFT)
    made = found.about
    mark = "" if found.improved else " No better than its base on the development pairs."
    return ModelCard.model_validate(
        {
            "name": found.name,
            "adapter": "sentence-transformers",
            "base": base.name,
            "description": f"{base.name}, finetuned on {made['pairs']['train']:,} pairs of "
            f"{made['pairs']['name']}.{mark}",
            "model": model,
            "query_prompt": made["prompts"]["query"],
            "document_prompt": made["prompts"]["document"],
            **kept,
            **({"pooling": made["settings"]["pooling"]} if made["settings"]["pooling"] else {}),
        }
    )


def write_card(found: Outcome, base: ModelCard, workspace: Workspace) -> ModelCard:
    """Write the card into the workspace, so that the model runs by its name."""
    card = card_of(found, base, f"{HOME}/{found.name}")
    values = card.model_dump(mode="json", exclude_defaults=True)
    lines = [f"{name} = {_toml(value)}" for name, value in values.items()]
    write_bytes(workspace.root / "models" / f"{found.name}.toml", ("\n".join(lines) + "\n").encode())
    return card


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(held)}" for key, held in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
