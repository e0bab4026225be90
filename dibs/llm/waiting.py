"""Waiting for work that is with a provider: each step is done again when there is something to collect."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from dibs.errors import DibsError, ProviderError
from dibs.llm.calls import RESUME
from dibs.llm.pending import PendingError

FIRST, FACTOR, LONGEST = 10.0, 1.5, 300.0
"""Seconds before a provider is asked again, by how much they grow, and the most there are."""
SILENT = 20
"""Times in a row that a provider may give no answer at all."""

_T = TypeVar("_T")


def until_back(
    steps: Sequence[Callable[[], _T]],
    *,
    wait: bool = True,
    sleep: Callable[[float], None] = time.sleep,
) -> list[_T | DibsError]:
    """What each step gives, or the error it ends in; all of them have handed over before any is waited for.

    Args:
        steps: Each goes on from where it was when it is done again.
        wait: If not, steps whose work is with a provider end in their PendingError.

    Raises:
        KeyboardInterrupt: someone has stopped it; it is said that the batches go on.
    """
    ended: dict[int, _T | DibsError] = {}
    pause = FIRST
    while True:
        pending: dict[int, PendingError] = {}
        for place, step in enumerate(steps):
            if place in ended:
                continue
            try:
                ended[place] = step()
            except PendingError as error:
                pending[place] = error
            except DibsError as error:
                ended[place] = error
        if not wait:
            ended |= pending
        if len(ended) == len(steps):
            return [ended[place] for place in range(len(steps))]
        try:
            pause = _wait(PendingError.together(list(pending.values())), pause, sleep)
        except ProviderError as error:
            ended |= dict.fromkeys(pending, error)


def all_back(steps: Sequence[Callable[[], _T]], *, wait: bool = True) -> list[_T]:
    """What all steps give; as `until_back`.

    Raises:
        DibsError: the first that a step ends in.
        PendingError: nothing went wrong, and something is still with a provider.
    """
    ended = until_back(steps, wait=wait)
    failed = [one for one in ended if isinstance(one, DibsError)]
    pending = [one for one in failed if isinstance(one, PendingError)]
    if len(failed) > len(pending):
        raise next(one for one in failed if not isinstance(one, PendingError))
    if pending:
        raise PendingError.together(pending)
    return [one for one in ended if not isinstance(one, DibsError)]


def _wait(pending: PendingError, pause: float, sleep: Callable[[float], None]) -> float:
    """Wait until there is something to do; gives the next pause.

    Raises:
        ProviderError: there was no answer for too long.
    """
    silent, said = 0, ""
    try:
        while True:
            if pending.problem != said:
                said = pending.problem
                _say(f"{said}; Ctrl-C leaves them running")
            sleep(pause)
            pause = min(FACTOR * pause, LONGEST)
            try:
                pending = pending.now()
            except DibsError:  # the step itself will say it
                return pause
            if pending.ready:
                return pause
            silent = silent + 1 if pending.silent else 0
            if silent == SILENT:
                problem = f"{pending.provider} gave no answer {SILENT} times; its batches may be well"
                raise ProviderError(problem, todo=RESUME)
    except KeyboardInterrupt:
        _say(f"the batches at {pending.provider} go on; the same command collects them")
        raise


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
