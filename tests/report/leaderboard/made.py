"""Records made by hand: their queries' measures are given, and all else follows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dibs.records import QUERIES, RUN, SCORES, Record, record_folder, table_bytes, write_record
from dibs.retrieval.run import Run, write_run
from dibs.scoring.statistics import Estimate, estimate

CARD = {
    "name": "Tiny",
    "description": "A task <b>of</b> tests.",
    "source": {"kind": "beir"},
    "licence": "apache-2.0",
    "citation": "none",
}
DATA = "d" * 64
COST = {
    "encode_documents": 4.0,
    "encode_queries": 0.5,
    "index": 0.0,
    "search": 0.5,
    "documents_encoded": 1000,
    "queries_encoded": 10**6,
    "documents_cut": 3,
    "queries_cut": 0,
    "billed_tokens": None,
    "usd": None,
}


def dense(name: str) -> dict[str, Any]:
    """A dense pipeline's settings."""
    return {"retriever": "dense", "query": {"weights": name}, "document": {"weights": name}}


def reranked(first: dict[str, Any], name: str = "judge", candidates: int = 30) -> dict[str, Any]:
    """A reranked pipeline's settings."""
    return {
        "retriever": "reranking",
        "first": first,
        "reranker": {"weights": name},
        "candidates": candidates,
        "top_k": None,
    }


def hybrid(*parts: dict[str, Any]) -> dict[str, Any]:
    """A hybrid's settings."""
    return {"retriever": "hybrid", "fusion": "rrf", "constant": 60, "weights": None, "parts": list(parts)}


def retrieval(
    results: Path,
    pipeline: str,
    recall: Sequence[float],
    *,
    on: str = "Tiny",
    settings: dict[str, Any] | None = None,
    clusters: Sequence[str] | None = None,
    split: Sequence[str] | None = None,
    data: str = DATA,
    run: dict[str, dict[str, float]] | None = None,
    card: dict[str, Any] | None = None,
    intervals: bool = True,
    **manifest: Any,
) -> Record:
    """Write a record whose queries q0, q1, ... have that recall@10; `manifest` changes what it says."""
    settings = settings or dense(pipeline)
    ids = [f"q{number}" for number in range(len(recall))]
    inputs = {"task": on, "data": data, "template": "{text}", "pipeline": settings, "depth": 100}
    folder = record_folder(results, on, pipeline, inputs)
    columns = {
        "recall@10": np.array(recall, float),
        "recall@100": np.maximum(recall, 0.5),
        "success@10": np.array([float(value > 0) for value in recall]),
        "ndcg@10": np.array(recall, float) * 0.8,
    }
    table = np.column_stack(list(columns.values()))
    found = [Estimate(float(mean), mean - 0.01, mean + 0.01) for mean in table.mean(axis=0)]
    if intervals:  # which take seconds where queries are many
        found = estimate(table, None if clusters is None else list(clusters))
    measures = {name: one.as_dict() for name, one in zip(columns, found, strict=True)}
    scores = {"subsets": {"all": {"n_queries": len(ids), "measures": measures}}}
    rows: dict[str, Any] = {"query_id": ids}
    rows |= {} if clusters is None else {"cluster": list(clusters)}
    rows |= {} if split is None else {"split": list(split)}
    ranked = run or {query: {f"{pipeline}-d{number}": 1.0} for number, query in enumerate(ids)}
    folder.mkdir(parents=True, exist_ok=True)
    write_run(Run.of(ranked, ids), folder / RUN, pipeline.replace(" ", "-"))
    made = {
        "pipeline": pipeline,
        "inputs": inputs,
        "model": {"name": pipeline.split(" ")[0], "adapter": "toy", "parameters": 22_000_000},
        "cost": COST,
        "about": {},
        "command": f"dibs run --model '{pipeline}'",
        "created": "2026-11-22T12:00:00+00:00",
        "task": CARD | {"name": on} | (card or {}),
        "data": {
            "sha256": data,
            "queries": len(ids),
            "documents": 1000,
            "empty_documents": 0,
            "duplicate_documents": 0,
            "lacking": None,
            "notes": [],
        },
        "scoring": {
            "measures": list(columns),
            "main_measure": "recall@10",
            "cluster": None if clusters is None else "filing",
            "split_by": None if split is None else "kind",
            "subsets": {},
            "interval": {"seed": 1},
        },
    }
    files = {
        SCORES: json.dumps(scores).encode(),
        QUERIES: table_bytes(rows | {name: list(column) for name, column in columns.items()}),
    }
    return write_record(folder, made | manifest, files)


def answers(
    results: Path,
    retrieved: Record,
    verdicts: Sequence[str | None],
    *,
    generator: str = "gpt",
    queries: Sequence[str] | None = None,
) -> Record:
    """Write a record of answers that were given that record's documents, to q0, q1, ... or `queries`."""
    pipeline = f"{retrieved.pipeline} > {generator}"
    inputs = {"kind": "answers", "retrieval": retrieved.hash, "generator": generator}
    scored = [float(verdict == "correct") for verdict in verdicts if verdict]
    (found,) = estimate(np.array(scored)[:, None])
    ids = list(queries or [f"q{number}" for number in range(len(verdicts))])
    rows = [
        {"query_id": query, "passages": ["d"], "gold_in_context": True, "answer": f"It is {query}."}
        for query in ids
    ]
    graded = [
        {"query_id": query, "verdict": verdict, "reason": "the numbers differ"}
        for query, verdict in zip(ids, verdicts, strict=True)
    ]
    scores = {"subsets": {"all": {"n_queries": len(ids), "accuracy": found.as_dict()}}}
    manifest = {
        "kind": "answers",
        "pipeline": pipeline,
        "arm": "retrieved",
        "retrieval": retrieved.name,
        "generator": {"name": generator},
        "judge_name": "rules",
        "inputs": inputs,
        "task": retrieved.manifest["task"],
    }
    files = {
        SCORES: json.dumps(scores).encode(),
        QUERIES: table_bytes({"query_id": ids, "verdict": list(verdicts)}),
        "answers.jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode(),
        "verdicts.jsonl": "".join(json.dumps(row) + "\n" for row in graded).encode(),
    }
    return write_record(record_folder(results, retrieved.task, pipeline, inputs), manifest, files)


def calibration(results: Path, judge: str, accuracy: float, kappa: float) -> Record:
    """Write a record of a judge's calibration."""
    inputs = {"kind": "calibration", "judge": judge}
    value = {"value": accuracy, "low": accuracy - 0.05, "high": accuracy + 0.05}
    scores = {"accuracy": value, "kappa": {"value": kappa, "low": kappa, "high": kappa}}
    manifest = {"kind": "calibration", "judge_name": judge, "inputs": inputs}
    files = {SCORES: json.dumps(scores).encode()}
    return write_record(record_folder(results, "calibration", judge, inputs), manifest, files)
