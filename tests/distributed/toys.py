"""A worker that does as it is told: workers import it by its name."""

from __future__ import annotations

import os
import time
from pathlib import Path

from dibs.errors import InputError


class ToyWorker:
    """Doubles numbers. It takes a moment to begin, and leaves a file of its process's number when it has."""

    def __init__(self, folder: Path, stillborn: bool) -> None:
        self._folder, self._stillborn = folder, stillborn
        time.sleep(0.2)
        (folder / f"begun-{os.getpid()}").touch()

    def start(self) -> int:
        if self._stillborn:
            os._exit(1)
        return os.getpid()

    def plan(self, count: int) -> list[int]:
        return list(range(count))

    def encode(self, number: int) -> int:
        """Twice the number; 13 kills, 7 kills once, and a negative one is refused."""
        seen = self._folder / str(number)
        if number == 13 or (number == 7 and not seen.exists()):
            seen.touch()
            os._exit(1)
        if number < 0:
            raise InputError("is less than nothing", where=str(number), todo="Give another.")
        return 2 * number
