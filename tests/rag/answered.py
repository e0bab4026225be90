"""Records of answers and of retrievals, written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dibs.rag.answer import Answer, lines_of
from dibs.rag.grade import Graded
from dibs.rag.judges.base import Verdict
from dibs.records import QUERIES, RUN, SCORES, Record, record_folder, table_bytes, write_record
from dibs.retrieval.run import Run, write_run

VERDICTS = {"c": Verdict.CORRECT, "i": Verdict.INCORRECT, "r": Verdict.REFUSAL, "-": None}
SETTINGS = {"judge": "toy"}


def answered(
    results: Path,
    arm: str,
    verdicts: str,
    *,
    retrieval: Record | None = None,
    passages: Sequence[list[str]] = (),
    clusters: Sequence[str] = (),
    disputed: Sequence[int] = (),
    generator: str = "toy-llm",
    data: str = "data",
    **inputs: Any,
) -> Record:
    """Answers to q1, q2, ..., one for each letter: c(orrect), i(ncorrect), r(efusal), - (unscored)."""
    ids = [f"q{number}" for number in range(1, len(verdicts) + 1)]
    told = [VERDICTS[letter] for letter in verdicts]
    name = f"{retrieval.pipeline if retrieval else arm} > {generator}"
    inputs = {
        "kind": "answers",
        "task": "Tiny",
        "data": data,
        "arm": arm,
        "documents": {"record": retrieval.hash if retrieval else None},
        "passages": None if arm == "closed-book" else {"k": 2},
        "prompt": {"name": "closed" if arm == "closed-book" else "open"},
        "generator": {"model": generator},
        "judge": SETTINGS,
        **inputs,
    }
    manifest = {
        "kind": "answers",
        "task": {"name": "Tiny"},
        "pipeline": name,
        "arm": arm,
        "retrieval": retrieval.name if retrieval else None,
        "generator": {"name": generator},
        "judge": inputs["judge"],
        "judge_name": "toy",
        "data": {"sha256": data},
        "inputs": inputs,
    }
    given = list(passages) or [[]] * len(ids)
    answers = [Answer(query, docs, None, "an answer") for query, docs in zip(ids, given, strict=True)]
    columns: dict[str, Any] = {
        "query_id": ids,
        **({"cluster": list(clusters)} if clusters else {}),
        "verdict": [None if verdict is None else str(verdict) for verdict in told],
        "correct": [None if verdict is None else verdict is Verdict.CORRECT for verdict in told],
        "gold_in_context": [None] * len(ids),
        "known_issue": [place in disputed for place in range(len(ids))],
    }
    files = {
        "answers.jsonl": lines_of(answers),
        "verdicts.jsonl": lines_of(
            Graded(q, verdict, "so it is") for q, verdict in zip(ids, told, strict=True)
        ),
        SCORES: b"{}",
        QUERIES: table_bytes(columns),
    }
    return write_record(record_folder(results, "Tiny", name, inputs), manifest, files)


def retrieved(
    results: Path,
    name: str,
    pipeline: Mapping[str, Any],
    rankings: Mapping[str, list[str]],
    **recall: list[float],
) -> Record:
    """A run with these documents, best first; `recall` holds the column `recall@2`, if it was measured."""
    inputs = {"task": "Tiny", "data": "data", "pipeline": dict(pipeline)}
    folder = record_folder(results, "Tiny", name, inputs)
    scores = {q: {doc: float(-place) for place, doc in enumerate(docs)} for q, docs in rankings.items()}
    write_run(Run.of(scores, list(rankings)), folder / RUN, name)
    columns = {
        "query_id": list(rankings),
        **{column.replace("_", "@"): values for column, values in recall.items()},
    }
    manifest = {"task": {"name": "Tiny"}, "pipeline": name, "inputs": inputs, "data": {"sha256": "data"}}
    return write_record(folder, manifest, {SCORES: json.dumps({}).encode(), QUERIES: table_bytes(columns)})
