"""Reads cards."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from dibs.cards.common import filled
from dibs.cards.model import LLMCard, ModelCard, RerankerCard
from dibs.cards.task import TaskCard
from dibs.toml import read_toml

AnyCard = TypeVar("AnyCard", TaskCard, ModelCard, RerankerCard, LLMCard)


def read_card(kind: type[AnyCard], path: Path) -> AnyCard:
    """Read one card from a TOML file.

    Raises:
        InputError: not readable, not TOML (with its line), or a field is wrong (with its name).
    """
    values = read_toml(
        path,
        absent="Check the path; `dibs tasks` and `dibs models` list the cards there are.",
        malformed='Correct it there: a card has lines such as name = "value".',
    )
    if (
        kind is TaskCard
        and isinstance(values.get("source"), dict)
        and isinstance(values["source"].get("path"), str)
    ):
        values["source"]["path"] = str(path.parent / values["source"]["path"])
    return filled(kind, values, str(path))
