"""Base models beside what was finetuned from them, as the study's table has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dibs.report.leaderboard.boards import Board
from dibs.report.leaderboard.entries import Entry


@dataclass(frozen=True)
class Gain:
    """A base model on one board, and the best of its finetuned models there."""

    base: Entry | None
    finetuned: Entry | None
    tried: int
    """Finetuned models that the best was chosen from, on these same queries."""
    p: float | None
    """Of the paired test between the two, not corrected."""

    @property
    def difference(self) -> float | None:
        """The gain in the main measure."""
        return self.finetuned.value - self.base.value if self.base and self.finetuned else None


@dataclass(frozen=True)
class Model:
    """A base model on every board."""

    name: str
    parameters: int | None
    gains: dict[str, Gain]
    """By the board's name; a board that has neither base nor finetuned model is left out."""


def models(boards: Sequence[Board]) -> list[Model]:
    """Every embedding model that searches alone, by name; a finetuned one is with its base."""
    names = {_family(entry) for board in boards for entry in board.entries if _alone(entry)}
    return [_model(name, boards) for name in sorted(names, key=str.lower)]


def _model(name: str, boards: Sequence[Board]) -> Model:
    gains = {board.name: gain for board in boards if (gain := _gain(name, board))}
    shown = [entry for gain in gains.values() for entry in (gain.base, gain.finetuned) if entry]
    parameters = (entry.manifest["model"].get("parameters") for entry in shown)
    return Model(name, next(filter(None, parameters), None), gains)


def _gain(name: str, board: Board) -> Gain | None:
    mine = [entry for entry in board.entries if _alone(entry) and _family(entry) == name]
    base = next((entry for entry in mine if entry.base is None), None)
    tuned = [entry for entry in mine if entry.base]
    if not mine:
        return None
    if base is None or not tuned:
        return Gain(base, tuned[0] if tuned else None, len(tuned), None)
    places = (board.entries.index(base), board.entries.index(tuned[0]))
    return Gain(base, tuned[0], len(tuned), board.comparison.p_value(*places))


def _alone(entry: Entry) -> bool:
    return entry.stage == "dense" and entry.pipeline == entry.manifest["model"]["name"]


def _family(entry: Entry) -> str:
    return entry.base or str(entry.manifest["model"]["name"])
