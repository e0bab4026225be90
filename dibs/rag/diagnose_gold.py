"""Where the gold of each question stood: among the passages, further down, or nowhere in the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dibs.data.dataset import Qrels
from dibs.errors import DamagedError
from dibs.rag.diagnose_records import Sheet
from dibs.rag.resampling import Floats
from dibs.records import RUN, Record, all_records
from dibs.retrieval.run import read_run

_OPPOSITE = {"bm25": "dense", "dense": "bm25"}


@dataclass(frozen=True)
class GoldPlaces:
    """The share of each question's gold documents that stood somewhere; every field is (queries,).

    `context`, `next`, `later` and `absent` sum to 1.
    """

    context: Floats
    """Among the passages."""
    next: Floats
    """In the run, among as many documents again as there were passages."""
    later: Floats
    """In the run, below that."""
    absent: Floats
    """Not in the run."""
    other: dict[str, Floats]
    """Absent, but in the first half of a run of the other kind (words or vectors), by its pipeline."""
    recorded: dict[str, Floats]
    """Among as many documents as there were passages in another pipeline's run, by its name."""
    depth: int
    """Documents that the run keeps of a query, at most."""

    @property
    def split(self) -> dict[str, Floats]:
        """The four places, the best first."""
        return {"context": self.context, "next": self.next, "later": self.later, "absent": self.absent}


def gold_places(sheet: Sheet, retrieval: Record, qrels: Qrels, results: Path) -> GoldPlaces:
    """Where the gold stood in the run that gave the passages, and in those of other recorded pipelines.

    Args:
        retrieval: The record whose run gave the passages.

    Raises:
        DamagedError: that record is not whole.
    """
    retrieval.check()
    gold = [[doc for doc, grade in qrels.get(query, {}).items() if grade > 0] for query in sheet.queries]
    rankings = _rankings(retrieval, sheet.queries)
    places: dict[str, list[float]] = {name: [] for name in ("context", "next", "later", "absent")}
    for wanted, given, ranking in zip(gold, sheet.passages, rankings, strict=True):
        again = set(ranking[: 2 * len(given)])
        found = [
            "context" if d in given else "next" if d in again else "later" if d in ranking else "absent"
            for d in wanted
        ]
        for name, shares in places.items():
            shares.append(found.count(name) / max(1, len(wanted)))
    k = max(map(len, sheet.passages))
    depth = max(map(len, rankings))
    records = [r for r in all_records(results) if _comparable(r, retrieval)]
    opposite = [r for r in records if _kind(r.manifest["inputs"]["pipeline"]) == _opposite(retrieval)]
    return GoldPlaces(
        **{name: np.array(shares) for name, shares in places.items()},
        other={
            r.pipeline: _gained(gold, rankings, _rankings(r, sheet.queries), depth // 2) for r in opposite
        },
        recorded={r.pipeline: seen for r in records if (seen := _recall(r, sheet.queries, k)) is not None},
        depth=depth,
    )


def _comparable(record: Record, retrieval: Record) -> bool:
    """Whether it is another retrieval on the same data, and whole."""
    try:
        alike = record.manifest["inputs"]["data"] == retrieval.manifest["inputs"]["data"]
    except (DamagedError, KeyError, TypeError):
        return False
    return alike and record.name != retrieval.name and not record.faults()


def _kind(pipeline: Mapping[str, Any]) -> str | None:
    return pipeline.get("retriever")


def _opposite(retrieval: Record) -> str | None:
    """The kind that a hybrid would add: none to what is a hybrid already."""
    pipeline = retrieval.manifest["inputs"]["pipeline"]
    kind = _kind(pipeline["first"] if _kind(pipeline) == "reranking" else pipeline)
    return _OPPOSITE.get(kind or "", "none")


def _rankings(record: Record, queries: Sequence[str]) -> list[list[str]]:
    found = read_run(record.folder / RUN, queries).rankings
    return [found[query].documents for query in queries]


def _gained(gold: list[list[str]], own: list[list[str]], other: list[list[str]], first: int) -> Floats:
    """The share of the gold that `own` lacks and `other` has among its `first`."""
    rows = zip(gold, own, other, strict=True)
    return np.array(
        [len(set(wanted) & set(b[:first]) - set(a)) / max(1, len(wanted)) for wanted, a, b in rows]
    )


def _recall(record: Record, queries: Sequence[str], k: int) -> Floats | None:
    """The record's recall at k of each query; None where it was not measured."""
    frame = record.queries().set_index("query_id")
    if f"recall@{k}" not in frame or not set(queries) <= set(frame.index):
        return None
    return np.asarray(frame.loc[list(queries), f"recall@{k}"], dtype=np.float64)
