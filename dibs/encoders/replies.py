"""Reading what an embedding API replies, and believing nothing of it."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from dibs.encoders.base import FloatArray
from dibs.llm.calls import MalformedReplyError


@dataclass(frozen=True)
class Reply:
    """What came for one request."""

    vectors: FloatArray
    """(n, dimension) in the order of the texts."""
    billed_tokens: int
    """As the provider counts; 0 if it does not say."""


def read_reply(body: bytes, count: int) -> Reply:
    """The vectors in a reply of OpenAI's or Voyage's form: `data`, a list of `index` and `embedding`
    (numbers, or base64 of little-endian float32), and `usage.total_tokens`.

    Raises:
        MalformedReplyError: it is not of that form, or not `count` finite vectors of one dimension.
    """
    try:
        content = json.loads(body)
        rows = {item["index"]: item["embedding"] for item in content["data"]}
        if len(content["data"]) != count or set(rows) != set(range(count)):
            raise MalformedReplyError(f"{len(content['data'])} vectors for {count} texts, or wrong indices")
        with np.errstate(over="ignore"):  # becomes infinite, which is refused below
            vectors = np.array([_numbers(rows[place]) for place in range(count)], dtype=np.float32)
        usage = content.get("usage")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MalformedReplyError(f"{type(error).__name__}: {error} (in {len(body):,} bytes)") from None
    if vectors.ndim != 2 or not vectors.size or not np.isfinite(vectors).all():
        raise MalformedReplyError("a vector is empty or not of finite numbers")
    billed = usage.get("total_tokens") if isinstance(usage, dict) else None
    return Reply(vectors, billed if isinstance(billed, int) else 0)


def _numbers(embedding: Any) -> FloatArray:
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4").astype(np.float32)
    return np.array(embedding, dtype=np.float32)
