"""From a folder's files to one table of parts on disk; a broken file is named and costs no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field

import pyarrow as pa

from dibs.data.documents.base import By, Read, Reader, part_id
from dibs.data.documents.docx import read_docx
from dibs.data.documents.html import read_html
from dibs.data.documents.markdown import read_markdown
from dibs.data.documents.pdf import pdf_parts
from dibs.data.documents.scan import Kind, Scan, Skipped, Source
from dibs.data.documents.tables import Columns, check_table, read_table_rows
from dibs.data.documents.text import read_text
from dibs.data.pdf import PdfPages, UnreadablePdf, read_pdfs
from dibs.data.rows import Row
from dibs.data.spool import Spool, TwiceError
from dibs.errors import InputError
from dibs.progress import track

_READERS: Mapping[Kind, Reader] = {
    "docx": read_docx,
    "html": read_html,
    "markdown": read_markdown,
    "text": read_text,
}
_TABLES = ("table", "delta")
_SAID = 5
"""Files that an error names of those that could not be read."""

Divide = Callable[[Row], Iterator[Row]]
"""Makes rows of a part's row: chunks of it, or itself."""


@dataclass(frozen=True)
class Taken:
    """A file that was read."""

    source: Source
    units: int
    """Rows of the table that are of it."""
    note: str | None = None


@dataclass
class Gathered:
    """The documents of a folder."""

    table: pa.Table
    """id, title, text, `document`, `part` (the ids of what a row is of) and a table's further fields."""
    taken: list[Taken]
    skipped: list[Skipped]
    """What was passed over, from the scan on."""
    divided: set[str]
    """What documents were divided into: `page`, `section`, or `part` of a table's documents."""


def gather(
    found: Scan,
    spool: Spool,
    *,
    by: By | None = None,
    columns: Columns | None = None,
    divide: Divide | None = None,
) -> Gathered:
    """Read every file of a scan into the spool, in order. What cannot be read is passed over and named.

    Args:
        by: What documents are divided into; None is pages of a PDF, sections of what has headings.
        columns: How tables' columns are called.
        divide: Makes several rows of a part's row.

    Raises:
        InputError: not one file could be read (the first ones are named), or two rows have one id.
        MissingError: a Delta table is among them and what reads it is not installed.
    """
    for source in found.sources:
        check_table(source.path)
    work = _Work(spool, by, columns or Columns(), divide or _itself)
    taken: list[Taken] = []
    failed: list[InputError] = []
    skipped = list(found.skipped)
    pdfs = read_pdfs([source.path for source in found.sources if source.kind == "pdf"])
    with track("Reading documents", len(found.sources), "files") as advance:
        for source in found.sources:
            pdf = next(pdfs) if source.kind == "pdf" else None
            try:
                taken.append(work.take(source, pdf))
            except TwiceError:
                raise
            except InputError as error:
                failed.append(error)
                skipped.append(Skipped(source.place, _why(error, source)))
            advance(1)
    if not taken:
        if len(failed) == 1:
            raise failed[0]
        said = "\n  ".join(f"{one.place}: {one.why}" for one in skipped[:_SAID])
        raise InputError(f"not one of {len(failed):,} files can be read", where=str(found.home), todo=said)
    return Gathered(spool.table(), taken, skipped, work.divided)


@dataclass
class _Work:
    spool: Spool
    by: By | None
    columns: Columns
    divide: Divide
    divided: set[str] = field(default_factory=set)

    def take(self, source: Source, pdf: PdfPages | UnreadablePdf | None) -> Taken:
        """Read one file whole, or keep nothing of it.

        Raises:
            InputError: it cannot be read, or holds no text.
        """
        table = source.kind in _TABLES
        read = Read([]) if table else self._read(source, pdf)
        rows = read_table_rows(source.path, self.columns) if table else _rows(source, read)
        units = texts = 0
        with self.spool.whole() if table else nullcontext():
            for row in rows:
                if row.values["part"] != row.values["document"]:
                    self.divided.add("part" if table else "page" if source.kind == "pdf" else "section")
                for one in self.divide(row):
                    self.spool.add(one)
                    units += 1
                    texts += bool(one.values["text"].strip())
            if not texts:
                raise InputError("holds no text", where=str(source.path))
        return Taken(source, units, read.note)

    def _read(self, source: Source, pdf: PdfPages | UnreadablePdf | None) -> Read:
        if pdf is None:
            read = _READERS[source.kind](source.path, self.by)
        elif isinstance(pdf, UnreadablePdf):
            raise InputError(pdf.reason, where=str(source.path))
        else:
            read = pdf_parts(pdf, self.by)
        if not any(part.text.strip() for part in read.parts):
            scanned = ": its pages are pictures" if pdf is not None else ""
            raise InputError(f"holds no text{scanned}", where=str(source.path))
        return read


def _rows(source: Source, read: Read) -> Iterator[Row]:
    for part in read.parts:
        name = part_id(source.id, part.mark)
        values = {"id": name, "title": part.title, "text": part.text, "document": source.id, "part": name}
        yield Row(values, str(source.path))


def _itself(row: Row) -> Iterator[Row]:
    yield row


def _why(error: InputError, source: Source) -> str:
    """What is wrong with a file, and at which line."""
    line = (error.where or "").removeprefix(str(source.path)).lstrip(", ")
    return f"{line}: {error.problem}" if line and line != error.where else error.problem
