"""Servers that bear so much and no more, and how much of it the limiter gets, in a time of its own."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from itertools import count
from typing import NamedTuple

from dibs.llm.limiter import Limiter

Server = Callable[[float], float | None]
"""At a time, in seconds: None if a request is taken, else the Retry-After of the refusal, 0 for none."""


def bucket(rate: float, burst: float, retry_after: float = 0) -> Server:
    """Takes `rate` requests a second, `burst` at once after a rest."""
    state = [0.0, burst]

    def ask(now: float) -> float | None:
        state[:] = now, min(burst, state[1] + (now - state[0]) * rate)
        if state[1] < 1:
            return retry_after
        state[1] -= 1
        return None

    return ask


def quota(rate: int, retry_after: Callable[[float], float]) -> Server:
    """Takes `rate` requests in each second of the clock."""
    state = [-1, 0]

    def ask(now: float) -> float | None:
        if int(now) != state[0]:
            state[:] = int(now), 0
        if state[1] >= rate:
            return retry_after(now)
        state[1] += 1
        return None

    return ask


def at_once(most: int, latency: float) -> Server:
    """Takes what comes while fewer than `most` are under way."""
    ends: list[float] = []

    def ask(now: float) -> float | None:
        ends[:] = [end for end in ends if end > now]
        if len(ends) >= most:
            return 0
        ends.append(now + latency)
        return None

    return ask


class Simulated(NamedTuple):
    """What came of a simulation."""

    rate: float
    """Requests taken a second."""
    refused: int
    """Requests refused, of all."""


def simulate(ask: Server, *, latency: float = 0.05, seconds: float = 120, threads: int = 32) -> Simulated:
    """Threads with no end of requests; refusals come back in 2 ms, and are made again after a back-off."""
    chance, number, now = random.Random(1), count(), [0.0]
    limiter = Limiter(most=threads, clock=lambda: now[0])
    events: list[tuple[float, int, str, float, float]] = []
    idle, taken, refused, due = threads, 0, 0, math.inf

    def at(time: float, what: str, started: float = 0, after: float = 0) -> None:
        heapq.heappush(events, (time, next(number), what, started, after))

    at(0, "look")
    while events[0][0] < seconds:
        now[0], _, what, started, after = heapq.heappop(events)
        if what == "look":
            due = math.inf if now[0] >= due else due
        elif what == "taken":
            taken, idle = taken + 1, idle + 1
            limiter.release(started, succeeded=True)
        elif what == "refused":
            refused += 1
            limiter.refused(started, after or None)
            at(now[0] + max(0.5 + chance.random(), after), "again")
        else:
            idle += 1
        while idle:
            wait = limiter.reserve()
            if wait:
                if now[0] + wait < due - 1e-6:
                    due = now[0] + wait + 1e-6
                    at(due, "look")
                break
            idle -= 1
            answer = ask(now[0])
            if answer is None:
                at(now[0] + latency * chance.uniform(0.9, 1.1), "taken", now[0])
            else:
                at(now[0] + 0.002, "refused", now[0], answer)
    return Simulated(taken / seconds, refused)
