"""Tasks handed out to workers that may die: few under way, each done once, a poisonous one named."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from dibs.distributed.cluster import Seat
from dibs.errors import DibsError, ProviderError
from dibs.progress import say

IN_FLIGHT = 2
"""Tasks given to a worker: one in hand, one that waits. No more lies in memory."""
POISON = 3
"""Workers that die of one task before it is given up."""
_PATIENCE = 600.0
"""Seconds in which some worker has to have started."""
_BEGINNING = 10.0
"""Seconds that a worker which is to end has to begin in."""


@dataclass(eq=False)
class Task:
    """A call of a worker's method."""

    call: str
    """The method, which is also the name of the thread that runs it."""
    arguments: tuple[Any, ...]
    label: str
    """What an error calls it."""
    start: int = 0
    """Where in the request its texts begin."""
    deaths: int = 0
    """Workers that died of it."""


class Done(NamedTuple):
    """A task, and what came of it."""

    task: Task
    result: Any


@dataclass(eq=False)
class _Worker:
    seat: Seat
    handle: Any
    hello: Any = None
    """What its `start` returned; None until then."""
    tasks: list[Task] = field(default_factory=list)
    """In the order in which they were given."""
    deaths: int = 0
    """In a row, before it had started."""


class _Flight(NamedTuple):
    worker: _Worker
    task: Task | None
    """None is its start."""


class Pool:
    """Workers of one kind. A worker that dies is made anew, and what it had in hand is given again."""

    def __init__(self, make: Callable[[Seat], Any], seats: tuple[Seat, ...]) -> None:
        """Start the workers.

        Args:
            make: Gives an actor with the method `start`, and those that tasks call.
        """
        self.restarts = 0
        """Workers that died and were made anew."""
        self.hellos: list[Any] = []
        """What every worker's start returned, the first one's first."""
        self.size = len(seats)
        self._make = make
        self._flying: dict[Any, _Flight] = {}
        self._suspects: deque[Task] = deque()
        """Tasks that a worker died of: given last, so that all others are done before one is given up, and
        to a worker that has nothing else in hand."""
        self._workers = [_Worker(seat, None) for seat in seats]
        for worker in self._workers:
            self._start(worker)

    def ready(self) -> Any:
        """Wait for a worker, and give what its start returned.

        Raises:
            DibsError: what a worker's start raised; ProviderError: none starts.
        """
        try:
            while not self.hellos:
                self._landed()
        except BaseException:
            self.close()
            raise
        return self.hellos[0]

    def work(self, feed: deque[Task], more: Iterator[Task]) -> Generator[Done, None, None]:
        """Each task with its result as soon as it is there.

        Args:
            feed: Tasks to give first; the caller may add some whenever it has been given a result.
            more: Tasks to give when `feed` is empty.

        Raises:
            DibsError: a task raised it, after what the other workers had in hand was given.
            ProviderError: POISON workers died of a task, or of their start.
        """
        failure: DibsError | None = None
        finished = False
        try:
            while True:
                if failure is None:
                    self._fill(feed, more)
                busy = any(worker.tasks for worker in self._workers)
                if not busy and (failure or not (feed or self._suspects)):
                    break
                try:
                    done = self._landed(feed)
                except DibsError as error:
                    failure = failure or error
                    if not any(worker.tasks for worker in self._workers):
                        break
                    continue
                if done is not None:
                    yield done
            finished = failure is None
        finally:
            if not finished:  # what is still under way is nobody's
                self.close()
        if failure is not None:
            raise failure

    def close(self) -> None:
        """End the workers, each after its process has begun.

        Ray loses the kill of an actor that it is just handing to a process: the process would live on and
        keep its cores as long as Ray.
        """
        import ray

        with suppress(Exception):  # all of Ray may have ended
            young = [worker.handle for worker in self._workers if worker.hello is None]
            if begun := [handle.__ray_ready__.remote() for handle in young]:
                ray.wait(begun, num_returns=len(begun), timeout=_BEGINNING)
        for worker in self._workers:
            with suppress(Exception):  # it may have died, or all of Ray ended
                ray.kill(worker.handle)
        self._workers, self._flying = [], {}

    @property
    def closed(self) -> bool:
        """Whether it has ended, and has to be made anew."""
        return not self._workers

    def _start(self, worker: _Worker) -> None:
        worker.handle = self._make(worker.seat)
        worker.hello = None
        method = worker.handle.start.options(concurrency_group="encode")
        self._flying[method.remote()] = _Flight(worker, None)

    def _fill(self, feed: deque[Task], more: Iterator[Task]) -> None:
        for depth in range(IN_FLIGHT):
            for worker in self._workers:
                if worker.hello is None or len(worker.tasks) > depth or any(t.deaths for t in worker.tasks):
                    continue
                if not feed:
                    feed.extend(islice(more, 1))
                if feed:
                    self._give(worker, feed.popleft())
                elif self._suspects and not worker.tasks:
                    self._give(worker, self._suspects.popleft())
        if not feed:
            feed.extend(islice(more, 1))

    def _give(self, worker: _Worker, task: Task) -> None:
        worker.tasks.append(task)
        method = getattr(worker.handle, task.call).options(concurrency_group=task.call)
        self._flying[method.remote(*task.arguments)] = _Flight(worker, task)

    def _landed(self, feed: deque[Task] | None = None) -> Done | None:
        """What is ready next; None for a start, and for a death that was made good."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        patience = None if self.hellos else _PATIENCE
        ready, _ = ray.wait(list(self._flying), num_returns=1, timeout=patience)
        if not ready:
            raise ProviderError(
                f"no worker has started within {_PATIENCE:.0f} seconds",
                todo="ray status says what the cluster lacks.",
            )
        worker, task = self._flying.pop(ready[0])
        try:
            result = ray.get(ready[0])
        except RayTaskError as error:
            if task is not None:
                worker.tasks.remove(task)
            raise _ours(error) from None
        except RayError:  # the process or its machine is gone
            self._died(worker, task, deque() if feed is None else feed)
            return None
        if task is None:
            worker.hello, worker.deaths = result, 0
            self.hellos.append(result)
            return None
        worker.tasks.remove(task)
        return Done(task, result)

    def _died(self, worker: _Worker, task: Task | None, feed: deque[Task]) -> None:
        """Make the worker anew, and put back what it had in hand."""
        import ray

        self._flying = {ref: flight for ref, flight in self._flying.items() if flight.worker is not worker}
        # Each of its threads takes its tasks in turn: the first of a kind was in hand, others waited.
        heads = list({one.call: one for one in reversed(worker.tasks)}.values())
        feed.extendleft(reversed([one for one in worker.tasks if one not in heads]))
        worker.tasks = []
        with suppress(Exception):  # if it is but out of reach, it must not go on
            ray.kill(worker.handle)
        if task is None:
            worker.deaths += 1
            if worker.deaths >= POISON:
                raise ProviderError(
                    f"a worker died {POISON} times while it loaded the model",
                    todo="Look at its machine's memory; what was done is kept.",
                )
        for one in heads:
            one.deaths += 1
        if poison := [one for one in heads if one.deaths >= POISON]:
            raise ProviderError(
                f"{POISON} workers died of {poison[0].label}",
                todo="What was done is kept. Lower the card's batch_tokens, or leave that text out.",
            )
        self.restarts += 1
        again = f"; given again: {', '.join(one.label for one in heads)}" if heads else ""
        say(f"a worker died and is started again{again}")
        self._start(worker)
        self._suspects.extend(heads)


def _ours(error: Any) -> DibsError:
    """What was raised in a worker, as ours."""
    cause = error.cause
    return cause if isinstance(cause, DibsError) else DibsError(f"a worker failed: {cause!r}")
