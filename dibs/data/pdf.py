"""The text of each page of PDF files, read in worker processes."""

from __future__ import annotations

import io
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import pikepdf
import pypdfium2

from dibs.errors import InputError

MOST_PAGES = 20_000
"""A file with more pages is refused: no filing has them, and a forged page tree can claim any number."""

_AHEAD = 4  # files in work or waiting to be taken, for each process


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
            page or more than `most_pages`.
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
    except (OSError, RuntimeError, pikepdf.PdfError) as error:  # a PdfiumError is a RuntimeError
        reason = str(error).removeprefix(f"{path}: ")
        raise InputError(f"cannot be read, not even after a repair: {reason}", where=str(path)) from error


def read_pdfs(
    paths: Sequence[Path],
    *,
    processes: int | None = None,
    most_pages: int = MOST_PAGES,
    on_done: Callable[[Path], None] | None = None,
) -> Iterator[PdfPages | UnreadablePdf]:
    """Read PDFs in worker processes, because pdfium is not thread-safe and a forged file may crash it.

    A file that ends its process is read once more, alone, and is unreadable if it does so again; the
    other files do not notice. Only a few files' texts wait to be taken at any time.

    Args:
        processes: As many as there are processors by default.
        on_done: Called with each path just before its texts are handed out.

    Returns:
        One result for each path, in their order.
    """
    count = min(processes if processes is not None else os.cpu_count() or 1, max(len(paths), 1))
    rest, ahead = deque(paths), deque[_Job]()
    with closing(_Workers(count, most_pages)) as workers:
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

    def __init__(self, count: int, most_pages: int) -> None:
        self._count = count
        self._most_pages = most_pages
        self._pool = _pool(count)

    def start(self, path: Path) -> _Job:
        try:
            return _Job(path, self._pool, self._pool.submit(_read, path, self._most_pages))
        except BrokenProcessPool:
            self._replace()
            return self.start(path)

    def result(self, job: _Job) -> PdfPages | UnreadablePdf:
        try:
            return job.result.result()
        except BrokenProcessPool:  # by any of the pool's files: only a second try tells which
            if job.pool is self._pool:
                self._replace()
        with _pool(1) as alone:
            try:
                return alone.submit(_read, job.path, self._most_pages).result()
            except BrokenProcessPool:
                return UnreadablePdf(job.path, "the process that read it crashed")

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _replace(self) -> None:
        self.close()
        self._pool = _pool(self._count)


def _pool(count: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        count, mp_context=get_context("spawn"), initializer=_leave_interrupts_to_parent
    )


def _leave_interrupts_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _read(path: Path, most_pages: int) -> PdfPages | UnreadablePdf:
    try:
        return read_pdf(path, most_pages=most_pages)
    except InputError as error:
        return UnreadablePdf(path, error.problem)


def _texts(source: Path | bytes, path: Path, most_pages: int) -> list[str]:
    with closing(pypdfium2.PdfDocument(source)) as document:  # fails if there is not one page
        count = len(document)
        if count > most_pages:
            raise InputError(f"has {count:,} pages, more than {most_pages:,}", where=str(path))
        return [_text(document, number) for number in range(count)]


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
