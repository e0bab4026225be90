"""What is known of a task's data without opening it, for lists that are to answer at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dibs.cards.task import TaskCard
from dibs.files import digest


def is_prepared(card: TaskCard, folder: Path) -> bool:
    """Whether the data set below `folder` is of this card; its files are not looked into."""
    try:
        version = (folder / "current").read_text(encoding="utf-8").strip()
        stated = json.loads((folder / version / "dataset.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(stated, dict) and is_current(card, stated.get("source"), stated.get("sha256"))


def is_current(card: TaskCard, source: object, sha256: object) -> bool:
    """Whether data is the card's: made from the source as it now is, or of the content that is expected."""
    return source == source_state(card) or (sha256 is not None and sha256 == card.expect.sha256)


def how_to_get(card: TaskCard) -> str:
    """The command that brings the task's data."""
    if not card.released:
        return f"Its data was never released. With a copy: dibs data prepare {card.name} --from FOLDER"
    return f"Run: dibs data prepare {card.name}" + (
        "" if card.source.repository or card.source.repositories else " --from FOLDER"
    )


def source_state(card: TaskCard) -> dict[str, Any]:
    """What the data was made from: the source, and the state of the card's own files if it has some."""
    values = card.source.model_dump(mode="json", exclude_defaults=True)
    if card.source.path is not None:
        home = Path(card.source.path)
        files = [home] if home.is_file() else sorted(home.rglob("*"))
        states = [(file, file.stat()) for file in files if file.is_file()]
        values["path"] = home.name
        values["state"] = digest(
            [[file.relative_to(home).as_posix(), state.st_size, state.st_mtime_ns] for file, state in states]
        )
    return values
