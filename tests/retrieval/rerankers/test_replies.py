from __future__ import annotations

import json
from typing import Any

import pytest

from dibs.llm.calls import MalformedReplyError
from dibs.retrieval.rerankers.replies import read_reply


def _rows(*scores: Any, name: str = "relevance_score") -> list[dict[str, Any]]:
    return [{"index": place, name: score} for place, score in enumerate(scores)]


GOOD = {
    "Cohere": {"results": _rows(0.25, 0.5), "meta": {"billed_units": {"search_units": 1}}},
    "Jina": {
        "results": [row | {"document": {"text": "x"}} for row in _rows(0.25, 0.5)],
        "usage": {"total_tokens": 7},
    },
    "Voyage": {"object": "list", "data": _rows(0.25, 0.5), "usage": {"total_tokens": 7}},
    "TEI": _rows(0.25, 0.5, name="score"),
    "best first": {"results": _rows(0.25, 0.5)[::-1]},
    "whole numbers": {"results": _rows(0.25, 0.5), "usage": None},
}


@pytest.mark.parametrize("content", GOOD.values(), ids=GOOD)
def test_every_protocol_gives_the_scores_in_the_order_of_the_documents(content: Any) -> None:
    assert read_reply(json.dumps(content).encode(), 2).scores.tolist() == [0.25, 0.5]


def test_billed_tokens_are_what_the_provider_says_and_else_0() -> None:
    replies = {name: read_reply(json.dumps(content).encode(), 2) for name, content in GOOD.items()}
    billed = {name: reply.billed_tokens for name, reply in replies.items()}
    assert billed == {"Cohere": 0, "Jina": 7, "Voyage": 7, "TEI": 0, "best first": 0, "whole numbers": 0}


def test_logits_may_be_below_0_and_whole() -> None:
    assert read_reply(json.dumps(_rows(-11, 3, name="score")).encode(), 2).scores.tolist() == [-11, 3]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Welcome to the hotel's network</html>",
        b'{"results": "\xff\xfe"}',
        b"[" * 100_000,
        b"null",
        b"3",
        b'"results"',
        b"{}",
        b'{"results": null}',
        b'{"results": {"0": 1}}',
        b"[1, 2]",
        b"[[0, 1], [1, 1]]",
        *(
            json.dumps(content).encode()
            for content in (
                _rows(0.5),
                _rows(0.5, 0.5, 0.5),
                [*_rows(0.5, 0.5), {"index": 1, "score": 0.5}],
                [{"index": 0, "score": 1}, {"index": 0, "score": 1}],
                [{"index": 1, "score": 1}, {"index": 2, "score": 1}],
                [{"index": 0, "score": 1}, {"index": -1, "score": 1}],
                [{"index": 0, "score": 1}, {"index": "1", "score": 1}],
                [{"index": 0, "score": 1}, {"index": 1.0, "score": 1}],
                [{"index": 0, "score": 1}, {"index": True, "score": 1}],
                [{"index": 0, "score": 1}, {"score": 1}],
                [{"index": 0, "score": 1}, {"index": 1}],
                _rows(0.5, None),
                _rows(0.5, "0.5"),
                _rows(0.5, True),
                _rows(0.5, [0.5]),
                _rows(0.5, float("nan")),
                _rows(0.5, float("-inf")),
                _rows(0.5, 1e300),
                _rows(0.5, 10**400),
            )
        ),
    ],
    ids=lambda body: repr(body[:60]),
)
def test_anything_else_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedReplyError):
        read_reply(body, 2)
