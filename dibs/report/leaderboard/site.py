"""The pages: one folder that opens from disk, with neither a server nor a network."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import markupsafe
import numpy as np

from dibs.errors import InputError
from dibs.files import folder_aside, slug
from dibs.report.leaderboard.boards import Board, Row
from dibs.report.leaderboard.build import Report
from dibs.report.leaderboard.costs import costs_of
from dibs.report.leaderboard.entries import Entry
from dibs.report.leaderboard.published import published
from dibs.report.leaderboard.site_data import write_data
from dibs.report.leaderboard.stages import stages
from dibs.report.leaderboard.words import templates
from dibs.workspace import Workspace

_PAGE = Path(__file__).parent / "page"
_MARK = ".dibs-site"
"""A file in a folder of pages: what has it may be replaced."""


def write_site(report: Report, folder: Path, figures: Path, workspace: Workspace | None) -> list[str]:
    """Write the pages below `folder`, whose former pages are removed.

    Args:
        figures: Where `write_report` put the figures.
        workspace: Where the prepared data is whose texts are shown; None shows none.

    Returns:
        What has to be known of the texts, one line a task.

    Raises:
        InputError: `folder` is there and is not one of pages.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).is_file():
        raise InputError(
            "the folder has other files, which pages would take the place of",
            where=str(folder),
            todo="Name another with --output.",
        )
    with folder_aside(folder.parent, ".site-") as made:
        for part in ("assets", "vendor"):
            shutil.copytree(_PAGE / part, made / part)
        for name in (_MARK, ".nojekyll"):  # GitHub Pages is to serve the files as they are
            (made / name).touch()
        shutil.copytree(figures, made / "figures")
        notes = write_data(report, made / "data", workspace)
        _Pages(report, made, workspace is not None).write()
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    return notes


class _Pages:
    """The HTML pages; the names of files are made of names that are checked or hashed, never of texts."""

    def __init__(self, report: Report, folder: Path, texts: bool) -> None:
        self._report, self._folder = report, folder
        self._templates = templates()
        self._templates.filters |= {
            "kind": kind,
            "link": link,
            "model_page": model_page,
            "record_page": record_page,
            "slug": slug_of,
            "task_page": lambda board: f"task-{slug_of(board)}.html",
        }
        self._shared = {"boards": report.boards, "texts": texts, "costs_of": costs_of}

    def write(self) -> None:
        rows = [(board, row) for board in self._report.boards for row in board.rows]
        self._index(rows)
        for board in self._report.boards:
            self._task(board)
            for row in board.rows:
                self._record(board, row)
        models: dict[str, list[tuple[Board, Row]]] = {}
        for board, row in rows:
            models.setdefault(str(row.entry.manifest["model"]["name"]), []).append((board, row))
        for name, mine in models.items():
            card = mine[0][1].entry.manifest["model"]
            self._write(
                model_page(name), "model", here=None, name=name, card=card, rows=mine, measure=self._measure
            )
        self._write("compare.html", "compare", here="compare")
        self._write("query.html", "query", here=None)

    @property
    def _measure(self) -> str:
        names = dict.fromkeys(board.main for board in self._report.boards)
        return next(iter(names)) if len(names) == 1 else "Main measure"

    def _index(self, rows: list[tuple[Board, Row]]) -> None:
        report = self._report
        self._write(
            "index.html",
            "index",
            here="index",
            measure=self._measure,
            rows=rows,
            kinds=sorted({kind(row.entry) for _, row in rows}),
            hashes={row.entry.record.hash for _, row in rows},
            n_records=report.records,
            models=report.models,
            answers=report.answers,
            judges=report.judges,
            problems=report.problems,
            figures=report.figures,
            published=published(),
        )

    def _task(self, board: Board) -> None:
        rows = [(board, row) for row in board.rows]
        page = f"task-{slug_of(board)}.html"
        self._write(page, "task", here=board.name, board=board, rows=rows, parts_of_queries=_by_part(board))

    def _record(self, board: Board, row: Row) -> None:
        entry = row.entry
        others = [one for one in board.entries if one is not entry]
        self._write(
            record_page(entry),
            "record",
            here=None,
            board=board,
            entry=entry,
            row=row,
            costs=costs_of(entry, board),
            others=others,
            stages=Counter(stages(entry)).most_common(),
            manifest=json.dumps(entry.manifest, indent=2, ensure_ascii=False),
        )

    def _write(self, page: str, template: str, **values: Any) -> None:
        text = self._templates.get_template(f"{template}.html.j2").render(self._shared | values)
        (self._folder / page).write_bytes(text.encode(errors="replace"))


def _by_part(board: Board) -> list[tuple[str, int, dict[str, float | None]]]:
    """Each part of the queries, how many they are, and each record's mean over them by its hash."""
    parts: list[tuple[str, int, dict[str, float | None]]] = []
    for name in board.subsets:
        found = {e.record.hash: e.estimate(board.main, name) for e in board.entries}
        counts = (e.record.scores["subsets"].get(name, {}).get("n_queries") for e in board.entries)
        means = {one: None if estimate is None else estimate.value for one, estimate in found.items()}
        parts.append((name, next(filter(None, counts), 0), means))
    split = next((e.columns["split"] for e in board.entries if "split" in e.columns), None)
    for value in sorted(set(split or ())):
        chosen = np.array([one == value for one in split or ()])
        part = {e.record.hash: float(e.columns[board.main][chosen].mean()) for e in board.entries}
        parts.append((value, int(chosen.sum()), dict(part)))
    return parts


def kind(entry: Entry) -> str:
    """What a pipeline is, in a word."""
    return "finetuned" if entry.base and entry.stage == "dense" else entry.stage


def link(address: str) -> markupsafe.Markup:
    """An address as a link, if it is one of the web; a card may hold any text."""
    if not address.startswith(("https://", "http://")):
        return markupsafe.escape(address)
    return markupsafe.Markup('<a href="{0}">{0}</a>').format(address)


def slug_of(board: Board) -> str:
    """The board's part in the names of files."""
    return slug(board.name)


def record_page(entry: Entry) -> str:
    """The file of a record's page."""
    return f"record-{entry.record.hash}.html"


def model_page(name: str) -> str:
    """The file of a model's page."""
    return f"model-{slug(name)}.html"
