"""An LLM as a judge: the gold answer is a claim, the question with its answer a document held to it."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dibs.errors import DibsError
from dibs.llm.chat import ChatModel, Estimate, Message, Reply, Request, Spent
from dibs.rag.judges.base import Case, Judgement, Verdict

PROMPT = "grade.v1"

_FILE = Path(__file__).parent / "prompts" / f"{PROMPT}.txt"
_TAG = re.compile(r"<(?=[^\w<>]{0,8}(?:claim|document|question|answer)\b)", re.IGNORECASE)
_THOUGHT = re.compile(r"\s*<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)\n?\s*```", re.DOTALL | re.IGNORECASE)
_LONGEST_REASON = 300
_RIVALS = 20


@dataclass(frozen=True)
class Method:
    """How an LLM is asked for its verdict, and how the verdict is read from the reply."""

    name: str
    reply: str
    """What the prompt ends in."""
    again: str
    """What is added to it when the first reply could not be read."""
    read: Callable[[Reply], Judgement] = field(compare=False)
    """Raises ValueError on a reply that cannot be read."""
    max_tokens: int
    schema: dict[str, Any] | None = None
    top_logprobs: int = 0


class LLMJudge:
    """Grades with a chat model: one request a case, and a second one where the first reply cannot be read.

    An empty answer is a refusal, and a case without a gold answer is unscored; neither is asked.
    """

    def __init__(self, llm: ChatModel, method: Method | None = None) -> None:
        self.llm = llm
        self._method = method or VERDICT
        self._prompt = _FILE.read_text(encoding="utf-8")

    @property
    def name(self) -> str:
        return self.llm.name if self._method is VERDICT else f"{self.llm.name}:{self._method.name}"

    @property
    def spent(self) -> Spent:
        """What the model was asked since it was made."""
        return self.llm.spent

    def settings(self) -> dict[str, Any]:
        texts = (self._prompt, self._method.reply, self._method.again)
        return {
            "judge": "llm",
            "llm": self.llm.settings(),
            "method": self._method.name,
            "max_tokens": self._method.max_tokens,
            "prompt": PROMPT,
            "prompt_sha256": hashlib.sha256("\0".join(texts).encode()).hexdigest(),
        }

    def estimate(self, cases: Sequence[Case]) -> Estimate:
        """What grading would cost if every reply can be read."""
        return self.llm.estimate([self._request(case) for case in cases if _without_asking(case) is None])

    def judge(self, cases: Sequence[Case]) -> list[Judgement]:
        told: dict[int, Judgement | _Malformed] = {
            place: found for place, case in enumerate(cases) if (found := _without_asking(case))
        }
        told |= self._asked(cases, [place for place in range(len(cases)) if place not in told])
        malformed = [place for place, found in told.items() if isinstance(found, _Malformed)]
        told |= self._asked(cases, malformed, again=True)
        return [_scored(told[place]) for place in range(len(cases))]

    def _asked(
        self, cases: Sequence[Case], places: Sequence[int], *, again: bool = False
    ) -> dict[int, Judgement | _Malformed]:
        requests = [self._request(cases[place], again=again) for place in places]
        label = f"judging with {self.name}" + (", once more" if again else "")
        return {
            places[asked.position]: self._judgement(asked.reply)
            for asked in (self.llm.ask(requests, label) if requests else ())
        }

    def _request(self, case: Case, *, again: bool = False) -> Request:
        # Replies are kept, so the second request has to differ from the first. It does not repeat the
        # reply that could not be read: that may hold whatever the answer told the model to write.
        method = self._method
        content = self._prompt.format(
            gold=_inert(case.gold),
            question=_inert(case.question),
            answer=_inert(case.answer),
            reply=f"{method.reply} {method.again}" if again else method.reply,
        )
        message = Message("user", content.strip())
        return Request((message,), method.max_tokens, method.schema, method.top_logprobs)

    def _judgement(self, reply: Reply | DibsError) -> Judgement | _Malformed:
        if isinstance(reply, DibsError):
            return Judgement(None, _line(f"no reply: {reply.problem}"))
        try:
            return self._method.read(reply)
        except ValueError as error:
            return _Malformed(_line(f"the reply {error}"))


@dataclass(frozen=True)
class _Malformed:
    """A reply that could not be read, and why."""

    problem: str


def _scored(found: Judgement | _Malformed) -> Judgement:
    return Judgement(None, f"asked twice: {found.problem}") if isinstance(found, _Malformed) else found


def _without_asking(case: Case) -> Judgement | None:
    if not case.gold.strip():
        return Judgement(None, "there is no gold answer to grade against")
    if not case.answer.strip():
        return Judgement(Verdict.REFUSAL, "the answer is empty")
    return None


def _inert(text: str) -> str:
    """The text, unable to end the part of the prompt that it stands in, or to begin another."""
    return _TAG.sub("&lt;", text.strip())


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_REASON else line[:_LONGEST_REASON] + "..."


def _read_verdict(reply: Reply) -> Judgement:
    """The verdict of a reply that is one JSON object, with or without a code fence, and nothing else.

    An object somewhere inside a reply is not looked for: it may be quoted from the answer.
    """
    text = _THOUGHT.sub("", reply.text, count=1).strip()
    if fenced := _FENCE.fullmatch(text):
        text = fenced[1]
    try:
        content: Any = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        cut = "was cut off and " if reply.finish == "length" else ""
        raise ValueError(f"{cut}is not the JSON object asked for: {text!r:.80}") from None
    if not isinstance(content, dict) or content.keys() != {"reason", "verdict"}:
        raise ValueError(f"has other fields than reason and verdict: {text!r:.80}")
    verdict, reason = (str(content[name]).strip() for name in ("verdict", "reason"))
    if verdict.lower() not in set(Verdict):
        raise ValueError(f"names no verdict: {verdict!r:.80}")
    return Judgement(Verdict(verdict.lower()), _line(reason) or "no reason given")


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The object; one that says a thing twice is refused, since either could be meant."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name} stands there twice")
        found[name] = value
    return found


def _read_logits(reply: Reply) -> Judgement:
    """The verdict from how likely each word was at the reply's first token, blanks and quotes aside.

    A tokeniser may split a word, so a token that begins only one of them counts for it.
    """
    if not reply.tokens:
        raise ValueError("has no log-probabilities, which this server may not give")
    token = next((token for token in reply.tokens if _bare(token.text)), None)
    if token is None or _begun(token.text) is None:
        raise ValueError(f"does not begin with a verdict: {reply.text!r:.80}")
    mass = dict.fromkeys(Verdict, 0.0)
    for text, logprob in (token.rivals | {token.text: token.logprob}).items():
        if (verdict := _begun(text)) and not math.isnan(logprob):
            mass[verdict] += math.exp(min(logprob, 0.0))
    total = sum(mass.values())
    if not total:
        raise ValueError("gives no verdict any probability")
    best = max(mass, key=mass.__getitem__)
    listed = ", ".join(f"{verdict} {mass[verdict] / total:.3f}" for verdict in Verdict)
    return Judgement(best, f"probabilities: {listed}", p_correct=mass[Verdict.CORRECT] / total)


def _begun(token: str) -> Verdict | None:
    """The verdict whose word the token begins: two letters at least, since `I` begins many replies."""
    word = _bare(token)
    return next((verdict for verdict in Verdict if len(word) > 1 and verdict.startswith(word)), None)


def _bare(token: str) -> str:
    return token.strip(" \t\n\"'*`#▁Ġ").lower()


VERDICT = Method(
    "verdict",
    'Reply with one JSON object and nothing else: {"reason": "what decides, in one short sentence", '
    '"verdict": "correct", "incorrect" or "refusal"}',
    "Write the bare object: no word before it or after it, and no other fields.",
    _read_verdict,
    max_tokens=400,
    schema={
        "type": "object",
        "properties": {
            "reason": {"type": "string"},
            "verdict": {"type": "string", "enum": [verdict.value for verdict in Verdict]},
        },
        "required": ["reason", "verdict"],
        "additionalProperties": False,
    },
)
"""The model gives a reason, then its verdict."""
LOGITS = Method(
    "logits",
    "Reply with one word: correct, incorrect or refusal.",
    "Write that one word at once, and nothing else.",
    _read_logits,
    max_tokens=1,
    top_logprobs=_RIVALS,
)
"""The model begins a word, and says how likely it held each: for small models, and servers that tell."""
