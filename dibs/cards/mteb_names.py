"""What a task and its data are called in MTEB."""

from __future__ import annotations

from typing import NamedTuple

from dibs.cards.task import TaskCard
from dibs.files import digest


def mteb_task_name(card_name: str) -> str:
    """What the task of that card is called in MTEB: `DIBS` and the card's name without hyphens."""
    return f"DIBS{card_name.replace('-', '')}"


class MtebData(NamedTuple):
    """What MTEB's results call the data of a task, and all else that scores depend on but the model."""

    revision: str
    """The data's hash, and one of the rest."""
    subset: str
    """MTEB's result cache compares subsets, and revisions only where a subset is missing (mteb 2.26.24):
    so what has changed has another subset, else the old score would be given back."""


def mteb_data(task: TaskCard, data: str, template: str | None = None) -> MtebData:
    """The names of the data with that identity (the content's SHA-256), as the task now uses them.

    Args:
        template: The name of the document template; None is the default one.
    """
    parts = [data, task.template(template), task.query_prompt, task.max_tokens, task.main_measure]
    name = digest([*parts, *task.measures])[:12]
    return MtebData(f"{data}-{name}", f"dibs-{name}")
