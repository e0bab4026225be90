"""From questions and their documents to answers: each an answer, or what went wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from dibs.errors import DamagedError, DibsError, ProviderError
from dibs.llm.chat import ChatModel, Reply, Request
from dibs.rag.arms import Arm
from dibs.rag.passages import Passages
from dibs.rag.prompt import Prompt
from dibs.rag.questions import Question

NO_GOLD = "the question has no gold answer"
"""The error of a question that is not asked, because its answer could not be graded."""

_THOUGHT = re.compile(r"\s*<think>.*?(?:</think>|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """What a generator answered to one question; a line of `answers.jsonl`."""

    query_id: str
    passages: list[str]
    """The documents that were given, best first."""
    gold_in_context: bool | None
    """Whether a gold document is among them; None for closed book."""
    answer: str | None = None
    error: str | None = None
    """Why there is no answer."""
    finish: str | None = None
    """`stop`, or `length` for an answer that was cut off."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True)
class Asking:
    """How questions become requests."""

    arm: Arm
    passages: Passages
    prompt: Prompt
    max_tokens: int

    def request(self, question: Question) -> Request:
        """What the generator is asked."""
        documents = self.arm.documents
        given = "" if documents is None else self.passages.render(documents[question.id])
        return Request(self.prompt.messages(question.text, given), self.max_tokens)

    def unanswered(self, question: Question) -> Answer:
        """The question with its documents, before it is asked."""
        if self.arm.documents is None:
            return Answer(question.id, [], None)
        given = self.arm.documents[question.id]
        return Answer(question.id, given, any(name in question.relevant for name in given))


def askable(questions: Sequence[Question], kept: Mapping[str, Answer]) -> list[Question]:
    """Those that are not answered yet and can be graded."""
    return [question for question in questions if question.gold and question.id not in kept]


def generate(
    asking: Asking, questions: Sequence[Question], generator: ChatModel, kept: Mapping[str, Answer]
) -> list[Answer]:
    """An answer for each question, in their order; those in `kept` are not asked again.

    Raises:
        ProviderError: every request failed, so there is nothing to grade.
        MissingError: no request can succeed.
    """
    asked = askable(questions, kept)
    found = dict(kept)
    for question in questions:
        if question.id not in found:
            found[question.id] = replace(asking.unanswered(question), error=NO_GOLD)
    failures: list[DibsError] = []
    for one in generator.ask([asking.request(question) for question in asked], f"answers: {asking.arm.name}"):
        question = asked[one.position]
        if isinstance(one.reply, DibsError):
            failures.append(one.reply)
            found[question.id] = replace(asking.unanswered(question), error=one.reply.problem)
        else:
            found[question.id] = _answered(asking.unanswered(question), one.reply)
    if failures and len(failures) == len(asked) and not any(a.answer is not None for a in kept.values()):
        first = failures[0]
        problem = f"all {len(asked):,} requests failed; the first: {first.problem}"
        raise ProviderError(problem, where=first.where or generator.name, todo=first.todo)
    return [found[question.id] for question in questions]


def _answered(answer: Answer, reply: Reply) -> Answer:
    """The answer with what the reply says. No text at all, but for a stop, is a failure and no answer:
    a model that thinks at length may have used up its tokens before it said anything."""
    thought = _THOUGHT.match(reply.text)
    text = reply.text[thought.end() if thought else 0 :].strip()
    text = text.encode(errors="replace").decode()  # half a character, of an answer that was cut off
    said = bool(text) or reply.finish == "stop"
    return replace(
        answer,
        answer=text if said else None,
        error=None if said else f"no text ({reply.finish})",
        finish=reply.finish,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
    )


def lines_of(rows: Iterable[Any]) -> bytes:
    """Dataclasses as the bytes of a file with a JSON object a line."""
    return "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows).encode()


def read_answers(content: str, where: str) -> list[Answer]:
    """The answers in the content of an `answers.jsonl`.

    Raises:
        DamagedError: it is not as it was written.
    """
    try:
        return [Answer(**json.loads(line)) for line in content.split("\n") if line]
    except (ValueError, TypeError) as error:
        todo = "Delete that folder and run again."
        raise DamagedError(f"answers.jsonl cannot be read: {error}", where=where, todo=todo) from None
