"""What a pipeline costs: to index a corpus, and to answer a thousand queries."""

from __future__ import annotations

from dataclasses import dataclass

from dibs.report.leaderboard.boards import Board
from dibs.report.leaderboard.entries import Entry

_WHOLE = 0.9
"""The share of texts or pairs that must have been worked on for a time to be the whole work's: texts
that repeat are worked on once, and a run whose vectors were in the store took no time of note."""
_LOADED = 1e-5
"""Seconds a document below which BM25's index was not built but loaded, which takes less than a
tenth of that; building takes ten times as long."""


@dataclass(frozen=True)
class Costs:
    """Of one pipeline, its parts included; None is not known, as where vectors were in the store already."""

    index_seconds: float | None
    """To encode and index the whole corpus."""
    index_usd: float | None
    """Billed for the run, if its documents were sent; a run's few queries are in it."""
    query_seconds: float | None
    """For a thousand queries."""
    query_usd: float | None
    """Billed for a thousand queries, where nothing but queries or pairs were sent."""


def costs_of(entry: Entry, board: Board) -> Costs:
    """What the record says of its own work, and those of its parts of theirs."""
    parts = board.parts_of(entry)
    own = _own(entry)
    if parts is None:
        return Costs(None, None, None, None)
    all_of = [own, *(costs_of(part, board) for part in parts)]
    return Costs(
        _sum([one.index_seconds for one in all_of]),
        _some([one.index_usd for one in all_of]),
        _sum([one.query_seconds for one in all_of]),
        _some([one.query_usd for one in all_of]),
    )


def _own(entry: Entry) -> Costs:
    cost, data = entry.manifest["cost"], entry.manifest["data"]
    thousands = data["queries"] / 1000
    usd = cost.get("usd")
    if entry.stage == "imported":
        return Costs(None, None, None, None)
    if entry.stage == "hybrid":
        return Costs(0.0, None, cost["search"] / thousands, None)
    if entry.stage == "reranking":
        pairs = data["queries"] * entry.settings["candidates"]
        whole = (entry.manifest["about"].get("pairs_scored") or 0) >= _WHOLE * pairs
        return Costs(
            0.0,
            None,
            cost["search"] / thousands if whole else None,
            usd / thousands if usd is not None and whole else None,
        )
    if entry.stage == "dense":
        documents = cost["documents_encoded"] >= _WHOLE * (data["documents"] - data["duplicate_documents"])
        queries = cost["queries_encoded"] >= _WHOLE * data["queries"]
    else:
        documents, queries = cost["index"] >= _LOADED * data["documents"], True
    return Costs(
        cost["encode_documents"] + cost["index"] if documents else None,
        usd if documents else None,
        (cost["encode_queries"] + cost["search"]) / thousands if queries else None,
        usd / thousands if usd is not None and queries and not cost["documents_encoded"] else None,
    )


def _sum(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _some(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
