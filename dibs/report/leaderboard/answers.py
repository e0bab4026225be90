"""What records of answers and of judges' calibration say, as tables and figures show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dibs.errors import DamagedError
from dibs.records import Record
from dibs.scoring.statistics import Estimate


@dataclass(frozen=True)
class Answered:
    """Graded answers to a task's queries."""

    record: Record
    estimate: Estimate
    """The share of correct answers, of those that could be graded."""
    queries: int

    @property
    def task(self) -> str:
        return self.record.task

    @property
    def arm(self) -> str:
        """What the generator was given: a pipeline's documents, the gold ones (oracle), none, ..."""
        return self.record.pipeline.removesuffix(f" > {self.generator}")

    @property
    def generator(self) -> str:
        return str(self.record.manifest["generator"]["name"])

    @property
    def judge(self) -> str:
        return str(self.record.manifest["judge_name"])

    @property
    def retrieval(self) -> str | None:
        """The hash of the retrieval record whose documents were given; None if there is none."""
        name = self.record.manifest.get("retrieval")
        return str(name).rpartition("/")[2] if name else None

    @property
    def name(self) -> str:
        return f"{self.arm}, {self.generator}"


@dataclass(frozen=True)
class Calibrated:
    """How far a judge's verdicts agree with human labels."""

    record: Record
    judge: str
    accuracy: Estimate
    kappa: float | None


class Read(NamedTuple):
    """What could be read, and a line for each record that could not."""

    answers: list[Answered]
    judges: list[Calibrated]
    problems: list[str]


def read_answers(answers: Sequence[Record], calibrations: Sequence[Record]) -> Read:
    """The scores of those records, best first within a task."""
    read = Read([], [], [])
    for record in [*answers, *calibrations]:
        try:
            if record.kind == "answers":
                read.answers.append(_answered(record))
            else:
                read.judges.append(_calibrated(record))
        except ValueError as error:
            read.problems.append(f"{record.name}: {error}")
        except (DamagedError, KeyError, TypeError, AttributeError) as error:
            read.problems.append(f"{record.name}: is malformed: {error!r}")
    read.answers.sort(key=lambda one: (one.task, -one.estimate.value, one.record.name))
    read.judges.sort(key=lambda one: (-one.accuracy.value, one.record.name))
    return read


def _answered(record: Record) -> Answered:
    everything = record.scores["subsets"]["all"]
    if everything["accuracy"] is None:
        raise ValueError("none of its answers could be graded")
    made = Answered(record, _estimate(everything["accuracy"]), int(everything["n_queries"]))
    if not all((made.task, made.name, made.judge)):
        raise ValueError("it lacks what a record of answers has")
    return made


def _calibrated(record: Record) -> Calibrated:
    kappa = record.scores.get("kappa")
    value = kappa["value"] if isinstance(kappa, dict) else kappa
    judge = record.manifest.get("judge_name") or record.folder.parent.name
    return Calibrated(record, str(judge), _estimate(record.scores["accuracy"]), value)


def _estimate(found: dict[str, Any]) -> Estimate:
    return Estimate(float(found["value"]), found["low"], found["high"])
