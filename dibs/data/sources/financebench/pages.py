"""The texts of FinanceBench's pages: from a `pages.parquet`, else from the filings' PDFs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dibs.data.pdf import PdfPages, UnreadablePdf, read_pdfs
from dibs.errors import InputError, MissingError
from dibs.progress import track

_PAGES = pa.schema([("doc_name", pa.string()), ("page", pa.int64()), ("text", pa.string())])
_COLUMNS = "Each page is a row: doc_name, page (from 0), text (empty where there is none)."


def read_pages(folder: Path, listed: Collection[str]) -> Iterator[PdfPages | UnreadablePdf]:
    """The pages of the listed filings that are in the folder, in the order of the filings' names.

    Raises:
        MissingError: there is none.
        InputError: `pages.parquet` is malformed.
    """
    path = folder / "pages.parquet"
    return _from_parquet(path, listed) if path.is_file() else _from_pdfs(folder, listed)


def _from_parquet(path: Path, listed: Collection[str]) -> Iterator[PdfPages]:
    try:
        table = pq.read_table(path, columns=_PAGES.names)
        table = table.cast(_PAGES)
        table.validate(full=True)  # or a text that is not UTF-8 fails where it is used
    except (OSError, pa.ArrowException) as error:
        problem = f"is not a parquet file with doc_name, page, text: {error}"
        raise InputError(problem, where=str(path), todo=_COLUMNS) from None
    if table["text"].null_count:
        raise InputError("has a page without a text", where=str(path), todo=_COLUMNS)
    table = table.sort_by([("doc_name", "ascending"), ("page", "ascending")])
    for name in pc.unique(table["doc_name"]).to_pylist():
        if name in listed:
            pages = table.filter(pc.equal(table["doc_name"], name))
            if pages["page"].to_pylist() != list(range(pages.num_rows)):
                problem = f"the pages of {name} do not count from 0 without a gap"
                raise InputError(problem, where=str(path), todo=_COLUMNS)
            yield PdfPages(name, pages["text"].to_pylist(), repaired=False)


def _from_pdfs(folder: Path, listed: Collection[str]) -> Iterator[PdfPages | UnreadablePdf]:
    home = folder / "pdfs" if (folder / "pdfs").is_dir() else folder
    paths = [path for path in sorted(home.glob("*.pdf")) if path.stem in listed]
    if not paths:
        problem = "there is no PDF of a listed filing, and no pages.parquet"
        raise MissingError(problem, where=str(home), todo="Put the filings into a folder pdfs/ there.")
    with track("Reading filings", len(paths), "filings") as advance:
        yield from read_pdfs(paths, on_done=lambda path: advance(1))
