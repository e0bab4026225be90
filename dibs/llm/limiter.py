"""How many requests may be under way, learned from what the provider refuses."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_NEAR, _PAST = 0.96, 1.1
"""Between these parts of the rate that was refused last, the rate creeps."""
_ROUNDS = 64
"""Rounds that this takes,"""
_PAUSES = 48
"""and how many times a Retry-After at least."""
_NAP = 0.25
"""Seconds after which a waiting thread looks whether it is stopped."""


class StoppedError(Exception):
    """The wait for a slot was called off."""


class Slot:
    """One request under way."""

    def __init__(self, started: float) -> None:
        self.started = started
        self.refusal: tuple[float | None] | None = None

    def refused(self, retry_after: float | None = None) -> None:
        """Say that the provider refused the request as one too many.

        Args:
            retry_after: Seconds it asked to wait.
        """
        self.refusal = (retry_after,)


class Limiter:
    """Decides when the next request may start; one for each provider and key, for any threads.

        with limiter.slot() as slot:        # waits until a request may start
            reply = send()
            if reply.status == 429:
                slot.refused(retry_after)

    Until the first refusal each success allows one more request at a time, up to `most`. A refusal
    tells what the provider bears as a rate, so from then on starts are spaced: the rate is halved,
    climbs back to just below where it was refused within a round (the time of one reply), creeps
    past that point over 64 rounds, and grows by a quarter a round if nothing is refused there.
    Counting requests alone cannot hold a rate that lies between two whole counts, and creeping
    keeps refusals few. A Retry-After holds all requests back, and the creeping then takes 48 times
    as long, so that the pauses cost little.

    Share of the allowed rate that it gets in a simulated two minutes, from servers that answer in 50 ms
    and allow 5 to 300 requests a second (tests/llm/simulation.py): a bucket of tokens with some burst
    97 to 100 %, one without burst 88 to 93 %, a quota for each second 95 to 99 %. Where every refusal
    costs a whole second of Retry-After, a large bucket gives 99 %, a quota for each second 80 to 95 %,
    a bucket of 5 requests 66 to 99 %.
    """

    def __init__(
        self,
        *,
        start: int = 4,
        most: int = 32,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """A limiter of requests that were never refused.

        Args:
            start: Requests under way at first.
            most: Requests under way at any time.
            clock: The time in seconds.
            sleep: Waits some seconds.
        """
        self.most = most
        self._clock, self._sleep = clock, sleep
        self._turnstile = threading.Lock()  # one waits for its time, the others behind it
        self._changed = threading.Condition()
        self._limit = float(min(start, most))
        self._under_way = 0
        self._next = self._paused = self._halved = -math.inf
        self._latency: float | None = None
        self._rate: float | None = None
        self._mark = 0.0
        self._trust = 1 / 16
        self._pause = 0.0
        self._crept = self._counted = clock()
        self._taken = 0
        self._taken_since = True

    @property
    def under_way(self) -> int:
        """Requests that have started and not ended."""
        return self._under_way

    @property
    def rate(self) -> float | None:
        """Starts a second; None while nothing was refused."""
        return self._rate

    @contextmanager
    def slot(self, stop: threading.Event | None = None) -> Iterator[Slot]:
        """Wait until a request may start; the block makes it.

        A block that raises, without having called `refused`, says nothing about the limit.

        Raises:
            StoppedError: `stop` was set while it waited.
        """
        slot = Slot(self.acquire(stop))
        succeeded = False
        try:
            yield slot
            succeeded = True
        finally:
            if slot.refusal is not None:
                self.refused(slot.started, *slot.refusal)
            else:
                self.release(slot.started, succeeded=succeeded)

    def acquire(self, stop: threading.Event | None = None) -> float:
        """Wait until a request may start; gives the time it starts. `slot` does this and the rest."""
        with self._turnstile:
            while stop is None or not stop.is_set():
                with self._changed:
                    wait = self.reserve()
                    if wait == 0:
                        return self._clock()
                    if wait == math.inf:
                        self._changed.wait(_NAP)
                        continue
                self._sleep(min(wait, _NAP))
        raise StoppedError

    def reserve(self) -> float:
        """Take a slot without waiting: 0 if it is taken, else the seconds after which to try again;
        infinity means when a request has ended.
        """
        with self._changed:
            now = self._clock()
            if self._under_way >= self._limit:
                return math.inf
            wait = max(self._next, self._paused) - now
            if wait > 0:
                return wait
            if self._rate is not None:
                gap = 1 / self._rate  # a start that comes late is made up for, by half a gap at most
                self._next = max(self._next, now - gap / 2) + gap
            self._under_way += 1
            return 0

    def release(self, started: float, *, succeeded: bool) -> None:
        """A request that started then has ended, and was not refused."""
        with self._changed:
            self._under_way -= 1
            if succeeded:
                self._grow(started, self._clock())
            self._changed.notify()

    def refused(self, started: float, retry_after: float | None = None) -> None:
        """A request that started then was refused; the provider may have said for how long, in seconds."""
        with self._changed:
            now = self._clock()
            if started > self._halved:  # the others of its round were refused for the same reason
                self._halve(now)
                self._pause = retry_after or 0.0
            self._under_way -= 1
            if retry_after:
                self._paused = max(self._paused, now + retry_after)
            self._changed.notify()

    def _grow(self, started: float, now: float) -> None:
        took = max(now - started, 1e-4)
        self._latency = took if self._latency is None else self._latency + (took - self._latency) / 8
        self._taken += 1
        if self._rate is None:
            self._limit = min(self._limit + 1, self.most)
            return
        if started <= self._halved:
            return
        self._taken_since = True
        share = 1 / max(1.0, self._rate * self._latency)  # of a round's requests
        near = _NEAR * self._mark
        if self._rate < near:
            self._rate = min(near, self._rate + self._mark / 2 * share)
            self._crept = now
        elif self._rate < _PAST * self._mark:
            seconds = max(_ROUNDS * max(self._latency, 1 / self._rate), _PAUSES * self._pause)
            past = (now - self._crept) / (seconds * self._trust)
            self._rate = max(self._rate, self._mark * (_NEAR + (_PAST - _NEAR) * past))
        else:
            self._rate *= 1 + share / 4

    def _halve(self, now: float) -> None:
        self._halved = self._crept = now
        if self._rate is None:
            if self._latency is None:  # nothing is known of rates before the first success
                self._limit = max(1.0, self._limit / 2)
                return
            self._rate = self._under_way / self._latency
            self._limit = self.most
        if self._taken_since:  # else this is the last refusal going on, and says nothing new
            # The rate is between what was taken and what was refused; their geometric mean, but at
            # least half of the latter, finds it in a few refusals.
            taken = self._taken / max(now - self._counted, 1e-3)
            self._mark = min(self._rate, math.sqrt(self._rate * max(taken, self._rate / 4)))
            self._taken, self._counted, self._taken_since = 0, now, False
            self._trust = min(1.0, 2 * self._trust)
        self._rate = max(self._rate / 2, self._mark / 8)  # slower would notice too late that it is over
