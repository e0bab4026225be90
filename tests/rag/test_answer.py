from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from dibs.errors import DamagedError, ProviderError
from dibs.llm.chat import Asked, Reply, Request, Spent
from dibs.llm.chat import Estimate as Cost
from dibs.rag.answer import Answer, Asking, generate, lines_of, read_answers
from dibs.rag.arms import Arm
from dibs.rag.passages import Cut, Passages
from dibs.rag.questions import Question
from tests.rag.helpers import PROMPT
from tests.toys import make_dataset

ASKED = [Question("q1", "One?", "1", ("a",)), Question("q2", "Two?", "2", ("b",))]
GIVEN = {"q1": ["a", "b"], "q2": ["a"]}


class Replies:
    """A chat model that gives what it is told, the last request first."""

    name = "replies"

    def __init__(self, *replies: Reply | ProviderError) -> None:
        self.spent = Spent()
        self.asked: list[Request] = []
        self._replies = replies

    def settings(self) -> dict[str, Any]:
        return {}

    def ask(self, requests: Sequence[Request], label: str = "") -> Iterator[Asked]:
        self.asked += requests
        for position in reversed(range(len(requests))):
            yield Asked(position, self._replies[position])

    def estimate(self, requests: Sequence[Request]) -> Cost:
        raise AssertionError("nothing is estimated here")


def reply(text: str, finish: str = "stop") -> Reply:
    return Reply(text, finish, 10, 3)


@pytest.fixture
def asking(tmp_path: Path) -> Asking:
    dataset = make_dataset(tmp_path / "data", {"a": "Alpha.", "b": "Beta."}, {"q1": "One?", "q2": "Two?"})
    return Asking(Arm("retrieved", "bm25", GIVEN, {}), Passages(dataset, Cut()), PROMPT, 7)


def answers(
    asking: Asking, *replies: Reply | ProviderError, kept: dict[str, Answer] | None = None
) -> list[Answer]:
    return generate(asking, ASKED, Replies(*replies), kept or {})


def test_a_request_has_the_passages_before_the_question(asking: Asking) -> None:
    request = asking.request(ASKED[0])
    (message,) = request.messages
    assert request.max_tokens == 7
    places = [message.content.index(text) for text in ("Alpha.", "Beta.", "One?")]
    assert places == sorted(places)


def test_each_answer_is_its_questions(asking: Asking) -> None:
    first, second = answers(asking, reply(" 1. "), reply("2"))
    assert first == Answer("q1", ["a", "b"], True, "1.", None, "stop", 10, 3)
    assert (second.query_id, second.answer, second.gold_in_context) == ("q2", "2", False)


def test_closed_book_knows_nothing_of_gold(asking: Asking) -> None:
    closed = Asking(Arm("closed-book", "closed-book", None, {}), asking.passages, PROMPT, 7)
    (one, _) = answers(closed, reply("1"), reply("2"))
    assert (one.passages, one.gold_in_context) == ([], None)


def test_a_failure_is_no_answer(asking: Asking) -> None:
    first, second = answers(asking, ProviderError("the server is down"), reply("2"))
    assert (first.answer, first.error) == (None, "the server is down")
    assert (second.answer, second.error) == ("2", None)


def test_nothing_is_kept_where_all_failed(asking: Asking) -> None:
    down = ProviderError("the server is down", todo="Start it.")
    with pytest.raises(ProviderError, match="all 2 requests failed; the first: the server is down"):
        answers(asking, down, down)


def test_one_failure_of_one_new_question_loses_nothing(asking: Asking) -> None:
    kept = {"q1": Answer("q1", ["a", "b"], True, "1")}
    first, second = answers(asking, ProviderError("down"), kept=kept)
    assert (first.answer, second.error) == ("1", "down")


def test_what_is_kept_is_not_asked(asking: Asking) -> None:
    model = Replies(reply("2"))
    generate(asking, ASKED, model, {"q1": Answer("q1", [], None, "1")})
    assert len(model.asked) == 1
    assert "Two?" in model.asked[0].messages[0].content


def test_a_question_without_gold_is_not_asked(asking: Asking) -> None:
    model = Replies()
    (answer,) = generate(asking, [Question("q1", "One?", "", ())], model, {})
    assert model.asked == []
    assert (answer.answer, answer.error) == (None, "the question has no gold answer")


@pytest.mark.parametrize(
    ("said", "finish", "answer", "error"),
    [
        ("", "stop", "", None),
        ("", "length", None, "no text (length)"),
        (" ", "content_filter", None, "no text (content_filter)"),
        ("It was", "length", "It was", None),
        ("<think>Is it 3?</think>\nIt is 4.", "stop", "It is 4.", None),
        ("<think>Is it 3? Or", "length", None, "no text (length)"),
        ("A half \ud83d", "length", "A half ?", None),
        ("No <think> tag.", "stop", "No <think> tag.", None),
    ],
)
def test_what_counts_as_an_answer(
    asking: Asking, said: str, finish: str, answer: str | None, error: str | None
) -> None:
    first, _ = answers(asking, reply(said, finish), reply("2"))
    assert (first.answer, first.error, first.finish) == (answer, error, finish)


def test_answers_are_read_as_they_were_written() -> None:
    rows = [Answer("q1", ["a"], True, "one\u2028two\n", finish="stop"), Answer("q2", [], None, error="x")]
    assert read_answers(lines_of(rows).decode(), "here") == rows


@pytest.mark.parametrize("content", ["x\n", "[]\n", '{"query_id": "q"}\n', '{"other": 1}\n', "3\n"])
def test_damaged_answers_are_said(content: str) -> None:
    with pytest.raises(DamagedError, match=r"answers.jsonl cannot be read"):
        read_answers(content, "here")
