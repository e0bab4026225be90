"""What the pages load when it is asked for: a file for each board, record and group of texts.

A page that is opened from disk may not fetch JSON, so each file is a script that hands its JSON over.
All of it is ASCII with everything else escaped, and pages put it in as text only.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

from dibs.data.dataset import Dataset
from dibs.errors import DibsError
from dibs.files import slug
from dibs.rag.record import read_stored
from dibs.records import RUN
from dibs.report.data import data_of
from dibs.report.leaderboard.boards import Board
from dibs.report.leaderboard.build import Report
from dibs.report.leaderboard.entries import Entry
from dibs.report.leaderboard.stages import stages
from dibs.report.leaderboard.words import columns
from dibs.retrieval.run import read_run
from dibs.scoring.levels import unit_qrels
from dibs.workspace import Workspace

SHOWN = 10
"""Ranked documents that a query's page shows."""
_GROUP = 20
"""Documents whose texts are in one file."""
_LONGEST = 8_000
"""Characters of a text that are shown."""


def write_data(report: Report, folder: Path, workspace: Workspace | None) -> list[str]:
    """Write every file below `folder`; what has to be known of the texts, one line a task.

    Args:
        workspace: Where the prepared data is; None shows no texts and no gold.
    """
    notes: list[str] = []
    listed = []
    for board in report.boards:
        dataset = None
        if workspace is not None:
            try:
                dataset = data_of(board.entries[0].record, workspace)
                notes.append(f"the pages hold texts of {board.name}; its licence: {board.task['licence']}")
            except DibsError as error:
                notes.append(f"no texts of {board.name}: {error}")
        _write_board(board, folder, dataset)
        listed += [_listed(entry, board) for entry in board.entries]
    write_script(folder, "records", {"records": listed, "answers": _answers(report, folder)})
    return notes


def write_script(folder: Path, name: str, value: Any) -> None:
    """A file that hands `value` to the page that loads it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.js").write_text(f'DIBS.receive("{name}",{text});\n', encoding="ascii")


def _listed(entry: Entry, board: Board) -> dict[str, Any]:
    return {
        "hash": entry.record.hash,
        "board": board.name,
        "slug": slug(board.name),
        "pipeline": entry.pipeline,
        "main": board.main,
        "value": entry.value,
    }


def _write_board(board: Board, folder: Path, dataset: Dataset | None) -> None:
    ids, name = board.entries[0].query_ids, slug(board.name)
    qrels = unit_qrels(dataset, board.entries[0].manifest["task"].get("levels", ())) if dataset else {}
    gold = {query: [doc for doc, grade in qrels.get(query, {}).items() if grade > 0] for query in ids}
    numbers: dict[str, int] = {}  # of documents, as they come; a page names each once
    shared: dict[str, Any] = {"queries": ids, "pairs": _pairs(board), "texts": None}
    if dataset:
        queries = [dataset.query(query) for query in ids]
        shared["texts"] = [_cut(query["text"]) for query in queries]
        shared["answers"] = [_cut(query.get("answer", "")) for query in queries]
        shared["gold"] = [_numbered(gold[query], numbers) for query in ids]
        shared["group"] = _GROUP
    for entry in board.entries:  # one by one: a run takes a great deal of memory
        write_script(folder, f"record-{entry.record.hash}", _record(entry, board, gold, numbers))
    shared["documents"] = list(numbers)
    write_script(folder, f"board-{name}", shared)
    if dataset:
        for begin in range(0, len(numbers), _GROUP):
            texts = [_document(dataset, one) for one in shared["documents"][begin : begin + _GROUP]]
            write_script(folder, f"texts-{name}-{begin // _GROUP}", texts)


def _record(
    entry: Entry, board: Board, gold: dict[str, list[str]], numbers: dict[str, int]
) -> dict[str, Any]:
    found = stages(entry)
    labels = list(dict.fromkeys(found))
    shown = [name for name in (board.main, *columns(board)) if name in entry.columns]
    value: dict[str, Any] = {
        "values": {name: [round(float(v), 4) for v in entry.columns[name]] for name in shown},
        "stages": labels,
        "stage": [labels.index(label) for label in found],
        "depth": entry.manifest["inputs"].get("depth"),
    }
    if any(fault.startswith(RUN) for fault in entry.record.faults()):
        return value  # the report says what is wrong with its run
    rankings = read_run(entry.record.folder / RUN, entry.query_ids).rankings
    ranked = [rankings[query] for query in entry.query_ids]
    value["ranked"] = [_numbered(ranking.documents[:SHOWN], numbers) for ranking in ranked]
    value["scores"] = [[float(f"{score:.5g}") for score in ranking.scores[:SHOWN]] for ranking in ranked]
    value["goldRanks"] = [
        [_rank(rankings[query].documents, name) for name in gold[query]] for query in entry.query_ids
    ]
    return value


def _numbered(names: list[str], numbers: dict[str, int]) -> list[int]:
    return [numbers.setdefault(name, len(numbers)) for name in names]


def _rank(documents: list[str], name: str) -> int | None:
    return documents.index(name) + 1 if name in documents else None


def _pairs(board: Board) -> dict[str, Any]:
    """The paired difference of every two records: the first one's hash and the second's, in that order."""
    pairs = {}
    for a, b in combinations(range(len(board.entries)), 2):
        found = board.comparison.difference(a, b)
        names = (board.entries[a].record.hash, board.entries[b].record.hash)
        pairs["-".join(names)] = asdict(found.estimate) | {
            "p": found.p,
            "won": found.won,
            "lost": found.lost,
            "tied": found.tied,
        }
    return pairs


def _answers(report: Report, folder: Path) -> dict[str, list[str]]:
    """Write each record's answers; their files' names by the hash of the retrieval they were given."""
    written: dict[str, list[str]] = {}
    for one in report.answers:
        name = f"answers-{one.record.hash}"
        answers, verdicts = read_stored(one.record)
        rows = {
            answer.query_id: {
                "answer": _cut(answer.answer or ""),
                "error": answer.error,
                "gold": answer.gold_in_context,
                "verdict": str(graded.verdict) if graded.verdict else None,
                "reason": graded.reason,
            }
            for answer, graded in zip(answers, verdicts, strict=True)
        }
        about = {"arm": one.arm, "generator": one.generator, "judge": one.judge}
        write_script(folder, name, about | {"rows": rows})
        written.setdefault(one.retrieval or f"task:{one.task}", []).append(name)
    return written


def _document(dataset: Dataset, name: str) -> dict[str, str]:
    row = dataset.document(name)
    return {"title": _cut(row.get("title", "")), "text": _cut(row["text"])}


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… (cut)"
