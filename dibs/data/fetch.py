"""Downloads files into a folder: resumed, checked, and never fetched twice."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Sequence
from concurrent import futures
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
from filelock import FileLock
from tenacity import sleep_using_event
from tenacity.wait import wait_base

from dibs.errors import DamagedError, DibsError, InputError, MissingError, ProviderError
from dibs.retry import POLITE, RESUME, check_status, connected, with_retries

_LOCK = ".fetch.lock"
_UNSAFE = re.compile(r"^[A-Za-z]:|[\\\0]|(^|/)\.{0,2}(/|$)")  # a drive, a backslash, a part '', '.' or '..'


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch, and how to know that it is the right one.

    Raises:
        InputError: `url` is not http(s), or `path` does not stay inside the folder.
    """

    url: str
    path: str
    """Where it goes, relative to the folder, with '/' between the parts."""
    size: int | None = None
    """Bytes."""
    sha256: str | None = None
    git_sha1: str | None = None
    """Git's blob hash: sha1 of b"blob <size>\\0" and the content."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise InputError(f"{self.url!r} is no http(s) address", where=self.path)
        if _UNSAFE.search(self.path):
            raise InputError(f"the path {self.path!r} does not stay inside its folder", where=self.url)


@dataclass(frozen=True)
class Fetched:
    """What `fetch` did."""

    fetched: int
    """Files downloaded."""
    reused: int
    """Files that were there already."""
    bytes: int
    """Bytes received over the wire, those of failed attempts included."""


def fetch(
    files: Sequence[RemoteFile],
    folder: Path,
    *,
    concurrency: int = 8,
    attempts: int = 5,
    client: httpx.Client | None = None,
    on_bytes: Callable[[int], None] | None = None,
    wait: wait_base = POLITE,
) -> Fetched:
    """Download `files` into `folder`; a file that is there with the right hash is reused.

    Without a hash its size decides; with neither, that it is there. A download in progress
    is `<path>.part`; it is checked before it is renamed. When some files fail, the others are still
    finished. Processes that fetch into one folder take turns.

    Args:
        concurrency: Downloads at a time.
        attempts: For each file, the first included.
        client: Left open; by default one with timeouts of 30 seconds.
        on_bytes: Called with each count of bytes received, by one thread at a time.
        wait: Seconds between attempts.

    Raises:
        InputError: two files use one path, or the folder cannot be written.
        MissingError: the server refuses a file (404, 403, 401 or another 4xx that is not retried).
        ProviderError: a download failed in every attempt, or files failed in different ways.
        DamagedError: the bytes are not those expected, in every attempt.
    """
    names = {name for file in files for name in (file.path, f"{file.path}.part")}
    if len(names - {_LOCK}) < 2 * len(files):
        raise InputError("two of the files to fetch use the same path", where=str(folder))
    missing = [file for file in files if not _is_here(file, folder / file.path)]
    if not missing:
        return Fetched(fetched=0, reused=len(files), bytes=0)
    own = nullcontext(client) if client else connected(lambda: httpx.Client(timeout=30))
    with _turn(folder), own as http:
        downloads = _Downloads(folder, http, attempts, wait, on_bytes or (lambda count: None))
        with futures.ThreadPoolExecutor(concurrency) as pool:
            try:
                jobs = [pool.submit(downloads.get, file) for file in missing]
                # Not in one go: a Ctrl-C that comes just before the wait begins is seen when it ends.
                while futures.wait(jobs, timeout=0.5).not_done:
                    pass
            except BaseException:  # Ctrl-C: the threads end at their next chunk, the part files stay
                downloads.stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    errors = [error for job in jobs if isinstance(error := job.exception(), DibsError)]
    if errors:
        raise errors[0] if len(errors) == 1 else _summary(errors, len(files), folder)
    fetched = sum(job.result() for job in jobs)
    return Fetched(fetched=fetched, reused=len(files) - fetched, bytes=downloads.received)


def _turn(folder: Path) -> AbstractContextManager[object]:
    """Hold the folder until the block ends; another process waits here and then finds the files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / _LOCK).acquire()
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", where=str(folder)) from error


@dataclass
class _Downloads:
    """What the threads of one `fetch` share."""

    folder: Path
    client: httpx.Client
    attempts: int
    wait: wait_base
    on_bytes: Callable[[int], None]
    received: int = 0
    counting: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)

    def get(self, file: RemoteFile) -> bool:
        """True if the file was downloaded, False if another process had brought it."""
        target = self.folder / file.path
        if _is_here(file, target):
            return False
        attempt, sleep = partial(self._attempt, file, target), sleep_using_event(self.stop)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with_retries(attempt, file.url, attempts=self.attempts, wait=self.wait, sleep=sleep)
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror or error}", where=str(target)) from error
        return True

    def _attempt(self, file: RemoteFile, target: Path) -> None:
        if self.stop.is_set():
            raise futures.CancelledError
        part = target.with_name(f"{target.name}.part")
        self._receive(file, part)
        if wrong := _mismatch(file, part):
            _remove(part)
            raise DamagedError(f"is not the file it should be: {wrong}", where=file.url, todo=RESUME)
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.replace(target)
        _remove(part)

    def _receive(self, file: RemoteFile, part: Path) -> None:
        """Bring the part to its end: from where it stops if that is safe, else from zero."""
        etag = _strong_etag(part)
        # Without an ETag or a hash, nothing would tell that the content has changed in between.
        safe = part.exists() and (etag or file.sha256 or file.git_sha1)
        start = part.stat().st_size if safe else 0
        if start and start == file.size:
            return
        headers = {"Accept-Encoding": "identity"}  # sizes and ranges count the file's own bytes
        if start:
            headers |= {"Range": f"bytes={start}-"} | ({"If-Range": etag} if etag else {})
        with self.client.stream("GET", file.url, headers=headers, follow_redirects=True) as response:
            if not start or response.status_code not in {206, 416}:
                check_status(response)
                _remove(part)
                Path(f"{part}.etag").write_text(response.headers.get("ETag", ""), "utf-8")
                self._append(response, part)
                return
            if _goes_on(response, start, etag):
                if response.status_code == 206:
                    self._append(response, part)
                return
        _remove(part)
        self._receive(file, part)

    def _append(self, response: httpx.Response, part: Path) -> None:
        with part.open("ab") as stream:
            for chunk in response.iter_raw():
                if self.stop.is_set():
                    raise futures.CancelledError
                stream.write(chunk)
                stream.flush()  # what is counted is in the file, also when a Ctrl-C comes between
                with self.counting:
                    self.received += len(chunk)
                    self.on_bytes(len(chunk))


def _goes_on(response: httpx.Response, start: int, etag: str | None) -> bool:
    """Whether a 206 brings what follows byte `start`, or a 416 says that nothing does."""
    if etag is not None and response.headers.get("ETag", etag) != etag:
        return False
    place = str(response.headers.get("Content-Range"))
    return place == f"bytes */{start}" if response.status_code == 416 else place.startswith(f"bytes {start}-")


def _strong_etag(part: Path) -> str | None:
    """What the part's content is called, if the name promises equal bytes (a weak one, W/"...", does not)."""
    path = Path(f"{part}.etag")
    etag = path.read_text("utf-8", errors="replace") if path.exists() else ""
    return etag if re.fullmatch(r'"[!#-~]*"', etag) else None


def _remove(part: Path) -> None:
    part.unlink(missing_ok=True)
    Path(f"{part}.etag").unlink(missing_ok=True)


def _is_here(file: RemoteFile, path: Path) -> bool:
    try:
        return path.is_file() and _mismatch(file, path) is None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error


def _mismatch(file: RemoteFile, path: Path) -> str | None:
    """How the bytes at `path` differ from the file's, None if they do not."""
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return f"expected {file.size:,} bytes, got {size:,}"
    git_hash = partial(hashlib.sha1, b"blob %d\0" % size)
    sums = (("SHA-256", file.sha256, hashlib.sha256), ("git hash", file.git_sha1, git_hash))
    for name, expected, new in sums:
        if expected is not None:
            with path.open("rb") as stream:
                got = hashlib.file_digest(stream, new).hexdigest()
            if got != expected.lower():
                return f"expected {name} {expected}, got {got}"
    return None


def _summary(errors: list[DibsError], total: int, folder: Path) -> DibsError:
    kinds = (MissingError, InputError, DamagedError)
    kind = next((kind for kind in kinds if all(isinstance(error, kind) for error in errors)), ProviderError)
    lines = [f"{len(errors)} of {total} files could not be fetched"]
    lines += [f"{error.where}: {error.problem}" for error in errors[:5]]
    lines += [f"and {len(errors) - 5} more"] if len(errors) > 5 else []
    return kind("\n  ".join(lines), where=str(folder), todo=errors[0].todo)
