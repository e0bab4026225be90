"""What a set of training pairs is made of, what filters left out, and what it has seen of a test."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from dibs.llm.chat import Estimate
from dibs.report.terminal import plain_table, printable
from dibs.training.pairs import PairSet

_SHOWN = 8
"""Pairs and rejects that are shown, drawn with a fixed seed."""
_LONGEST = 120


def as_json(found: PairSet, place: str, rejects: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """What the views show, as JSON."""
    manifest = found.manifest
    names = ("counts", "drawn", "avoided", "without_queries", "failed", "filters", "leakage", "cost", "note")
    return {
        "pairs": place,
        **{name: manifest[name] for name in names if name in manifest},
        "sample": [_short(pair.__dict__) for pair in _drawn(found.pairs)],
        "rejects": [_short(reject) for reject in _drawn(rejects)],
    }


def synthesized_view(found: PairSet, place: str, *, reused: bool) -> list[RenderableType]:
    """A set as `dibs synthesize` leaves it."""
    manifest = found.manifest
    lines = [
        f"{_head(found, place)}{', made before' if reused else ''}.",
        f"Of {manifest['drawn']:,} documents drawn, {manifest['without_queries']:,} had nothing to ask about"
        f" and {manifest['failed']:,} failed; {manifest['avoided']:,} were not to be drawn.",
        *(f"  {one['document_id']}: {one['error']}" for one in manifest["failures"][:3]),
        _cost_line(manifest["cost"]),
        f"It {manifest['note']} ({manifest['licence']}).",
    ]
    return [*_texts(lines), _kinds(found), *_sampled("Some of them", _drawn(found.pairs))]


def filtered_view(
    found: PairSet, place: str, rejects: Sequence[Mapping[str, Any]], *, reused: bool
) -> list[RenderableType]:
    """A set as `dibs filter` leaves it: keep rates, leakage, and a sample of rejects."""
    manifest = found.manifest
    source = manifest["source"]
    rows = [
        {name: one[name] for name in ("filter", "pairs", "rejected", "unsure")}
        | {"keep rate": "" if one["keep_rate"] is None else f"{one['keep_rate']:.1%}", "about": _about(one)}
        for one in manifest["filters"]
    ]
    head = f"{_head(found, place)} of the {source['pairs']:,} in {source['name']}"
    lines = [f"{head}{', filtered before' if reused else ''}."]
    lines += [line for one in manifest["leakage"] for line in _leakage_lines(one)]
    lines += [_cost_line(one["cost"]) for one in manifest["filters"]]
    lines.append(f"It {manifest['note']} ({manifest['licence']}).")
    table = plain_table(rows, ["filter", "pairs", "rejected", "unsure", "keep rate", "about"])
    return [*_texts(lines), table, _kinds(found), *_rejected(_drawn(rejects))]


def cost_view(ahead: Mapping[str, Estimate]) -> list[RenderableType]:
    """What would be asked, and what it would cost at most."""
    return [
        plain_table(
            cost_rows(ahead),
            ["llm", "requests", "cached", "prompt tokens", "answer tokens", "usd", "usd by batch"],
        )
    ]


def cost_rows(ahead: Mapping[str, Estimate]) -> list[dict[str, Any]]:
    """The rows of `cost_view`; the tokens of answers are the most there can be."""
    return [
        {
            "llm": name,
            "requests": one.requests,
            "cached": one.cached,
            "prompt tokens": one.prompt_tokens,
            "answer tokens": one.completion_tokens,
            "usd": None if one.usd is None else round(one.usd, 4),
            "usd by batch": None if one.batch_usd is None else round(one.batch_usd, 4),
        }
        for name, one in ahead.items()
    ]


def _head(found: PairSet, place: str) -> str:
    counts = found.manifest["counts"]
    held = counts["splits"]["development"]
    return (
        f"{place}: {counts['pairs']:,} pairs of {counts['documents']:,} documents, "
        f"{held['pairs']:,} of them held out ({held['groups']:,} of {counts['groups']:,} groups)"
    )


def _kinds(found: PairSet) -> RenderableType:
    rows = [{"kind": kind, "pairs": count} for kind, count in found.manifest["counts"]["kinds"].items()]
    return plain_table(rows, ["kind", "pairs"])


def _leakage_lines(one: Mapping[str, Any]) -> list[str]:
    seen, removed = one["seen"], one["removed"]
    by = ", ".join(f"{count:,} {reason}" for reason, count in removed.items())
    checked = one["rules"]["encoder"]
    how = f"cosines by {checked}" if checked else "cosines were not looked at"
    groups = (
        ""
        if seen["gold_groups"] is None
        else f", and {seen['groups_trained_on']:,} of its {seen['gold_groups']:,} gold groups"
    )
    return [
        f"Leakage from {one['task']}: {sum(removed.values()):,} of {one['pairs']:,} queries removed "
        f"({by}; {how}).",
        f"{len(seen['trained_on']):,} of its {seen['gold_documents']:,} gold documents ({seen['share']:.1%})"
        f"{groups} are among these pairs; {len(seen['queries']):,} of its queries have one.",
    ]


def _about(one: Mapping[str, Any]) -> str:
    """A filter's further numbers on one line."""
    flat = {
        name: value
        for key, found in one["about"].items()
        for name, value in (found.items() if isinstance(found, dict) else [(key, found)])
    }
    return ", ".join(f"{name} {value}" for name, value in flat.items())


def _sampled(title: str, pairs: Sequence[Any]) -> list[RenderableType]:
    rows = [_short(pair.__dict__) for pair in pairs]
    return [*_texts([f"{title}:"]), plain_table(rows, ["kind", "query", "document_id"])] if rows else []


def _rejected(rejects: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    rows = [_short(reject) for reject in rejects]
    title = "Some of what was left out (all of it is in rejects.jsonl.gz):"
    return [*_texts([title]), plain_table(rows, ["filter", "why", "query", "document_id"])] if rows else []


def _drawn(found: Sequence[Any]) -> list[Any]:
    places = sorted(random.Random(0).sample(range(len(found)), min(_SHOWN, len(found))))
    return [found[place] for place in places]


def _short(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row's texts on one line, without the document's."""
    return {
        name: printable(" ".join(value.split()))[:_LONGEST] if isinstance(value, str) else value
        for name, value in row.items()
        if name != "document"
    }


def _cost_line(cost: Mapping[str, Any] | None) -> str:
    if not cost:
        return ""
    usd = "" if cost["usd"] is None else f", {cost['usd']:.4f} USD"
    tokens = f"{cost['prompt_tokens']:,} tokens read and {cost['completion_tokens']:,} written"
    asked = f"{cost['requests']:,} requests, {cost['cached']:,} at hand, {cost['failed']:,} failed"
    return f"{asked}; {tokens}{usd}."


def _texts(lines: Sequence[str]) -> list[RenderableType]:
    return [Text(printable(line)) for line in lines if line]
