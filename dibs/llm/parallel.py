"""Work of many threads, each result as soon as it is there, and an end that does not keep one waiting."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from queue import Empty, SimpleQueue
from typing import Generic, NamedTuple, TypeVar

from dibs.llm.limiter import StoppedError

GRACE = 3.0
"""Seconds that requests under way, which are paid for, have to end in when the rest is called off."""

_T = TypeVar("_T")
_R = TypeVar("_R")


class Done(NamedTuple, Generic[_T, _R]):
    """An item, and what came of it."""

    item: _T
    result: _R


def side_by_side(
    items: Sequence[_T], work: Callable[[_T], _R], most: int, stop: threading.Event
) -> Generator[Done[_T, _R], None, None]:
    """What `work` makes of each item, in the order in which it is done.

    When `stop` is set, no more are begun. What `work` raises ends it all: what else is done within
    GRACE seconds is given, then it is raised. A StoppedError only ends its thread. Close the
    iterator to end the threads early; one that takes longer than GRACE is left behind.

    Args:
        work: Called from `most` threads at once.
    """
    waiting = deque(items)
    done: SimpleQueue[Done[_T, _R] | BaseException | None] = SimpleQueue()

    def run() -> None:
        try:
            while not stop.is_set() and (item := _next(waiting)) is not None:
                done.put(Done(item[0], work(item[0])))
        except StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again below, in the caller's thread
            stop.set()
            done.put(error)
        finally:
            done.put(None)

    # Daemons, since Python waits for all others when it ends.
    threads = [threading.Thread(target=run, daemon=True) for _ in range(min(most, len(items)))]
    for thread in threads:
        thread.start()
    running, failure, until = len(threads), None, 0.0
    try:
        while running:
            try:
                got = done.get(timeout=max(0.0, until - time.monotonic()) if failure else None)
            except Empty:
                break
            if got is None:
                running -= 1
            elif isinstance(got, BaseException):
                failure, until = failure or got, until or time.monotonic() + GRACE
            else:
                yield got
    finally:
        stop.set()
        until = until or time.monotonic() + GRACE
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
    if failure is not None:
        raise failure


def _next(waiting: deque[_T]) -> tuple[_T] | None:
    try:
        return (waiting.popleft(),)  # which is safe among threads
    except IndexError:
        return None
