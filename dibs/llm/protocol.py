"""The protocol of `/chat/completions`: what is sent, and what of a reply is believed."""

from __future__ import annotations

import json
import math
from typing import Any

from dibs.llm.calls import MalformedReplyError
from dibs.llm.chat import Reply, Request, Token
from dibs.llm.http import Payload

_CUT = ("length", "content_filter")
"""Ends at which there may be no content."""


def body_of(request: Request, model: str, temperature: float, extra: Payload) -> Payload:
    """What is sent to a server that takes everything.

    Args:
        extra: Fields that are added, or take the place of others.
    """
    body: Payload = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": temperature,
    }
    if request.schema is not None:
        schema = {"name": "answer", "schema": request.schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.top_logprobs:
        body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
    return body | extra


def read_reply(body: bytes) -> Reply:
    """The first choice of a reply, and its usage.

    A refusal in OpenAI's own field is an answer too, and ends with `refusal`. Content in parts is
    joined; parts that are no text, such as a model's reasoning, are left out.

    Raises:
        MalformedReplyError: it is no JSON, or has no answer where the protocol has it.
    """
    try:
        content: Any = json.loads(body)
        choice = content["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason") or "stop"
        text = _text(message.get("content"))
        if text is None and isinstance(message.get("refusal"), str):
            text, finish = _text(message["refusal"]), "refusal"
        if text is None and finish in _CUT:
            text = ""
        if text is None or not isinstance(finish, str):
            raise TypeError("the answer is no text")
        usage = content.get("usage") or {}
        logprobs = choice.get("logprobs") or {}
        return Reply(
            text=text,
            finish=finish,
            prompt_tokens=_count(usage.get("prompt_tokens")),
            completion_tokens=_count(usage.get("completion_tokens")),
            tokens=tuple(_token(row) for row in logprobs.get("content") or ()),
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise MalformedReplyError(f"{type(error).__name__}: {error} (in {len(body):,} bytes)") from None


def _text(content: Any) -> str | None:
    if isinstance(content, list):
        content = "".join(part["text"] for part in content if part.get("type") == "text")
    if not isinstance(content, str):
        return None
    content.encode()  # half a surrogate pair could not be kept
    return content


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _token(row: Any) -> Token:
    rivals: dict[str, float] = {}
    for rival in row.get("top_logprobs") or ():  # two tokens may read the same: parts of a character
        name, logprob = _word(rival), _logprob(rival)
        rivals[name] = max(logprob, rivals.get(name, logprob))
    return Token(_word(row), _logprob(row), rivals)


def _word(row: Any) -> str:
    text = _text(row["token"])
    if text is None:
        raise TypeError("a token is no text")
    return text


def _logprob(row: Any) -> float:
    value = row["logprob"]
    if type(value) not in (int, float) or not math.isfinite(value):
        raise TypeError("a log-probability is no number")
    return float(value)
