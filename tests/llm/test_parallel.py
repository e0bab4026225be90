from __future__ import annotations

import threading
import time

import pytest

from dibs.llm import parallel
from dibs.llm.limiter import StoppedError
from dibs.llm.parallel import side_by_side


def test_every_item_is_done_once() -> None:
    done = list(side_by_side(range(100), lambda n: n * n, 7, threading.Event()))
    assert sorted(done) == [(n, n * n) for n in range(100)]
    assert list(side_by_side([], lambda n: n, 7, threading.Event())) == []


def test_results_come_as_they_are_done() -> None:
    second = threading.Event()

    def work(n: int) -> int:
        if n == 0:
            second.wait(10)
        return n

    results = side_by_side([0, 1], work, 2, threading.Event())
    assert next(results).item == 1
    second.set()
    assert next(results).item == 0


def test_what_is_raised_stops_the_others_and_comes_last() -> None:
    begun = []

    def work(n: int) -> int:
        begun.append(n)
        if n == 5:
            raise KeyError("the fifth")
        time.sleep(0.01)
        return n

    results = side_by_side(range(1000), work, 4, threading.Event())
    done: list[int] = []
    with pytest.raises(KeyError, match="the fifth"):
        done.extend(one.item for one in results)
    assert set(begun) - {5} == set(done)
    assert len(begun) < 100


def test_a_thread_that_is_stopped_raises_nothing() -> None:
    def work(n: int) -> int:
        if n > 3:
            raise StoppedError
        return n

    assert {done.item for done in side_by_side(range(9), work, 2, threading.Event())} == {0, 1, 2, 3}


def test_no_more_are_begun_once_it_is_stopped() -> None:
    stop = threading.Event()
    results = side_by_side(range(1000), lambda n: time.sleep(0.01), 2, stop)
    for _ in range(3):
        next(results)
    stop.set()
    assert len(list(results)) < 20


def test_a_failure_waits_for_the_slow_so_long_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "GRACE", 0.3)
    begun, end = threading.Barrier(3), threading.Event()

    def work(n: int) -> int:
        begun.wait(10)
        if n == 0:
            raise KeyError(n)
        end.wait(10 if n == 1 else 0.05)
        return n

    results, start = side_by_side([0, 1, 2], work, 3, threading.Event()), time.monotonic()
    assert next(results).item == 2
    with pytest.raises(KeyError):
        next(results)
    assert 0.2 < time.monotonic() - start < 5
    end.set()
