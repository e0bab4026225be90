"""The audit of dependencies: red for a vulnerability alone."""

from __future__ import annotations

import runpy
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from tests.toys import ROOT

FINE = {"name": "a", "version": "1", "vulns": []}
HOLE = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
SKIPPED = {"name": "c", "skip_reason": "not found"}


@pytest.fixture
def audit() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / ".ci" / "audit.py"))


@pytest.mark.parametrize(
    ("found", "code", "said"),
    [
        ([FINE], 0, "1 packages audited, 0 known"),
        ([FINE, HOLE], 1, "b 2: CVE-1 (mended in: 3)"),
        ([FINE, SKIPPED], 0, "not audited: 1 of 2 packages"),
        ([SKIPPED, HOLE], 1, "1 packages audited, 1 known"),
    ],
)
def test_what_is_told(
    audit: dict[str, Any], capsys: pytest.CaptureFixture[str], found: list[Any], code: int, said: str
) -> None:
    assert audit["tell"](found) == code
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("answer", ["", "<html>", "[]", "{}"])
def test_no_answer_is_said_and_not_red(
    audit: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    monkeypatch.setattr("sys.argv", ["audit"])
    done = SimpleNamespace(stdout=answer, stderr="Traceback\nConnectionError: refused\n")
    monkeypatch.setattr(subprocess, "run", lambda *words, **more: done)
    assert audit["main"]() == 0
    assert capsys.readouterr().out == "not audited: ConnectionError: refused\n"


def test_an_answer_that_takes_too_long(
    audit: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def hang(*words: Any, timeout: float, **more: Any) -> None:
        raise subprocess.TimeoutExpired("pip_audit", timeout)

    monkeypatch.setattr("sys.argv", ["audit", "--timeout", "2"])
    monkeypatch.setattr(subprocess, "run", hang)
    assert audit["main"]() == 0
    assert capsys.readouterr().out == "not audited: no whole answer in 2 seconds\n"
