"""What a training that was stopped has left: whole checkpoints, and what was evaluated."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from dibs.training.development import Evaluation


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; those after it, which were not, are deleted."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.rpartition("-")[2]))
    for path in found:
        try:
            json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))  # it is written last
        except (OSError, ValueError):
            shutil.rmtree(path)
        else:
            return path
    return None


def kept_evaluations(folder: Path) -> list[Evaluation]:
    """What was evaluated so far, the base first."""
    paths = sorted((folder / "evaluations").glob("*.json"), key=lambda path: int(path.stem))
    values = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return [Evaluation(**one | {"values": tuple(one["values"])}) for one in values]
