"""A chat model that answers by rule, so that whatever uses one can be tried and tested without any."""

from __future__ import annotations

import json
import math
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from tenacity import wait_none

from dibs.cards.model import LLMCard
from dibs.errors import InputError, unknown
from dibs.files import digest
from dibs.llm.calls import FailedCallError, Patience
from dibs.llm.engine import ChatClient
from dibs.llm.http import Payload
from dibs.llm.limiter import Limiter
from dibs.llm.line import Line
from dibs.llm.options import read_options
from dibs.llm.service import Service
from dibs.llm.tokens import CharacterTokenizer

REFUSAL = "I cannot answer that from the passages."

_MODES = ("echo", "fixed", "refuse", "extract", "json")
_FAULTS = ("error", "refused", "malformed", "hang")
_SENTENCE = re.compile(r"[^\s.!?][^\n]*?(?:[.!?](?=\s|$)|(?=\n)|$)")
_LIKELY = 0.9


class MockChat(ChatClient):
    """Answers at once, and to the same request always the same; all but the transport is the real client's.

    The card's options, besides those of `ChatOptions`:

        mode         echo (the default) says the last message again; fixed says `text`; refuse says that it
                     cannot answer; extract says the sentence of the last message that shares most words
                     with its last question; json makes up what fits the request's schema
        text         what fixed says
        answers      a JSON Lines file of {"contains": ..., "answer": ...}: the first row whose text is in
                     the messages answers, before `mode` does
        fault        error, refused (429), malformed or hang: what goes wrong
        fault_every  with one request in so many, by its hash (1, which is every one)
        fault_times  so often, before it is answered all the same (without end)
        latency      seconds before each answer

    Log-probabilities give each word 0.9 and a question mark the rest. Tokens are of 4 characters.
    """

    adapter = "mock"
    options: ClassVar[Mapping[str, type]] = {
        "mode": str,
        "text": str,
        "answers": str,
        "fault": str,
        "fault_every": int,
        "fault_times": int,
        "latency": float,
    }
    quiet_options = frozenset({"answers", "fault", "fault_every", "fault_times", "latency"})
    patience = Patience(attempts=3, malformed=2, wait=wait_none(), timeout=5.0)

    def __init__(self, card: LLMCard, cache: Path, **more: Any) -> None:
        self._scripted = _read_answers(card)
        most = read_options(card, self.options).concurrency
        super().__init__(card, cache, **{"limiter": Limiter(most=most)} | more)
        said = card.options
        self._mode, self._fault = str(said.get("mode", _MODES[0])), said.get("fault")
        for name, value, known in (("mode", self._mode, _MODES), ("fault", self._fault, _FAULTS)):
            if value is not None and value not in known:
                raise unknown(f"{name} of the mock model", str(value), known)
        self._every = int(said.get("fault_every", 1))
        self._times = float(said.get("fault_times", math.inf))
        self._latency = float(said.get("latency", 0))
        self._attempts: Counter[str] = Counter()
        self._counting = threading.Lock()

    def _address(self) -> str:
        return "mock"

    @contextmanager
    def _connected(self) -> Iterator[Line]:
        yield Line(Service(self.name, "the mock model", "no variable", None), self._post)

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"answers": digest(self._scripted)}  # what is in the file, not its name

    def _post(self, body: Payload) -> bytes:
        """What a server would reply."""
        time.sleep(self._latency)
        name = digest(body)
        with self._counting:
            self._attempts[name] += 1
            again = self._attempts[name] <= self._times
        if self._fault is not None and again and int(name, 16) % self._every == 0:
            return self._failing()
        return json.dumps(_completion(body, self._answer(body, name))).encode()

    def _failing(self) -> bytes:
        if self._fault == "malformed":
            return b'{"choices": []}'
        if self._fault == "hang":
            time.sleep(self._patience.timeout)
        status = {"error": 500, "refused": 429}.get(str(self._fault))
        raise FailedCallError("scripted", status=status)

    def _answer(self, body: Payload, name: str) -> str:
        said = [str(message["content"]) for message in body["messages"]]
        for row in self._scripted:
            if any(row["contains"] in text for text in said):
                return row["answer"]
        if self._mode == "fixed":
            return str(self._card.options.get("text", ""))
        if self._mode == "refuse":
            return REFUSAL
        if self._mode == "extract":
            return _extracted(said[-1])
        if self._mode == "json":
            schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {"type": "object"})
            return json.dumps(_instance(schema, schema, random.Random(name)))
        return said[-1]


def _read_answers(card: LLMCard) -> list[dict[str, str]]:
    path = card.options.get("answers")
    if path is None:
        return []
    try:
        lines = Path(str(path)).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the answers cannot be read: {error}", where=card.name) from None
    return [_row(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]


def _row(line: str, where: str) -> dict[str, str]:
    try:
        row = json.loads(line)
        return {name: str(row[name]) for name in ("contains", "answer")}
    except (ValueError, LookupError, TypeError):
        problem = "is no JSON object with the texts `contains` and `answer`"
        raise InputError(problem, where=where, todo="Correct it there.") from None


def _completion(body: Payload, answer: str) -> Payload:
    tokens = CharacterTokenizer()
    longest = body.get("max_tokens") or body["max_completion_tokens"]
    text = tokens.cut(answer, longest)
    choice: Payload = {
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop" if text == answer else "length",
    }
    if body.get("logprobs"):
        words = re.findall(r"\s*\S+", text)
        choice["logprobs"] = {"content": [_likely(word, body["top_logprobs"]) for word in words]}
    read = sum(tokens.count([message["content"] for message in body["messages"]]))
    usage = {"prompt_tokens": read, "completion_tokens": tokens.count([text])[0]}
    return {"choices": [choice], "usage": usage}


def _likely(word: str, listed: int) -> Payload:
    rivals = {word: math.log(_LIKELY), "?": math.log(1 - _LIKELY)}
    top = [{"token": name, "logprob": value} for name, value in rivals.items()]
    return {"token": word, "logprob": rivals[word], "top_logprobs": top[:listed]}


def _extracted(text: str) -> str:
    """The sentence that shares most words with the last question; the first of equals."""
    sentences = [" ".join(found.split()) for found in _SENTENCE.findall(text)]
    if not sentences:
        return REFUSAL
    question = next((s for s in reversed(sentences) if s.endswith("?")), sentences[-1])
    asked = _words(question)
    return max((s for s in sentences if s != question), key=lambda s: len(asked & _words(s)), default=REFUSAL)


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w{3,}", text.lower()))


def _instance(schema: Any, root: Any, draw: random.Random) -> Any:
    """Some value that fits the schema."""
    if "$ref" in schema:
        place = root
        for step in str(schema["$ref"]).removeprefix("#/").split("/"):
            place = place[step]
        return _instance(place, root, draw)
    if "enum" in schema or "const" in schema:
        return draw.choice(schema.get("enum") or [schema["const"]])
    if "anyOf" in schema:
        return _instance(schema["anyOf"][0], root, draw)
    kind = schema.get("type")
    if kind == "object":
        return {name: _instance(part, root, draw) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [_instance(schema.get("items", {}), root, draw)]
    if kind in ("integer", "number"):
        least = schema.get("minimum", 0)
        drawn = draw.uniform(least, schema.get("maximum", least + 1))
        return round(drawn) if kind == "integer" else drawn
    return {"boolean": draw.random() < 0.5, "null": None}.get(str(kind), "some words")
