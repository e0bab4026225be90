"""Clocks that jump: waiting is by a clock that does not, and dates may go backwards without harm."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import numpy as np
import pytest
from tenacity import wait_none

from dibs.encoders.embed import missing
from dibs.encoders.vectors import VectorStore, text_keys
from dibs.llm.calls import Patience, retry_after
from dibs.llm.limiter import Limiter
from tests.api_server import status
from tests.llm.batch_server import serving as serving_batches
from tests.llm.chat_server import ChatServer, chat, question, serving

YEAR = 31_536_000


@pytest.fixture
def jumping(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wall clock that jumps a year back and forth each time that it is read."""
    true, jumps = time.time, itertools.cycle([0, -YEAR, YEAR])
    monkeypatch.setattr(time, "time", lambda: true() + next(jumps))
    true_ns, jumps_ns = time.time_ns, itertools.cycle([0, -YEAR * 10**9])
    monkeypatch.setattr(time, "time_ns", lambda: true_ns() + next(jumps_ns))


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with serving() as api:
        yield api


@pytest.mark.usefixtures("jumping")
def test_requests_are_limited_retried_and_timed_by_a_steady_clock(server: ChatServer, tmp_path: Path) -> None:
    server.faults = [status(429, Retry_After="0.05"), status(500), None]
    model = chat(server, tmp_path, Patience(attempts=5, wait=wait_none(), timeout=10))
    started = time.monotonic()
    found = list(model.ask([question(f"question {n}") for n in range(20)]))
    assert len(found) == 20
    assert 0.05 <= time.monotonic() - started < 30
    assert set(server.paid.values()) == {1}


def test_the_limiter_asks_no_other_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> float:
        raise AssertionError("the wall clock was asked")

    monkeypatch.setattr(time, "time", forbidden)
    now = [100.0]
    limiter = Limiter(clock=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds))
    with limiter.slot() as slot:
        slot.refused(retry_after=7.0)
    with limiter.slot():
        assert now[0] == pytest.approx(107.0)


@pytest.mark.parametrize("off", [timedelta(0), timedelta(hours=9), timedelta(days=-400)])
def test_a_date_to_wait_for_is_read_by_the_servers_own_clock(off: timedelta) -> None:
    there = datetime.now(UTC) + off
    headers = {
        "date": format_datetime(there, usegmt=True),
        "retry-after": format_datetime(there + timedelta(seconds=30), usegmt=True),
    }
    assert retry_after(headers) == pytest.approx(30)


@pytest.mark.parametrize("date", ["", "soon", "Wed, 99 Oct 2015 07:28:00 GMT"])
def test_without_a_servers_date_ours_counts(date: str) -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert retry_after({"date": date, "retry-after": until}) == pytest.approx(30, abs=2)


def test_a_vector_made_anew_counts_though_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, rows = text_keys(["a", "b"]), np.eye(2, 4, dtype=np.float32)
    VectorStore(tmp_path, "toy", {"x": 1}, 4).append(keys, rows, None)
    (shard,) = tmp_path.glob("*/*/*.vec")
    shard.write_bytes(b"\1" * 16 + shard.read_bytes()[16:])
    earlier = time.time_ns() - YEAR * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: earlier)
    store = VectorStore(tmp_path, "toy", {"x": 1}, 4)
    with pytest.warns(UserWarning, match="1 vectors are damaged"):
        assert missing(store, keys).tolist() == [0]
    store.append(keys[:1], rows[:1], None)
    again = VectorStore(tmp_path, "toy", {"x": 1}, 4)
    assert missing(again, keys).tolist() == []
    np.testing.assert_array_equal(again.vectors(again.find(keys)), rows)


@pytest.mark.usefixtures("jumping")
def test_batches_are_collected_whatever_the_time(tmp_path: Path) -> None:
    from tests.llm.test_batch import ALL, answers, model

    with serving_batches() as server, pytest.MonkeyPatch.context() as patched:
        patched.setenv("OPENAI_API_KEY", "sk-test-Xy7secret0042")
        assert answers(model(server, tmp_path)) == ALL
        assert len(server.batches) == 1
