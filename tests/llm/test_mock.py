from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest

from dibs.cards.model import LLMCard
from dibs.errors import InputError, ProviderError
from dibs.llm.chat import Message, Reply, Request
from dibs.llm.mock import REFUSAL, MockChat
from tests.llm.chat_server import question

PASSAGES = """Answer from the passages.

[1] Apple sold 230 million phones in 2022. It has stores in 26 countries.
[2] Boeing delivered 480 aeroplanes in 2022.
How many aeroplanes did Boeing deliver in 2022?"""
MANY = [question(f"question {n}") for n in range(60)]


def mock(cache: Path, **options: Any) -> MockChat:
    return MockChat(LLMCard(name="mock", adapter="mock", options=options), cache)


def said(model: MockChat, *requests: Request) -> list[str]:
    """Each answer, or `failed`."""
    found = {asked.position: asked.reply for asked in model.ask(requests)}
    return [
        reply.text if isinstance(reply, Reply) else "failed"
        for reply in (found[position] for position in range(len(requests)))
    ]


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({}, PASSAGES),
        ({"mode": "fixed", "text": "42"}, "42"),
        ({"mode": "fixed"}, ""),
        ({"mode": "refuse"}, REFUSAL),
        ({"mode": "extract"}, "[2] Boeing delivered 480 aeroplanes in 2022."),
        ({"mode": "json"}, "{}"),
    ],
)
def test_how_it_answers(tmp_path: Path, options: dict[str, Any], answer: str) -> None:
    asked = Request((Message("system", "Be brief."), Message("user", PASSAGES)), 200)
    assert said(mock(tmp_path, **options), asked) == [answer]


@pytest.mark.parametrize("text", ["", "?", "What?", "   \n"])
def test_nothing_to_extract(tmp_path: Path, text: str) -> None:
    assert said(mock(tmp_path, mode="extract"), question(text)) == [REFUSAL]


def test_it_makes_up_what_fits_a_schema(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {
            "verdict": {"$ref": "#/$defs/Verdict"},
            "sure": {"type": "boolean"},
            "score": {"type": "integer", "minimum": 3, "maximum": 5},
            "share": {"type": "number"},
            "why": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "list": {"type": "array", "items": {"const": 1}},
            "none": {"type": "null"},
        },
        "$defs": {"Verdict": {"enum": ["correct", "incorrect", "refusal"]}},
    }
    requests = [question(f"case {n}", schema=schema, max_tokens=500) for n in range(30)]
    values = [json.loads(text) for text in said(mock(tmp_path, mode="json"), *requests)]
    assert {value["verdict"] for value in values} == {"correct", "incorrect", "refusal"}
    assert {value["sure"] for value in values} == {True, False}
    assert {value["score"] for value in values} <= {3, 4, 5}
    assert all(0 <= value["share"] <= 1 for value in values)
    assert values[0]["why"]
    assert (values[0]["list"], values[0]["none"]) == ([1], None)
    assert values == [json.loads(text) for text in said(mock(tmp_path / "new", mode="json"), *requests)]


def test_answers_from_a_file_come_first(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"contains": "Boeing", "answer": "480"}\n\n{"contains": "o", "answer": "later"}\n')
    model = mock(tmp_path, answers=str(path), mode="refuse")
    assert said(model, question("Boeing?"), question("Apollo?"), question("Apple?")) == [
        "480",
        "later",
        REFUSAL,
    ]
    moved = mock(tmp_path, answers=str(path.rename(tmp_path / "moved.jsonl")), mode="refuse")
    assert said(moved, question("Boeing?")) == ["480"]
    assert moved.spent.cached == 1
    path.write_text('{"contains": "Boeing", "answer": "481"}\n')
    assert said(mock(tmp_path, answers=str(path), mode="refuse"), question("Boeing?")) == ["481"]


@pytest.mark.parametrize("line", ["{", "[]", '{"contains": "a"}', "3", "null"])
def test_a_malformed_answer_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(f'{{"contains": "a", "answer": "b"}}\n{line}\n')
    with pytest.raises(InputError, match=r"answers\.jsonl, line 2"):
        mock(tmp_path, answers=str(path))


def test_answers_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the answers cannot be read"):
        mock(tmp_path, answers=str(tmp_path / "none.jsonl"))


def test_its_tokens_and_their_likelihoods(tmp_path: Path) -> None:
    model = mock(tmp_path)
    (asked,) = model.ask([question("one two", top_logprobs=2)])
    assert isinstance(asked.reply, Reply)
    assert (asked.reply.prompt_tokens, asked.reply.completion_tokens) == (2, 2)
    assert [token.text for token in asked.reply.tokens] == ["one", " two"]
    assert sum(math.exp(value) for value in asked.reply.tokens[0].rivals.values()) == pytest.approx(1)


def test_a_long_answer_is_cut(tmp_path: Path) -> None:
    (asked,) = mock(tmp_path).ask([question("abcdefghij", max_tokens=2)])
    assert isinstance(asked.reply, Reply)
    assert (asked.reply.text, asked.reply.finish) == ("abcdefgh", "length")


@pytest.mark.parametrize("fault", ["error", "refused", "malformed", "hang"])
def test_its_faults_are_the_same_each_time(tmp_path: Path, fault: str) -> None:
    options = {"fault": fault, "fault_every": 20, "timeout": 0.01}
    first = said(mock(tmp_path / "1", **options), *MANY)
    assert 0 < first.count("failed") < 20
    assert said(mock(tmp_path / "2", **options), *MANY) == first
    healed = mock(tmp_path / "1")
    assert "failed" not in said(healed, *MANY)
    assert healed.spent.requests == first.count("failed")  # the others were kept


def test_a_fault_that_passes(tmp_path: Path) -> None:
    model = mock(tmp_path, fault="error", fault_times=2)
    assert said(model, *MANY) == [f"question {n}" for n in range(60)]
    assert (model.spent.requests, model.spent.failed) == (60, 0)
    (asked,) = mock(tmp_path / "new", fault="error", fault_times=3).ask(MANY[:1])
    assert isinstance(asked.reply, ProviderError)


def test_it_takes_its_time(tmp_path: Path) -> None:
    start = time.monotonic()
    said(mock(tmp_path, latency=0.1), MANY[0])
    assert time.monotonic() - start > 0.1


@pytest.mark.parametrize(
    "options", [{"mode": "dream"}, {"fault": "fire"}, {"fault_every": 0}, {"moed": "echo"}]
)
def test_wrong_options_are_named(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(
        InputError, match=str(next(iter(options.values()))) if "moed" not in options else "moed"
    ):
        mock(tmp_path, **options)
