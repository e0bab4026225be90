"""An LLM as a reranker: asked for each pair whether the document answers the query."""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from dibs.cards.model import RerankerCard
from dibs.encoders.base import EncoderContext
from dibs.errors import InputError
from dibs.llm.calls import Patience
from dibs.llm.http import Payload
from dibs.llm.tokens import CharacterTokenizer
from dibs.retrieval.rerankers.api import ApiReranker
from dibs.retrieval.rerankers.replies import Reply, billed_tokens, finite, reading

PROMPT = "relevance.v1"

_PROMPTS = Path(__file__).parent / "prompts"
_CLOSING = re.compile(r"</(?=\s*(?:question|document))", re.IGNORECASE)
_LEAST = -100.0
"""Log-probabilities below it say no more than it does; some servers give -9999."""
_ANSWER_TOKENS = 4


class LLMReranker(ApiReranker):
    """A chat model behind `/chat/completions`.

    It is at the card's `base_url`, else $OPENAI_BASE_URL, else OpenAI's.

    The score is ln p(yes) - ln p(no) at the token that answers. A server that gives no
    log-probabilities is taken at its word: yes is 1 and no is 0, and ties keep the first stage's order.
    The card's options:

        top_logprobs  how many it is asked for (20); 0 for servers that refuse to give any
        request.NAME  a further field of every request
    """

    adapter = "llm"
    provider = "OpenAI"
    own_url = "https://api.openai.com/v1"
    url_variable = "OPENAI_BASE_URL"
    key_variable = "OPENAI_API_KEY"
    known_options = frozenset({"top_logprobs"})
    patience = Patience(malformed=2)

    def __init__(self, card: RerankerCard, context: EncoderContext, **more: Any) -> None:
        super().__init__(card.model_copy(update={"batch_size": 1}), context, **more)
        self._prompt = (_PROMPTS / f"{PROMPT}.txt").read_text(encoding="utf-8")
        (self.prompt_tokens,) = CharacterTokenizer().count([self._prompt])
        listed = card.options.get("top_logprobs", 20)
        if type(listed) is not int or listed < 0:
            raise InputError(f"option top_logprobs is {listed!r}, not a count", where=card.name)
        self._listed = listed

    def settings(self) -> dict[str, Any]:
        sha256 = hashlib.sha256(self._prompt.encode()).hexdigest()
        return super().settings() | {"prompt": PROMPT, "prompt_sha256": sha256, "top_logprobs": self._listed}

    def _address(self, key: str | None) -> str:
        return f"{self._url}/chat/completions"

    def _body(self, query: str, documents: list[str]) -> Payload:
        asked = self._prompt.format(query=_inert(query), document=_inert(documents[0]))
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": asked}],
            "temperature": 0,
            "max_tokens": _ANSWER_TOKENS,
        }
        return body | ({"logprobs": True, "top_logprobs": self._listed} if self._listed else {})

    def _read(self, body: bytes, count: int) -> Reply:
        with reading(body) as content:
            choice = content["choices"][0]
            tokens = (choice.get("logprobs") or {}).get("content")
            score = _from_logprobs(tokens) if tokens else _from_words(choice["message"]["content"])
            return Reply(finite([score]), billed_tokens(content))


def _inert(text: str) -> str:
    """The text, unable to end the part of the prompt that it stands in."""
    return _CLOSING.sub("< /", text)


def _from_logprobs(tokens: list[Payload]) -> float:
    """ln p(yes) - ln p(no) at the first token that is either."""
    for token in tokens:
        if _verdict(token["token"]) is None:
            continue
        listed = {other["token"]: other["logprob"] for other in token.get("top_logprobs") or []}
        listed[token["token"]] = token["logprob"]
        sides: dict[bool | None, list[float]] = {True: [], False: [], None: []}
        for word, logprob in listed.items():
            sides[_verdict(word)].append(_at_least(float(logprob)))
        # A word that is not listed is no likelier than the least that is; where only one is, than the rest.
        floor = min(value for side in sides.values() for value in side)
        if len(listed) == 1:
            floor = math.log(max(1 - math.exp(floor), math.exp(_LEAST)))
        yes, no = (np.logaddexp.reduce(sides[side] or [floor]) for side in (True, False))
        return float(yes - no)
    raise ValueError("no token of the answer is yes or no")


def _at_least(logprob: float) -> float:
    if math.isnan(logprob):
        raise ValueError("a log-probability is no number")
    return max(_LEAST, logprob)


def _from_words(answer: str) -> float:
    words = re.findall(r"\w+", answer)
    verdict = _verdict(words[0]) if words else None
    if verdict is None:
        raise ValueError(f"the answer is neither yes nor no: {answer!r:.60}")
    return float(verdict)


def _verdict(word: str) -> bool | None:
    return {"yes": True, "no": False}.get(word.strip(" \t\n\"'*.,:;!_`#▁Ġ").lower())
