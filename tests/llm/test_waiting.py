from __future__ import annotations

from collections.abc import Callable

import pytest

from dibs.errors import InputError, ProviderError
from dibs.llm.batch_api import BatchState
from dibs.llm.pending import UNREACHED, PendingError
from dibs.llm.waiting import LONGEST, SILENT, all_back, until_back


class Provider:
    """A batch that ends when it was asked after `polls` times."""

    def __init__(self, name: str, polls: int, status: str = "in_progress", held: int = 0) -> None:
        self.name, self.polls, self.status, self.held = name, polls, status, held
        self.steps = 0

    def look(self) -> list[BatchState]:
        self.polls -= 1
        return [BatchState(self.name, "completed" if self.polls <= 0 else self.status, 0, 10)]

    def step(self) -> str:
        self.steps += 1
        if self.polls > 0 or self.held:
            self.held = max(0, self.held - 1)
            raise PendingError("Toy", [BatchState(self.name, self.status, 0, 10)], self.held, self.look)
        return self.name


def _failing() -> str:
    raise InputError("no such thing")


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    return []


def test_all_are_handed_over_before_one_is_waited_for(
    slept: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = Provider("a", 2), Provider("b", 3)
    done = until_back([first.step, lambda: "now", second.step, _failing], sleep=slept.append)
    assert done[:3] == ["a", "now", "b"]
    assert isinstance(done[3], InputError)
    assert (first.steps, second.steps) == (2, 3), "a step is done again when a batch is over"
    assert slept == [10.0, 15.0, 22.5]
    assert capsys.readouterr().err.startswith("batches at Toy: 2 in_progress; 0 of 20 requests done; Ctrl-C")


def test_the_pauses_grow_and_are_bounded(slept: list[float]) -> None:
    until_back([Provider("a", 40).step], sleep=slept.append)
    assert slept == sorted(slept)
    assert (slept[0], slept[-1], len(slept)) == (10.0, LONGEST, 40)


def test_without_waiting_each_is_tried_once(slept: list[float]) -> None:
    (found,) = until_back([Provider("a", 5).step], wait=False, sleep=slept.append)
    assert isinstance(found, PendingError)
    assert not slept
    with pytest.raises(PendingError, match="2 in_progress; 0 of 20"):
        all_back([Provider("a", 5).step, Provider("b", 5).step, lambda: "now"], wait=False)
    with pytest.raises(InputError):
        all_back([Provider("a", 5).step, _failing], wait=False)
    assert all_back([lambda: 1, lambda: 2]) == [1, 2]


def test_what_is_held_back_is_tried_after_each_pause(slept: list[float]) -> None:
    held = Provider("a", 0, held=4)
    assert until_back([held.step], sleep=slept.append) == ["a"]
    assert held.steps == len(slept) + 1 == 5


def test_a_provider_that_stays_silent_is_given_up(slept: list[float]) -> None:
    done, silent = until_back([lambda: "now", Provider("a", 1000, UNREACHED).step], sleep=slept.append)
    assert done == "now"
    assert isinstance(silent, ProviderError)
    assert f"no answer {SILENT} times; its batches may be well\n  Run the same" in str(silent)
    assert len(slept) == SILENT


def test_a_batch_that_is_lost_is_the_steps_to_say(slept: list[float]) -> None:
    lost = Provider("a", 2)

    def look() -> list[BatchState]:
        lost.polls = 0
        raise InputError("no such batch")

    lost.look = look  # type: ignore[method-assign]
    assert until_back([lost.step], sleep=slept.append) == ["a"]
    assert len(slept) == 1


def test_ctrl_c_says_that_the_batches_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    def stopped(seconds: float) -> None:
        raise KeyboardInterrupt

    sleep: Callable[[float], None] = stopped
    with pytest.raises(KeyboardInterrupt):
        until_back([Provider("a", 2).step], sleep=sleep)
    assert capsys.readouterr().err.endswith("the batches at Toy go on; the same command collects them\n")
