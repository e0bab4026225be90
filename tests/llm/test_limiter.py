"""The limiter in a time of its own: nothing here waits, except where threads are the subject."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from dibs.llm.limiter import Limiter, StoppedError
from tests.llm.simulation import Server, at_once, bucket, quota, simulate


@dataclass
class Time:
    """A clock that only `sleep` moves."""

    now: float = 100.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def limiter(time: Time) -> Limiter:
    return Limiter(start=4, most=8, clock=time, sleep=time.sleep)


def take(limiter: Limiter, number: int) -> list[float]:
    return [limiter.acquire() for _ in range(number)]


def succeed(limiter: Limiter, time: Time, started: list[float], latency: float = 1.0) -> None:
    time.now += latency
    for start in started:
        limiter.release(start, succeeded=True)


def test_at_first_as_many_as_start_may_be_under_way(limiter: Limiter) -> None:
    take(limiter, 4)
    assert limiter.reserve() == math.inf
    assert limiter.under_way == 4


def test_each_success_allows_one_more_up_to_most(limiter: Limiter, time: Time) -> None:
    succeed(limiter, time, take(limiter, 2))
    take(limiter, 6)
    assert limiter.reserve() == math.inf
    succeed(limiter, time, [time.now] * 6)
    take(limiter, 8)
    assert limiter.reserve() == math.inf
    assert not time.slept


def test_a_failure_that_is_no_refusal_changes_nothing(limiter: Limiter, time: Time) -> None:
    for started in take(limiter, 4):
        limiter.release(started, succeeded=False)
    take(limiter, 4)
    assert limiter.reserve() == math.inf
    assert limiter.rate is None


def test_a_refusal_before_any_success_halves_the_requests_under_way(limiter: Limiter) -> None:
    for started in take(limiter, 4):
        limiter.refused(started)
    take(limiter, 2)
    assert limiter.reserve() == math.inf


def test_refusals_of_one_round_halve_the_rate_once_and_space_starts(limiter: Limiter, time: Time) -> None:
    succeed(limiter, time, take(limiter, 4))
    started = take(limiter, 8)
    time.now += 0.1
    for start in started:
        limiter.refused(start)
    assert limiter.rate == pytest.approx(4)
    starts = take(limiter, 3)
    assert [b - a for a, b in pairwise(starts)] == pytest.approx([0.25, 0.25], abs=0.13)


def test_the_rate_climbs_back_to_just_below_the_mark(limiter: Limiter, time: Time) -> None:
    succeed(limiter, time, take(limiter, 4))
    started = take(limiter, 8)
    limiter.refused(started.pop())
    rates = []
    for start in started:
        limiter.release(start, succeeded=True)  # from before the refusal: no news
        rates.append(limiter.rate)
    assert rates == pytest.approx([4] * 7)
    for _ in range(8):
        succeed(limiter, time, take(limiter, 1), 0.2)
        rates.append(limiter.rate)
    assert rates == sorted(rates, key=lambda rate: rate or 0)
    assert rates[7] != rates[-1]
    assert rates[-1] is not None
    assert rates[-1] < 8


def test_a_retry_after_holds_every_request_back(limiter: Limiter, time: Time) -> None:
    limiter.refused(take(limiter, 1)[0], retry_after=7.5)
    before = time.now
    take(limiter, 1)
    assert time.now == pytest.approx(before + 7.5)
    assert sum(time.slept) == pytest.approx(7.5)


def test_the_longest_of_two_retry_afters_holds(limiter: Limiter, time: Time) -> None:
    first, second = take(limiter, 2)
    limiter.refused(first, retry_after=3)
    limiter.refused(second, retry_after=1)
    before = time.now
    take(limiter, 1)
    assert time.now == pytest.approx(before + 3)


def test_a_rate_below_one_request_at_a_time_is_found(time: Time) -> None:
    """Voyage's free tier takes 3 requests a minute."""
    taken, refused = simulate(bucket(rate=1 / 20, burst=3), latency=1.0, seconds=7200)
    assert taken >= 0.9 / 20
    assert refused < 200


def test_the_slot_reports_how_its_request_ended(limiter: Limiter, time: Time) -> None:
    with limiter.slot():
        assert limiter.under_way == 1
        time.now += 1
    with limiter.slot() as slot:
        slot.refused(2.0)
    assert limiter.under_way == 0
    with limiter.slot():
        assert sum(time.slept) == pytest.approx(2)


def test_a_block_that_raises_gives_its_slot_back(limiter: Limiter) -> None:
    with pytest.raises(KeyError), limiter.slot():
        raise KeyError
    assert limiter.under_way == 0


def test_a_wait_can_be_called_off(limiter: Limiter, time: Time) -> None:
    stop = threading.Event()
    limiter.refused(take(limiter, 1)[0], retry_after=3600)
    time.sleep = lambda seconds: stop.set()  # type: ignore[method-assign]
    limiter._sleep = time.sleep
    with pytest.raises(StoppedError), limiter.slot(stop):
        pytest.fail("it was stopped")
    assert limiter.under_way == 0


def test_threads_never_have_more_under_way_than_is_allowed() -> None:
    limiter = Limiter(start=3, most=3)
    guard, seen, now = threading.Lock(), [], [0]

    def work() -> None:
        for _ in range(50):
            with limiter.slot():
                with guard:
                    now[0] += 1
                    seen.append(now[0])
                with guard:
                    now[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 600
    assert max(seen) <= 3
    assert limiter.under_way == 0


@pytest.mark.parametrize("rate", [5, 50, 300])
@pytest.mark.parametrize(
    ("server", "least"),
    [
        pytest.param(lambda rate: bucket(rate, 5), 0.95, id="bucket"),
        pytest.param(lambda rate: bucket(rate, rate), 0.98, id="large bucket"),
        pytest.param(lambda rate: bucket(rate, 1), 0.87, id="bucket without burst"),
        pytest.param(lambda rate: bucket(rate, rate, 1.0), 0.97, id="large bucket, Retry-After 1"),
        pytest.param(lambda rate: quota(rate, lambda now: 0), 0.93, id="quota"),
        pytest.param(lambda rate: quota(rate, lambda now: 1 - now % 1), 0.95, id="quota, exact Retry-After"),
        pytest.param(lambda rate: quota(rate, lambda now: 1.0), 0.75, id="quota, Retry-After 1"),
    ],
)
def test_most_of_the_allowed_rate_is_reached(
    server: Callable[[int], Server], least: float, rate: int
) -> None:
    taken, refused = simulate(server(rate))
    assert least * rate <= taken <= 1.03 * rate
    assert refused <= 120 + rate


@pytest.mark.parametrize("most", [1, 2, 4, 16])
def test_a_server_that_bears_so_many_at_once_is_kept_busy(most: int) -> None:
    taken, _ = simulate(at_once(most, 0.055))
    assert taken >= 0.8 * most / 0.055


def test_a_server_that_never_refuses_gets_all_threads() -> None:
    taken, refused = simulate(lambda now: None)
    assert refused == 0
    assert taken >= 0.98 * 32 / 0.05


def test_a_rate_that_is_raised_is_found_again() -> None:
    slow, fast = bucket(20, 5), bucket(200, 5)
    taken, _ = simulate(lambda now: slow(now) if now < 60 else fast(now))
    assert taken >= 0.9 * (20 + 200) / 2
