"""Commands in processes of their own, which can be killed, or meet a full disk, at any point of their work.

They are forked from one process that has imported everything and done nothing.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import sleep
from typing import Any

from dibs import plugins
from dibs.cards.model import ModelCard
from dibs.encoders.base import EncodedBatch, EncoderContext, Role
from dibs.records import QUERIES, Record
from dibs.workspace import Workspace
from tests.toys import HashEncoder

_IMPORTED = (
    "tests.failures.commands",
    "dibs.cli.main",
    "dibs.request",
    "dibs.llm.mock",
    "dibs.rag.record",
    "dibs.report.answers",
    "dibs.report.tables",
    "dibs.retrieval.bm25",
    "bm25s",
    "pandas",
    "scipy.stats",
    "pytrec_eval",
)


class LoggedEncoder(HashEncoder):
    """Notes each text that it encodes in the file that ASKED names; its option `seconds` slows it down."""

    def __init__(self, card: ModelCard, context: EncoderContext) -> None:
        super().__init__(card.name, batch_size=2)
        self._seconds = float(card.options.get("seconds", 0))

    def stream(self, texts: Any, role: Role) -> Iterator[EncodedBatch]:
        for batch in super().stream(texts, role):
            note(*(texts[place] for place in batch.positions))
            sleep(self._seconds)
            yield batch


ENCODER = EntryPoint("encoder.logged", f"{__name__}:LoggedEncoder", plugins.GROUP)


def note(*lines: str) -> None:
    """Add lines to the file that ASKED names; they are there though the process be killed."""
    with Path(os.environ["ASKED"]).open("a") as stream:
        stream.writelines(f"{line!r}\n" for line in lines)


@dataclass(frozen=True)
class Fault:
    """What befalls a process in its `call`-th call of a function."""

    target: str
    """`module:name` or `module:Class.name`."""
    call: int = 1
    error: int | None = None
    """The system's error that this call and all later ones fail with; None is kill -9."""

    def install(self) -> None:
        module, _, path = self.target.partition(":")
        *owners, name = path.split(".")
        owner: Any = import_module(module)
        for part in owners:
            owner = getattr(owner, part)
        original, calls = getattr(owner, name), count(1)

        def failing(*args: Any, **options: Any) -> Any:
            number = next(calls)
            if self.error is None and number == self.call:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.error is not None and number >= self.call:
                raise OSError(self.error, os.strerror(self.error))
            return original(*args, **options)

        setattr(owner, name, failing)


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Running:
    """A command at work."""

    process: BaseProcess
    folder: Path

    def end(self) -> Ended:
        self.process.join(120)
        assert self.process.exitcode is not None, "it does not end"
        out, err = ((self.folder / name).read_text() for name in ("out", "err"))
        return Ended(self.process.exitcode, out, err)


def start(
    place: Workspace, *words: str, fault: Fault | None = None, file_size: int | None = None, user: int = 0
) -> Running:
    """Begin a command in `place`.

    Args:
        file_size: The greatest size of a file it writes, in bytes, as on a disk that is full.
        user: The id of the user that it is to be run as.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    folder = place.root.parent / f"process-{len(list(place.root.parent.glob('process-*')))}"
    folder.mkdir()
    environment = {
        "DIBS_WORKSPACE": str(place.root),
        "DIBS_CACHE": str(place.cache),
        "ASKED": str(place.root.parent / "asked"),
        "OMP_NUM_THREADS": "1",
    }
    process = context.Process(target=_main, args=(words, folder, environment, fault, file_size, user))
    process.start()
    return Running(process, folder)


def run(place: Workspace, *words: str, **options: Any) -> Ended:
    """Run a command to its end, see `start`."""
    return start(place, *words, **options).end()


def asked(place: Workspace) -> list[str]:
    """What was noted since this was last called."""
    path = place.root.parent / "asked"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def _main(
    words: tuple[str, ...],
    folder: Path,
    environment: dict[str, str],
    fault: Fault | None,
    file_size: int | None,
    user: int,
) -> None:
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    os.environ.update(environment)
    from dibs.cli.main import app
    from dibs.llm.mock import MockChat

    known = plugins._registered() | {ENCODER.name: ENCODER}
    plugins._registered = lambda: known  # type: ignore[assignment]
    post = MockChat._post

    def noted(chat: MockChat, body: dict[str, Any]) -> bytes:
        reply = post(chat, body)
        note(str(body["messages"][-1]["content"]))
        return reply

    MockChat._post = noted  # type: ignore[method-assign, assignment]
    if fault is not None:
        fault.install()
    if file_size is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    if user:
        os.setgid(user)
        os.setuid(user)
    try:
        app(list(words), prog_name="dibs")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def state(place: Workspace) -> dict[str, Any]:
    """Everything below results/ but when it was made, how long that took, and the hashes of that."""
    found: dict[str, Any] = {}
    for path in sorted(place.results.rglob("*")):
        name = path.relative_to(place.results).as_posix()
        if path.is_dir():
            continue
        if path.name == "manifest.json":
            assert Record(path.parent).faults() == []
            values = json.loads(path.read_text())
            for changing in ("created", "cost", "sha256", "files"):
                values.pop(changing)
            found[name] = values
        elif path.name == "mteb.json":
            found[name] = json.loads(path.read_text()) | {"evaluation_time": None}
        elif path.name == QUERIES:
            found[name] = Record(path.parent).queries().to_dict("list")
        else:
            found[name] = path.read_bytes()
    return found


def leftovers(place: Workspace) -> list[str]:
    """Files and folders that somebody began and did not end."""
    folders = (place.root, place.cache)
    paths = (path for folder in folders for path in folder.rglob(".*") if not path.name.endswith(".lock"))
    return sorted(path.name for path in paths) + sorted(p.name for p in place.cache.rglob("*.part"))
