"""What is said of a task's labels, a line each."""

from __future__ import annotations

from collections.abc import Iterator

from dibs.labelling.qrels import State

_NAMED = 10
"""Queries that are named of many."""


def lines(found: State) -> Iterator[str]:
    """Who judged how much, what it gives, what was pooled, and how far labellers agree."""
    people = found.people
    for who in people.labellers:
        yield f"{who}: {sum(who in said for said in people.said.values()):,} judged"
    if found.given:
        yield f"given with the task: {len(found.given):,} judgements"
    if found.gone:
        yield f"left out: {found.gone:,} judgements of queries or documents that are no longer there"
    yield (
        f"{len(found.relevant):,} of {len(found.queries):,} queries have a relevant document; "
        f"{found.judged_per_query:.1f} documents are judged of a query"
    )
    if found.without:
        more = f" and {len(found.without) - _NAMED:,} more" if len(found.without) > _NAMED else ""
        yield f"without one, and left out of scoring: {', '.join(found.without[:_NAMED])}{more}"
    for pool in found.pools:
        yield f"pooled: the first {pool.get('depth')} of {' and '.join(pool.get('models', []))}"
    for one in people.agreements():
        kappa = "not defined" if one.kappa is None else f"{one.kappa:.2f}"
        limits = "" if one.low is None or one.high is None else f" [{one.low:.2f}, {one.high:.2f}]"
        both = f"{one.first} and {one.second} agree on {one.same:,} of {one.pairs:,}"
        yield f"{both}; Cohen's kappa {kappa}{limits}"
    if differing := people.differing():
        yield (
            f"{len(differing):,} judged differently, where the lower grade counts; "
            "go through them with --disagreements"
        )
