"""A Hugging Face hub on this machine: enough of its protocol to fetch a model or a data set from.

The hub's client reads its address once, when it is imported, so what uses this server runs in a
process of its own: `python_on_hub`.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

Kind = Literal["model", "dataset"]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CLOSED = "http://127.0.0.1:9"
"""An address that refuses connections: the port of a service that nobody runs."""
_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Refusal:
    """How the hub answers to everything that is asked of a repository."""

    status: int
    code: str | None = None
    """What the hub sends in X-Error-Code."""


GATED = Refusal(403, "GatedRepo")
GATED_WITHOUT_TOKEN = Refusal(401, "GatedRepo")
PRIVATE = Refusal(401, "RepoNotFound")
FAILING = Refusal(500)
BUSY = Refusal(429)
DROPPING = Refusal(0)
"""No answer at all: the connection ends."""


@dataclass
class Hub:
    """The repositories, each with its one revision, and what was asked of them."""

    url: str
    files: dict[tuple[Kind, str], dict[str, bytes]] = field(default_factory=dict)
    refusals: dict[tuple[Kind, str], Refusal] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """Method, path and status, as they came."""

    def add(self, kind: Kind, name: str, files: Mapping[str, bytes | str]) -> str:
        """Publish a repository at the revision COMMIT, which is also its `main`; returns its name."""
        self.files[kind, name] = {
            path: body.encode() if isinstance(body, str) else body for path, body in files.items()
        }
        return name

    def refuse(self, kind: Kind, name: str, refusal: Refusal) -> str:
        """Answer so to whatever is asked of that repository; returns its name."""
        self.refusals[kind, name] = refusal
        return name

    def fetched(self, kind: Kind, name: str) -> set[str]:
        """The files of a repository whose content was sent."""
        start = f"GET {_prefix(kind)}{name}/resolve/{COMMIT}/"
        return {
            line.removeprefix(start).removesuffix(" 200")
            for line in self.asked
            if line.startswith(start) and line.endswith(" 200")
        }


@contextmanager
def serving_hub() -> Iterator[Hub]:
    """An empty hub on 127.0.0.1 for the length of the block."""

    class Handler(_Handler):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        listener.daemon_threads = True  # a client may keep its connection for as long as it lives
        Handler.hub = Hub(f"http://127.0.0.1:{listener.server_address[1]}")
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Handler.hub
        finally:
            listener.shutdown()
            thread.join()


def python_on_hub(
    url: str,
    home: Path,
    program: str,
    *arguments: str,
    offline: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Any:
    """What a Python program prints as JSON, run with the hub at `url` and its caches below `home`.

    The hub's client waits up to half a minute between attempts; here it does not wait.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    ours = {
        "HF_ENDPOINT": url,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "1" if offline else "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        "PYTHONPATH": str(_ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", "import time; time.sleep = lambda seconds: None\n" + program, *arguments],
        env=kept | ours | dict(environment or {}),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    timeout = 20

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"] or 0)))

    def log_message(self, format: str, *args: object) -> None:
        """Keeps the test output clean."""

    def _answer(self, sent: bytes) -> None:
        path = unquote(urlsplit(self.path).path)
        api = path.startswith("/api/")
        kind: Kind = "dataset" if path.removeprefix("/api").startswith("/datasets/") else "model"
        prefix = (
            ("/api/models/" if api else "/")
            if kind == "model"
            else ("/api/datasets/" if api else "/datasets/")
        )
        owner, name, *rest = [*path.removeprefix(prefix).split("/"), ""]
        repository = (kind, f"{owner}/{name}")
        refusal = self.hub.refusals.get(repository)
        if refusal == DROPPING:
            self.close_connection = True
        elif refusal is not None:
            self._error(refusal.status, refusal.code)
        elif repository not in self.hub.files:
            self._error(404, "RepoNotFound")
        elif len(rest) > 1 and unquote(rest[1]) not in (COMMIT, "main"):
            self._error(404, "RevisionNotFound")
        elif api:
            self._api(repository[1], self.hub.files[repository], rest[0], "/".join(rest[2:]).strip("/"), sent)
        else:
            self._file(self.hub.files[repository], "/".join(rest[2:]).strip("/"))

    def _api(self, name: str, files: dict[str, bytes], what: str, folder: str, sent: bytes) -> None:
        if what in ("", "revision"):
            siblings = [{"rfilename": path} for path in files]
            self._json({"id": name, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []})
        elif what == "tree":
            entries = _entries(files)
            if folder and not any(entry["path"] == folder for entry in entries):
                self._error(404, "EntryNotFound")
                return
            deep = "true" in parse_qs(urlsplit(self.path).query).get("recursive", ["false"])[0].lower()
            start = f"{folder}/" if folder else ""
            self._json(
                [
                    entry
                    for entry in entries
                    if entry["path"].startswith(start)
                    and (deep or "/" not in entry["path"].removeprefix(start))
                ]
            )
        elif what == "paths-info":
            wanted = (
                json.loads(sent)["paths"]
                if "json" in str(self.headers["Content-Type"])
                else parse_qs(sent.decode()).get("paths", [])
            )
            self._json([entry for entry in _entries(files) if entry["path"] in wanted])
        else:
            self._error(404, "EntryNotFound")

    def _file(self, files: dict[str, bytes], path: str) -> None:
        if path not in files:
            self._error(404, "EntryNotFound")
            return
        body = files[path]
        self._send(200, body, {"ETag": f'"{_git_hash(body)}"'})

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, code: str | None) -> None:
        self._send(status, b"", {"X-Error-Code": code} if code else {})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.hub.asked.append(f"{self.command} {unquote(self.path)} {status}")
        self.send_response(status)
        always = {"Content-Length": str(len(body)), "X-Repo-Commit": COMMIT}
        for header, value in (always | dict(headers)).items():
            self.send_header(header, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _prefix(kind: Kind) -> str:
    return "/" if kind == "model" else "/datasets/"


def _entries(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    folders = {str(parent) for path in files for parent in Path(path).parents if str(parent) != "."}
    return [
        *({"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in sorted(folders)),
        *(
            {"type": "file", "path": path, "oid": _git_hash(body), "size": len(body)}
            for path, body in files.items()
        ),
    ]


def _git_hash(body: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
