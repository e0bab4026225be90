"""OpenAI's and Voyage's files and batches on this machine, with the mishaps that a test asks for."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests import api_server
from tests.api_server import ApiHandler, Fault, Payload, status
from tests.encoders.api_server import ApiServer
from tests.llm.chat_server import completion

KEY = "sk-test-Xy7secret0042"
Lines = list[bytes]


@dataclass
class Batch:
    """A batch that was ordered."""

    id: str
    order: Payload
    requests: dict[str, Payload]
    """What is asked, by its name."""
    status: str = "in_progress"
    output: str | None = None
    errors: str | None = None
    problem: Payload | None = None

    def content(self) -> Payload:
        """As it is told of."""
        done = len(self.requests) if self.output else 0
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.order["endpoint"],
            "errors": {"data": [self.problem]} if self.problem else None,
            "input_file_id": self.order["input_file_id"],
            "completion_window": self.order["completion_window"],
            "status": self.status,
            "output_file_id": self.output,
            "error_file_id": self.errors,
            "request_counts": {"total": len(self.requests), "completed": done, "failed": 0},
            "metadata": self.order.get("metadata"),
        }


def good(body: Payload) -> Payload:
    """What the endpoint itself would reply."""
    return completion(body) if "messages" in body else ApiServer("").content(body)


@dataclass
class BatchServer:
    """What was ordered, what was paid, and what shall go wrong."""

    url: str
    slow: bool = False
    """Batches stay under way until this is no longer so."""
    faults: dict[str, list[Fault | None]] = field(default_factory=dict)
    """For each step (upload, order, list, state, download) those of the requests to come."""
    ends: list[str] = field(default_factory=list)
    """How the batches to come end, if not completed."""
    problem: Payload | None = None
    """Why a batch fails."""
    partly: int | None = None
    """So many requests of an expired or cancelled batch are done."""
    reply: Callable[[Payload], Payload] = good
    lines: Callable[[Lines], Lines] = lambda lines: lines
    """What becomes of the lines of results."""
    broken: dict[str, Payload] = field(default_factory=dict)
    """The line, but for its name, of requests that hold a text."""
    files: dict[str, bytes] = field(default_factory=dict)
    batches: list[Batch] = field(default_factory=list)
    steps: Counter[str] = field(default_factory=Counter)
    keys: set[str | None] = field(default_factory=set)
    paid: Counter[str] = field(default_factory=Counter)
    """How often a request, by its text, was answered in a batch."""
    direct: Counter[str] = field(default_factory=Counter)
    """And outside of batches."""
    page: int = 2
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def enter(self, step: str, key: str | None) -> Fault | None:
        with self.lock:
            self.steps[step] += 1
            self.keys.add(key)
            left = self.faults.get(step, [])
            return left.pop(0) if left else None

    def keep(self, content: bytes) -> str:
        """The id of a new file."""
        name = f"file-{len(self.files) + 1}"
        self.files[name] = content
        return name

    def order(self, order: Payload) -> Payload:
        """A new batch, which ends when it is next asked after."""
        with self.lock:
            rows = [json.loads(line) for line in self.files[order["input_file_id"]].splitlines()]
            shared = order.get("request_params", {})
            requests = {row["custom_id"]: shared | row["body"] for row in rows}
            assert len(requests) == len(rows), "a name stands twice"
            assert all(shared or row["url"] == order["endpoint"] for row in rows)
            batch = Batch(f"batch-{len(self.batches) + 1}", order, requests)
            self.batches.append(batch)
            return batch.content()

    def state(self, name: str) -> Payload | None:
        """A batch's state, once it has ended if it may."""
        with self.lock:
            batch = next((batch for batch in self.batches if batch.id == name), None)
            if batch is not None and batch.status == "in_progress" and not self.slow:
                self._end(batch)
            return None if batch is None else batch.content()

    def _end(self, batch: Batch) -> None:
        batch.status = self.ends.pop(0) if self.ends else "completed"
        if batch.status == "failed":
            batch.problem = self.problem
            return
        done, failed = [], []
        for number, (name, body) in enumerate(batch.requests.items()):
            said = json.dumps(body)
            wrong = next((line for text, line in self.broken.items() if text in said), None)
            if batch.status != "completed" and self.partly is not None and number >= self.partly:
                code = f"batch_{batch.status}"
                wrong = {"response": None, "error": {"code": code, "message": f"the {code} came"}}
            if wrong is not None:
                failed.append(json.dumps({"custom_id": name} | wrong).encode())
                continue
            self.paid[_text(body)] += 1
            response = {"status_code": 200, "body": self.reply(body)}
            done.append(json.dumps({"custom_id": name, "response": response, "error": None}).encode())
        batch.output = self.keep(b"\n".join(self.lines(done)) + b"\n")
        batch.errors = self.keep(b"\n".join(failed)) if failed else None

    def listed(self, after: str | None) -> Payload:
        """A page of the batches, the latest first."""
        with self.lock:
            batches = self.batches[::-1]
            start = next((n + 1 for n, batch in enumerate(batches) if batch.id == after), 0)
            shown = [batch.content() for batch in batches[start : start + self.page]]
            return {"data": shown, "has_more": start + self.page < len(batches)}


def _text(body: Payload) -> str:
    return str(body["messages"][-1]["content"] if "messages" in body else body["input"][0])


class _Handler(ApiHandler):
    def do_POST(self) -> None:
        content, api = self.received(), self.api
        if self.path == "/v1/files":
            file = content.split(b'filename="')[1].split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 2)[0]
            assert b'name="purpose"\r\n\r\nbatch' in content
            self._do("upload", lambda: {"id": api.keep(file), "object": "file"})
        elif self.path == "/v1/batches":
            self._do("order", lambda: api.order(json.loads(content)))
        else:
            body = json.loads(content)
            api.direct.update(body.get("input") or [_text(body)])
            self._do("direct", lambda: good(body))

    def do_GET(self) -> None:
        parts, api = urlsplit(self.path), self.api
        words = parts.path.split("/")[2:]
        if words == ["batches"]:
            after = parse_qs(parts.query).get("after", [None])[0]
            self._do("list", lambda: api.listed(after))
        elif words[0] == "batches":
            self._do("state", lambda: api.state(words[1]))
        else:
            self._do("download", lambda: api.files.get(words[1]))

    def _do(self, step: str, content: Callable[[], Any]) -> None:
        fault = self.api.enter(step, self.headers["Authorization"])
        if fault is not None and fault.paid:
            content()  # it is done, and its reply is lost
        if fault is None and (made := content()) is None:
            self.answer(status(404, "no such thing"), content)
        else:
            self.answer(fault, content if fault is not None else lambda: made)


@contextmanager
def serving(**settings: Any) -> Iterator[BatchServer]:
    """A server on 127.0.0.1 while the block runs."""
    with api_server.serving(_Handler, lambda url: BatchServer(f"{url}/v1", **settings)) as api:
        yield api
