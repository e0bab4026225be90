"""A provider's files and batches over HTTP: OpenAI's protocol, which Voyage's follows."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, TypeVar
from urllib.parse import quote

import httpx

from dibs.errors import InputError, MissingError
from dibs.llm.calls import FailedCallError, MalformedReplyError, Patience, call, check_reply
from dibs.llm.http import Payload, without
from dibs.llm.limiter import Limiter
from dibs.llm.service import Service
from dibs.retry import connected

MARK = "dibs"
"""The name, in a batch's metadata, of what we call it before the provider does."""
LARGEST = 200_000_000
"""Bytes of a batch's file, at most (OpenAI; Voyage's documentation names no limit)."""
_PAGE = 100
_OVER = frozenset({"completed", "failed", "expired", "cancelled"})
_T = TypeVar("_T")


@dataclass(frozen=True)
class Terms:
    """What a provider's batch interface takes for one endpoint."""

    endpoint: str
    window: str
    """The hours it has, as it wants them written."""
    most: int
    """Requests in a batch."""
    own: frozenset[str] | None = None
    """Fields that stand in each request, all others once with the batch (Voyage); None is every field."""

    def line(self, name: str, body: Payload) -> bytes:
        """A request as a line of the batch's file."""
        said: Payload = {"custom_id": name}
        if self.own is None:
            said |= {"method": "POST", "url": self.endpoint, "body": body}
        else:
            said["body"] = {field: value for field, value in body.items() if field in self.own}
        return json.dumps(said, ensure_ascii=False).encode() + b"\n"

    def shared(self, body: Payload) -> Payload:
        """What is said once of all requests, of which `body` is one."""
        if self.own is None:
            return {}
        return {"request_params": {field: v for field, v in body.items() if field not in self.own}}


@dataclass(frozen=True)
class BatchState:
    """A batch as the provider tells of it."""

    id: str
    status: str
    done: int = 0
    total: int = 0
    files: tuple[str, ...] = ()
    """Of replies and of errors, as far as there are any."""
    problem: str = ""
    """Why it was not begun."""
    code: str = ""
    """The provider's own name of that."""
    mark: str = ""

    @property
    def over(self) -> bool:
        """Nothing more will come. A status that nobody knows is taken for a new name of under way."""
        return self.status in _OVER


class BatchApi:
    """Batches of one provider; every method tries again as `call` does and raises what it raises."""

    def __init__(
        self, client: httpx.Client, url: str, service: Service, limiter: Limiter, patience: Patience
    ) -> None:
        self._client, self._url, self.service = client, url, service
        self._limiter, self._patience = limiter, patience

    def upload(self, content: bytes) -> str:
        """The id of a file with these lines."""
        parts = {"file": ("dibs.jsonl", content, "application/jsonl")}

        def send() -> str:
            body = self._asked("POST", "/files", data={"purpose": "batch"}, files=parts)
            return read_json(body, lambda said: text_of(said["id"]))

        return self._call(send)

    def create(self, terms: Terms, file: str, mark: str, shared: Payload) -> BatchState:
        """A batch of the file's requests.

        After an attempt whose reply was lost, the batch is looked for before another one is made.
        """
        order = {
            "input_file_id": file,
            "endpoint": terms.endpoint,
            "completion_window": terms.window,
            "metadata": {MARK: mark},
        }
        attempts = 0

        def send() -> BatchState:
            nonlocal attempts
            attempts += 1
            found = self._found(mark) if attempts > 1 else None
            return found or read_json(self._asked("POST", "/batches", json=order | shared), _state)

        return self._call(send)

    def find(self, mark: str) -> BatchState | None:
        """The batch that was made under that mark."""
        return self._call(lambda: self._found(mark))

    def state(self, batch: str) -> BatchState:
        """How far a batch is."""
        return self._call(lambda: read_json(self._asked("GET", f"/batches/{_quoted(batch)}"), _state))

    def download(self, file: str, target: IO[bytes]) -> None:
        """Write a file's content to `target`, from its beginning."""

        def send() -> None:
            target.seek(0)
            target.truncate()
            with _failures(), self._client.stream("GET", f"{self._url}/files/{_quoted(file)}/content") as got:
                if got.status_code != 200:
                    check_reply(got.status_code, got.headers, self.clean(got.read()))
                for chunk in got.iter_bytes():
                    target.write(chunk)

        self._call(send)

    def clean(self, body: bytes) -> bytes:
        """A reply without the service's key."""
        return without(self.service.key, body)

    def _found(self, mark: str) -> BatchState | None:
        last: str | None = None
        while True:
            place = {"limit": str(_PAGE)} | ({"after": last} if last else {})
            page = read_json(self._asked("GET", "/batches", params=place), _page)
            for state in page.states:
                if state.mark == mark:
                    return state
            if not page.more or not page.states:
                return None
            if last == page.states[-1].id:
                raise MalformedReplyError("the list of batches does not end")
            last = page.states[-1].id

    def _asked(self, method: str, path: str, **more: Any) -> bytes:
        with _failures():
            reply = self._client.request(method, f"{self._url}{path}", **more)
        body = self.clean(reply.content)
        check_reply(reply.status_code, reply.headers, body)
        return body

    def _call(self, send: Callable[[], _T]) -> _T:
        try:
            return call(send, self.service, self._limiter, self._patience, threading.Event())
        except MissingError:
            raise
        except InputError as error:
            todo = "Run without --batch-api if this server has no batches for the model."
            raise InputError(error.problem, where=error.where, todo=todo) from None


@contextmanager
def batches_at(url: str, service: Service, limiter: Limiter, patience: Patience) -> Iterator[BatchApi]:
    """The batches of the provider at `url` while the block runs."""
    headers = {"Authorization": f"Bearer {service.key}"} if service.key else {}
    with connected(lambda: httpx.Client(headers=headers, timeout=patience.timeout)) as client:
        yield BatchApi(client, url, service, limiter, patience)


@dataclass(frozen=True)
class _Page:
    states: list[BatchState]
    more: bool


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except httpx.RequestError as error:
        raise FailedCallError(f"{type(error).__name__}: {error}") from None


def read_json(body: bytes, read: Callable[[Any], _T]) -> _T:
    """What `read` makes of the JSON in `body`; whatever it finds amiss is a malformed reply.

    Raises:
        MalformedReplyError: it is no JSON, or lacks what `read` takes from it.
    """
    try:
        return read(json.loads(body))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise MalformedReplyError(f"{type(error).__name__}: {error} (in {len(body):,} bytes)") from None


def _state(said: Any) -> BatchState:
    counts = said.get("request_counts") or {}
    problems = (said.get("errors") or {}).get("data") or []
    first: Mapping[str, Any] = problems[0] if problems else {}
    return BatchState(
        id=text_of(said["id"]),
        status=text_of(said["status"]),
        done=_count(counts.get("completed")) + _count(counts.get("failed")),
        total=_count(counts.get("total")),
        files=tuple(text_of(said[f]) for f in ("output_file_id", "error_file_id") if said.get(f)),
        problem=str(first.get("message") or ""),
        code=str(first.get("code") or ""),
        mark=str((said.get("metadata") or {}).get(MARK, "")),
    )


def _page(said: Any) -> _Page:
    return _Page([_state(one) for one in said["data"]], bool(said.get("has_more")))


def text_of(value: Any) -> str:
    """An id or a status; TypeError where it is none."""
    if not isinstance(value, str) or not value:
        raise TypeError("an id or a status is no text")
    return value


def _count(value: Any) -> int:
    return value if type(value) is int and value >= 0 else 0


def _quoted(name: str) -> str:
    return quote(name, safe="")
