"""The text of each page of PDF files, read in worker processes.

A file from outside may be forged: kilobytes that unpack to 10 GB, forms that draw each other without
end. So a worker may take so much memory and so much time for one file, and the system ends it there.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import pikepdf
import pypdfium2

from dibs.errors import InputError

MOST_PAGES = 20_000
"""A file with more pages is refused: no filing has them, and a forged page tree can claim any number."""

MOST_CHARACTERS = 100_000_000
"""Nor do filings have more text than that: one of 160 pages has 0.6 million."""

_AHEAD = 4  # files in work or waiting to be taken, for each process


class Limits(NamedTuple):
    """What reading one file may take; a filing of 160 pages takes 1 s and 60 MB."""

    pages: int = MOST_PAGES
    seconds: float = 300
    """Of computing; of waiting three times that."""
    memory: int = 3 << 30
    """Bytes of address space, where the system limits that (macOS and Windows do not)."""


class Page(NamedTuple):
    """One page's text."""

    number: int
    """From 0, as PDF readers count."""
    text: str


@dataclass(frozen=True)
class PdfPages:
    """The texts of one PDF."""

    name: str
    """The file's name without its suffix."""
    pages: list[str]
    """In order; an image without text is an empty string."""
    repaired: bool
    """Whether the file had to be repaired; what was cut off is not in it."""

    def numbered(self) -> Iterator[Page]:
        """The pages with their numbers."""
        return (Page(number, text) for number, text in enumerate(self.pages))


@dataclass(frozen=True)
class UnreadablePdf:
    """A PDF that gave no texts."""

    path: Path
    reason: str

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem


def read_pdf(path: Path, *, most_pages: int = MOST_PAGES) -> PdfPages:
    """The text of each page as pdfium extracts it, with "\\n" ends of line and plain blanks for U+00A0.

    U+FFFE, pdfium's mark of a hyphen at a line's end, stays.

    Raises:
        InputError: the file cannot be read, not even after a repair; it is encrypted; it has no
            page, more than `most_pages`, or more text than `MOST_CHARACTERS`. A forged file may take
            memory without end, or crash the process: `read_pdfs` bounds that.
    """
    if not path.is_file():
        raise InputError("there is no such file", where=str(path))
    try:
        try:
            return PdfPages(path.stem, _texts(path, path, most_pages), repaired=False)
        except pypdfium2.PdfiumError:
            return PdfPages(path.stem, _texts(_repaired(path), path, most_pages), repaired=True)
    except pikepdf.PasswordError:
        raise InputError("is encrypted", where=str(path), todo="Save it without a password.") from None
    except MemoryError:
        raise InputError("takes more memory than it may", where=str(path)) from None
    except (OSError, RuntimeError, pikepdf.PdfError) as error:  # a PdfiumError is a RuntimeError
        reason = str(error).removeprefix(f"{path}: ")
        raise InputError(f"cannot be read, not even after a repair: {reason}", where=str(path)) from error


def read_pdfs(
    paths: Sequence[Path],
    *,
    processes: int | None = None,
    most_pages: int = MOST_PAGES,
    limits: Limits | None = None,
    on_done: Callable[[Path], None] | None = None,
) -> Iterator[PdfPages | UnreadablePdf]:
    """Read PDFs in worker processes, because pdfium is not thread-safe and a forged file may crash it.

    A file that ends its process, or for whose sake the system ends it, is read once more, alone, and is
    unreadable if that happens again; the other files do not notice. Only a few files' texts wait to be
    taken at any time. The processes end with this one, even if it is killed.

    Args:
        processes: As many as there are processors by default.
        limits: What one file may take; `most_pages` is not asked then.
        on_done: Called with each path just before its texts are handed out.

    Returns:
        One result for each path, in their order.
    """
    count = min(processes if processes is not None else os.cpu_count() or 1, max(len(paths), 1))
    rest, ahead = deque(paths), deque[_Job]()
    with closing(_Workers(count, limits or Limits(most_pages))) as workers:
        while rest or ahead:
            while rest and len(ahead) < _AHEAD * count:
                ahead.append(workers.start(rest.popleft()))
            job = ahead.popleft()
            result = workers.result(job)
            if on_done is not None:
                on_done(job.path)
            yield result


@dataclass(frozen=True)
class _Job:
    path: Path
    pool: ProcessPoolExecutor
    result: Future[PdfPages | UnreadablePdf]


class _Workers:
    """A pool of processes that is replaced when a file has ended one of them."""

    def __init__(self, count: int, limits: Limits) -> None:
        self._count = count
        self._limits = limits
        self._pool = _pool(count, limits)

    def start(self, path: Path) -> _Job:
        try:
            return _Job(path, self._pool, self._pool.submit(_read, path, self._limits))
        except BrokenProcessPool:
            self._replace()
            return self.start(path)

    def result(self, job: _Job) -> PdfPages | UnreadablePdf:
        try:
            return job.result.result()
        except BrokenProcessPool:  # by any of the pool's files: only a second try tells which
            if job.pool is self._pool:
                self._replace()
        return _read_alone(job.path, self._limits)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _replace(self) -> None:
        self.close()
        self._pool = _pool(self._count, self._limits)


def _pool(count: int, limits: Limits) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        count, mp_context=get_context("spawn"), initializer=_begin, initargs=(limits.memory,)
    )


def _read_alone(path: Path, limits: Limits) -> PdfPages | UnreadablePdf:
    """Read a file in a process of its own, whose end says what was wrong with it."""
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, _read, path, limits), daemon=True)
    process.start()
    sender.close()
    try:
        result: PdfPages | UnreadablePdf = receiver.recv()
    except EOFError:
        process.join()
        if sys.platform != "win32" and process.exitcode in (-signal.SIGPROF, -signal.SIGALRM):
            return UnreadablePdf(path, f"takes more than {limits.seconds:,.0f} s")
        return UnreadablePdf(path, f"the process that read it crashed, or took {limits.memory >> 20:,} MiB")
    finally:
        receiver.close()
    process.join()
    return result


def _begin(memory: int) -> None:
    """What a worker does first: it leaves Ctrl-C to its parent, ends with it, and takes no more memory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if sys.platform != "win32":
        import resource

        with suppress(ValueError, OSError):  # macOS has no such limit
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _send(sender: Connection, read: _Reader, path: Path, limits: Limits) -> None:
    _begin(limits.memory)
    sender.send(read(path, limits))


def _read(path: Path, limits: Limits) -> PdfPages | UnreadablePdf:
    _clock(limits.seconds)
    try:
        return read_pdf(path, most_pages=limits.pages)
    except InputError as error:
        return UnreadablePdf(path, error.problem)
    finally:
        _clock(0)


def _clock(seconds: float) -> None:
    """Have the system end this process when it has computed so long, whatever it is in; 0 is without end."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, seconds)
        signal.setitimer(signal.ITIMER_REAL, 3 * seconds)


_Reader = Callable[[Path, Limits], PdfPages | UnreadablePdf]


def _texts(source: Path | bytes, path: Path, most_pages: int) -> list[str]:
    with closing(pypdfium2.PdfDocument(source)) as document:  # fails if there is not one page
        count = len(document)
        if count > most_pages:
            raise InputError(f"has {count:,} pages, more than {most_pages:,}", where=str(path))
        texts, length = [], 0
        for number in range(count):
            texts.append(_text(document, number))
            length += len(texts[-1])
            if length > MOST_CHARACTERS:
                raise InputError(f"has more than {MOST_CHARACTERS:,} characters of text", where=str(path))
        return texts


def _text(document: pypdfium2.PdfDocument, number: int) -> str:
    with closing(document[number]) as page, closing(page.get_textpage()) as textpage:
        # get_text_bounded marks a hyphen at a line's end as U+0002, where the reference texts have U+FFFE.
        text: str = textpage.get_text_range()
    return text.replace("\r\n", "\n").replace("\u00a0", " ")


def _repaired(path: Path) -> bytes:
    buffer = io.BytesIO()
    with pikepdf.open(path) as document:
        document.save(buffer)
    return buffer.getvalue()
