"""The report: README.md with its tables and figures, from records alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dibs.errors import MissingError
from dibs.files import write_bytes
from dibs.report.figures.figure import Figure, write_figure
from dibs.report.leaderboard.answers import Answered, Calibrated, read_answers
from dibs.report.leaderboard.boards import Board, make_boards
from dibs.report.leaderboard.costs import costs_of
from dibs.report.leaderboard.drawn import figures
from dibs.report.leaderboard.duplicates import duplicates
from dibs.report.leaderboard.entries import read_results
from dibs.report.leaderboard.finetuned import Model, models
from dibs.report.leaderboard.published import published
from dibs.report.leaderboard.words import templates


@dataclass(frozen=True)
class Report:
    """Everything that the records below one `results/` say."""

    boards: list[Board]
    answers: list[Answered]
    judges: list[Calibrated]
    problems: list[str]
    """One line each: damaged files, equal runs, other data."""

    @property
    def records(self) -> int:
        """How many records its tables show."""
        return sum(len(board.entries) for board in self.boards) + len(self.answers) + len(self.judges)

    @cached_property
    def benchmark(self) -> list[Board]:
        """The boards without those of small tasks to try things on, unless there are no others."""
        return [board for board in self.boards if not board.task.get("sample")] or self.boards

    @cached_property
    def models(self) -> list[Model]:
        return models(self.benchmark)

    @cached_property
    def figures(self) -> list[Figure]:
        return figures(self.benchmark, self.models, self.answers, self.judges)


def read_report(results: Path) -> Report:
    """Read and check every record below `results`.

    Raises:
        MissingError: there is none.
    """
    found = read_results(results)
    made = make_boards(found.entries)
    answered = read_answers(found.answers, found.calibrations)
    problems = [*found.problems, *made.problems, *answered.problems, *duplicates(made.boards)]
    report = Report(made.boards, answered.answers, answered.judges, problems)
    if not report.records:
        what = "no record can be shown" if problems else "there are no records"
        raise MissingError(what, where=str(results), todo="\n  ".join(problems) or "Make one: dibs run")
    return report


def write_report(report: Report, output: Path, results: str) -> None:
    """Write README.md and figures/ below `output`; the same records give the same bytes.

    Args:
        results: The folder of the records, as README.md is to link to it.
    """
    for figure in report.figures:
        write_figure(figure, output / "figures")
    kept = {f"{figure.name}.{kind}" for figure in report.figures for kind in ("csv", "svg", "png")}
    for file in (output / "figures").glob("*.*"):
        if file.name not in kept and file.suffix in (".csv", ".svg", ".png"):
            file.unlink()  # of a figure that its records no longer allow
    text = (
        templates()
        .get_template("README.md.j2")
        .render(
            boards=report.boards,
            models=report.models,
            answers=report.answers,
            judges=report.judges,
            problems=report.problems,
            figures=report.figures,
            published=published(),
            n_records=report.records,
            results=results,
            costs_of=costs_of,
        )
    )
    write_bytes(output / "README.md", text.encode())


def link_to(results: Path, output: Path) -> str:
    """`results` as a page in `output` links to it."""
    return Path(os.path.relpath(results.resolve(), output.resolve())).as_posix()
