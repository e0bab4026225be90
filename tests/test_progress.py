from __future__ import annotations

import pytest

from dibs import progress
from dibs.progress import track
from dibs.training import progress as training
from dibs.training.progress import reporting


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that have passed; what tells the time reads the last."""
    passed = [0.0]
    for module in (progress, training):
        monkeypatch.setattr(module.time, "monotonic", lambda: passed[-1])
    return passed


def test_a_log_has_a_line_a_minute(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with track("Embedding", 1000, "texts") as advance:
        for second in range(10, 131, 10):
            clock.append(float(second))
            advance(50)
    assert capsys.readouterr().err.splitlines() == [
        "Embedding: 300 of 1,000 texts, 5.0 texts/s, 2 min left",
        "Embedding: 600 of 1,000 texts, 5.0 texts/s, 1 min left",
    ]


def test_work_of_unknown_length_has_lines_too(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with track("Reading", None, "rows") as advance:
        clock.append(61.0)
        advance(122)
    assert capsys.readouterr().err == "Reading: 122 rows, 2.0 rows/s\n"


def test_short_work_leaves_a_log_alone(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with track("Embedding", 10, "texts") as advance:
        clock.append(59.0)
        advance(10)
    assert capsys.readouterr().err == ""


def test_a_trainings_log_has_its_steps(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with reporting(100) as reporter:
        for step in range(1, 5):
            clock.append(step * 25.0)
            reporter.step(step, 2.0 if step == 2 else None)
    assert capsys.readouterr().err == "step 3 of 100: loss 2.000\n"
