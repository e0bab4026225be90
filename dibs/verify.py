"""Expected scores as data: a command, the record it makes, what it is to score, how near is near enough."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dibs.cards.task import MeasureName
from dibs.errors import DibsError, InputError
from dibs.records import Record, find_record
from dibs.toml import read_toml, validated
from dibs.workspace import Workspace

Verdict = Literal["OK", "near", "FAIL"]


class Expected(BaseModel):
    """One line of a file of expected scores."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    command: str
    """The `dibs run` that makes the record."""
    record: str
    """TASK/PIPELINE, as the folders in `results/` are called."""
    measure: MeasureName
    expected: float = Field(ge=0, le=1)
    tolerance: float = Field(default=0.0005, ge=0)
    """Within it the score is OK."""
    near: float = Field(default=0.005, ge=0)
    """Within it the score is near: other versions or processors, not another method."""
    subset: str = "all"
    source: str = ""
    """Where the expected score comes from."""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    expect: tuple[Expected, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Outcome:
    """What became of one expectation."""

    expected: Expected
    verdict: Verdict
    found: float | None
    """None where there is no score to compare."""
    note: str = ""
    """Why there is none."""


def read_expected(path: Path) -> tuple[Expected, ...]:
    """The expectations in a TOML file, each an `[[expect]]`.

    Raises:
        InputError: not readable, not TOML, or a field is wrong; file and place are named.
    """
    todo = f"An [[expect]] has: {', '.join(Expected.model_fields)}."
    return validated(_File, read_toml(path), str(path), todo).expect


def recorded(expectations: Sequence[Expected], workspace: Workspace) -> Iterator[Outcome]:
    """Each expectation against the workspace's records as they stand."""

    def measures(expected: Expected) -> dict[str, Any]:
        record = find_record(workspace.results, expected.record)
        record.check()
        return _of_subset(record, expected)

    return _outcomes(expectations, measures)


def repeated(expectations: Sequence[Expected], workspace: Workspace) -> Iterator[Outcome]:
    """Each expectation against what its command scores when it is run again, with no record at hand.

    The workspace's cards and the cache are used; records go to a folder that is deleted afterwards.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in ("tasks", "models", "rerankers"):
            if (workspace.root / name).is_dir():
                (Path(folder) / name).symlink_to((workspace.root / name).resolve())
        again = Workspace(Path(folder), workspace.cache)

        @cache
        def run(command: str) -> DibsError | None:
            return _run(command, again)

        def measures(expected: Expected) -> dict[str, Any]:
            if failure := run(expected.command):
                raise failure
            return _of_subset(find_record(again.results, expected.record), expected)

        yield from _outcomes(expectations, measures)


def _outcomes(
    expectations: Sequence[Expected], measures: Callable[[Expected], dict[str, Any]]
) -> Iterator[Outcome]:
    for expected in expectations:
        try:
            found = float(measures(expected)[expected.measure]["value"])
        except KeyError:
            yield Outcome(expected, "FAIL", None, f"the record has no {expected.measure}")
        except DibsError as error:
            yield Outcome(expected, "FAIL", None, ": ".join(filter(None, (error.where, error.problem))))
        else:
            yield Outcome(expected, _verdict(expected, abs(found - expected.expected)), found)


def _verdict(expected: Expected, difference: float) -> Verdict:
    if difference <= expected.tolerance:
        return "OK"
    return "near" if difference <= expected.near else "FAIL"


def _of_subset(record: Record, expected: Expected) -> dict[str, Any]:
    subsets = record.scores["subsets"]
    if expected.subset not in subsets:
        raise DibsError(f"there is no subset {expected.subset!r}", where=record.name)
    measures: dict[str, Any] = subsets[expected.subset]["measures"]
    return measures


def _run(command: str, workspace: Workspace) -> DibsError | None:
    """Why the command failed; None if it did not."""
    try:
        program, *words = shlex.split(command)
    except ValueError as error:
        return InputError(str(error), where=command)
    if program != "dibs" or words[:1] != ["run"]:
        return InputError("is no `dibs run`", where=command)
    environment = os.environ | {"DIBS_WORKSPACE": str(workspace.root), "DIBS_CACHE": str(workspace.cache)}
    done = subprocess.run(
        [sys.executable, "-m", "dibs", *words], env=environment, capture_output=True, text=True, check=False
    )
    if not done.returncode:
        return None
    said = [line.removeprefix("error: ") for line in done.stderr.splitlines() if line.startswith("error: ")]
    return DibsError(said[0] if said else f"left with {done.returncode}", where=command)
