"""Which stage of a pipeline is to blame for a query, as far as the record itself can tell."""

from __future__ import annotations

from dibs.report.leaderboard.entries import Entry
from dibs.scoring.measures import Measure


def stages(entry: Entry) -> list[str]:
    """For each query what kept it from a full main measure, or that nothing did."""
    measure = Measure.parse(entry.main)
    k = measure.k
    values = entry.columns[entry.main]
    if entry.stage == "reranking":
        return _reranked(entry, k)
    deepest = _deepest(entry)
    reached = entry.columns[str(deepest)] if deepest else values
    depth = deepest.k if deepest else k
    return [
        "found"
        if value >= 1
        else f"ranked below {k}"
        if found > value
        else f"partly found within {k}"
        if value > 0
        else f"not among the first {depth}"
        for value, found in zip(values, reached, strict=True)
    ]


def _deepest(entry: Entry) -> Measure | None:
    """The recall at the greatest k, which says what a reranker could still have found."""
    measures = map(Measure.parse, entry.manifest["scoring"]["measures"])
    return max((one for one in measures if one.kind == "recall"), key=lambda one: one.k, default=None)


def _reranked(entry: Entry, k: int) -> list[str]:
    gold = entry.manifest["about"].get("gold", {})
    out, missing = (
        set(gold.get(kind, {}).get("queries", ())) for kind in ("pushed out", "missing from the candidates")
    )
    return [
        "found"
        if value >= 1
        else f"reranker: pushed out of the first {k}"
        if query in out
        else "first stage: not among its candidates"
        if query in missing
        else f"reranker: left below {k}"
        for query, value in zip(entry.query_ids, entry.columns[entry.main], strict=True)
    ]
