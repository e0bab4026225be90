"""Reading what a reranking API replies, and believing nothing of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from dibs.encoders.base import FloatArray
from dibs.llm.calls import MalformedReplyError


@dataclass(frozen=True)
class Reply:
    """What came for one request."""

    scores: FloatArray
    """(n,) in the order of the documents."""
    billed_tokens: int
    """As the provider counts; 0 if it does not say."""


@contextmanager
def reading(body: bytes) -> Iterator[Any]:
    """The JSON in `body`; whatever the block finds amiss in it is a malformed reply.

    Raises:
        MalformedReplyError: it is no JSON, or lacks what the block takes from it.
    """
    try:
        yield json.loads(body)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise MalformedReplyError(f"{type(error).__name__}: {error} (in {len(body):,} bytes)") from None


def read_reply(body: bytes, count: int) -> Reply:
    """The scores in a reply: a list of `index` and `relevance_score` or `score`, by itself (TEI) or
    under `results` (Cohere, Jina, vLLM, Infinity) or `data` (Voyage).

    Raises:
        MalformedReplyError: it is not of that form, or not one finite score for each of `count` documents.
    """
    with reading(body) as content:
        rows = (
            content if isinstance(content, list) else content["results" if "results" in content else "data"]
        )
        found = {
            _place(row): _number(row["relevance_score" if "relevance_score" in row else "score"])
            for row in rows
        }
        if len(rows) != count or set(found) != set(range(count)):
            raise ValueError(f"{len(rows)} scores for {count} documents, or wrong indices")
        return Reply(finite([found[place] for place in range(count)]), billed_tokens(content))


def finite(numbers: list[float]) -> FloatArray:
    """(n,) float32; ValueError if one is not finite in that precision."""
    with np.errstate(over="ignore"):
        scores = np.array(numbers, dtype=np.float32)
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite")
    return scores


def billed_tokens(content: Any) -> int:
    """`usage.total_tokens`; 0 where it is not said."""
    usage = content.get("usage") if isinstance(content, dict) else None
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    return total if isinstance(total, int) else 0


def _place(row: Any) -> int:
    place = row["index"]
    if type(place) is not int:
        raise TypeError("an index is no whole number")
    return place


def _number(value: Any) -> float:
    if type(value) not in (int, float):
        raise TypeError("a score is no number")
    return float(value)
