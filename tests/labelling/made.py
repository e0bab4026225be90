"""A small task whose gold nobody knows, and what is asked of it."""

from __future__ import annotations

import json
from pathlib import Path

from dibs.labelling.journal import Journal, Label, Pair
from dibs.labelling.source import Labelled, labelled
from dibs.workspace import Workspace

DOCUMENTS = {
    "valve": "Close the valve before you open the filter housing.",
    "filter": "The filter is changed once a year.",
    "pump": "Pumps are oiled every month.",
    "oil": "Use mineral oil for pumps.",
}
QUERIES = {
    "q1": ("When is the filter changed?", "once a year"),
    "q2": ("Which oil do pumps need?", ""),
    "q3": ("umbrella", ""),
}
POOL = {"models": ["bm25"], "depth": 10, "seed": 0}
CARD = """
name = "{name}"
description = "Four documents and three queries."
measures = ["recall@1", "recall@10"]
licence = "internal"
citation = "none"

[source]
kind = "beir"
path = "{name}"

[documents]
template = "{{text}}"
"""


def make_task(
    place: Workspace,
    name: str = "Works",
    *,
    documents: dict[str, str] = DOCUMENTS,
    queries: dict[str, tuple[str, str]] = QUERIES,
    qrels: str | None = None,
) -> Path:
    """Write the task; without `qrels`, it has no file of them. Its folder."""
    folder = place.root / "tasks" / name
    folder.mkdir(parents=True)
    (folder.parent / f"{name}.toml").write_text(CARD.format(name=name))
    corpus = ({"_id": one, "title": one.title(), "text": text} for one, text in documents.items())
    asked = (
        {"_id": one, "text": text, "metadata": {"answer": answer}} for one, (text, answer) in queries.items()
    )
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    if qrels is not None:
        (folder / "qrels").mkdir()
        (folder / "qrels" / "test.tsv").write_text(qrels)
    return folder


def task(place: Workspace, qrels: str | None = None) -> Labelled:
    make_task(place, qrels=qrels)
    return labelled("Works", place)


def label(query: str, document: str, grade: int, who: str = "ann", *, settles: bool = False) -> Label:
    return Label(query, document, grade, who, "2026-11-22T10:00:00+00:00", POOL, settles)


def judge(found: Labelled, *labels: Label) -> None:
    """Write the labels to their labellers' journals."""
    for one in labels:
        with Journal(found.journal(one.labeller), one.labeller) as journal:
            journal.add(one)


PAIRS = [Pair("q1", "filter"), Pair("q1", "valve"), Pair("q2", "oil"), Pair("q2", "pump")]
