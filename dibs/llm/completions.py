"""A chat request in the form of OpenAI's API, and its answer by a model on this machine."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dibs.errors import InputError
from dibs.llm.chat import Message
from dibs.llm.gguf import Likely, Written

_DEFAULT_TOKENS = 512


class LocalModel(Protocol):
    """What is served; `dibs.llm.gguf.GgufModel` says what its methods do."""

    def encode(self, messages: Sequence[Message]) -> list[int]: ...

    def write(
        self, prompt: Sequence[int], limit: int, stops: Sequence[str] = (), schema: str | None = None
    ) -> Written: ...

    def likeliest(self, prompt: Sequence[int], count: int) -> list[Likely]: ...

    def is_end(self, token: int) -> bool: ...

    def decode(self, tokens: Sequence[int], *, special: bool = False) -> str: ...


class RefusedError(Exception):
    """A request that gets an error instead of an answer."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code

    def content(self) -> dict[str, Any]:
        """The body, in OpenAI's form."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": self.message, "type": kind, "param": None, "code": self.code}}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Turn(_Strict):
    role: Literal["system", "user", "assistant"]
    content: str


class _Schema(_Strict):
    json_schema: dict[str, Any] = Field(alias="schema")
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class _Format(_Strict):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _Schema | None = None

    def constraint(self) -> str | None:
        """The JSON schema, as JSON, that an answer has to fit."""
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise RefusedError(400, "response_format: json_schema goes with the type json_schema")
        if self.json_schema is not None:
            return json.dumps(self.json_schema.json_schema)
        return '{"type": "object"}' if self.type == "json_object" else None


_Stop = Annotated[str, Field(min_length=1)]


class ChatRequest(_Strict):
    """What may be asked. An unknown field is refused, since ignoring it could change what is measured."""

    model: str
    messages: list[_Turn] = Field(min_length=1)
    max_tokens: int | None = Field(default=None, gt=0)
    max_completion_tokens: int | None = Field(default=None, gt=0)
    temperature: float | None = Field(default=None, ge=0, le=0)
    """The likeliest token is always taken."""
    stop: _Stop | list[_Stop] | None = None
    response_format: _Format | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    stream: Literal[False] | None = None
    n: Literal[1] | None = None
    seed: int | None = None
    top_p: float | None = None
    user: str | None = None
    """These three change nothing where nothing is drawn by chance."""


class Chat:
    """Answers requests with one model, one after the other; any threads may call it."""

    def __init__(self, model: LocalModel, name: str, context_tokens: int, most_waiting: int = 16) -> None:
        """A model as it is served.

        Args:
            name: What requests call it.
            context_tokens: The longest prompt and answer together.
            most_waiting: Requests that wait for their turn; one more is refused.
        """
        self.name = name
        self._model, self._context = model, context_tokens
        self._turn = threading.Lock()
        self._places = threading.BoundedSemaphore(1 + most_waiting)

    def models(self) -> dict[str, Any]:
        """The one model there is."""
        card = {"id": self.name, "object": "model", "created": 0, "owned_by": "local"}
        return {"object": "list", "data": [card]}

    def reply(self, body: bytes, gone: Callable[[], bool] = lambda: False) -> dict[str, Any]:
        """The answer to a request.

        Args:
            body: The request's JSON.
            gone: Whether nobody waits for the answer any more; asked when its turn has come.

        Raises:
            RefusedError: the request is malformed, too long, or one too many.
        """
        try:
            request = ChatRequest.model_validate_json(body)
        except ValidationError as error:
            raise RefusedError(400, _first_problem(error)) from None
        if request.model != self.name:
            known = f"the model {request.model!r} is not served here, {self.name!r} is"
            raise RefusedError(404, known, "model_not_found")
        if not self._places.acquire(blocking=False):
            raise RefusedError(503, "too many requests are waiting", "busy")
        try:
            with self._turn:
                if gone():
                    raise RefusedError(408, "the client has gone")
                return self._answer(request)
        finally:
            self._places.release()

    def _answer(self, request: ChatRequest) -> dict[str, Any]:
        model = self._model
        stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
        schema = request.response_format.constraint() if request.response_format else None
        if request.logprobs and schema:
            raise RefusedError(400, "logprobs are not given together with a JSON response_format")
        prompt = model.encode([Message(turn.role, turn.content) for turn in request.messages])
        limit = self._limit(request, len(prompt))
        first: list[Likely] = []
        if request.logprobs:
            first = model.likeliest(prompt, max(1, request.top_logprobs or 0))
        try:
            written = self._write(prompt, limit, stops, schema, first)
        except InputError as error:
            raise RefusedError(400, str(error)) from None
        text = model.decode(written.tokens)
        cut = min((text.index(stop) for stop in stops if stop in text), default=None)
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text[:cut]},
            "finish_reason": written.finish if cut is None else "stop",
            "logprobs": self._logprobs(first, request.top_logprobs or 0) if first else None,
        }
        read, wrote = len(prompt), len(written.tokens)
        usage = {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}
        return {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self.name,
            "choices": [choice],
            "usage": usage,
        }

    def _limit(self, request: ChatRequest, prompt: int) -> int:
        """The most tokens that an answer may have."""
        asked = request.max_completion_tokens or request.max_tokens
        limit = asked or max(1, min(_DEFAULT_TOKENS, self._context - prompt))
        if prompt + limit > self._context:
            problem = f"{prompt:,} tokens and {limit:,} for the answer are over {self._context:,}"
            raise RefusedError(400, problem, "context_length_exceeded")
        return limit

    def _write(
        self, prompt: list[int], limit: int, stops: list[str], schema: str | None, first: list[Likely]
    ) -> Written:
        """An answer; where its first token is known, it is taken and the rest written after it."""
        if not first:
            return self._model.write(prompt, limit, stops, schema)
        token = first[0].token
        if self._model.is_end(token):
            return Written([token], "stop")
        if limit == 1:
            return Written([token], "length")
        rest = self._model.write([*prompt, token], limit - 1, stops)
        return Written([token, *rest.tokens], rest.finish)

    def _logprobs(self, first: list[Likely], count: int) -> dict[str, Any]:
        shown = [self._shown(likely) for likely in first]
        return {"content": [shown[0] | {"top_logprobs": shown[:count]}], "refusal": None}

    def _shown(self, likely: Likely) -> dict[str, Any]:
        text = self._model.decode([likely.token], special=True)
        return {"token": text, "logprob": likely.logprob, "bytes": None}  # a token may be part of a letter


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    return f"{field}: {first['msg']}" if field else first["msg"]
