"""FinanceBench's files, fetched from its repository at the pinned revision."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from dibs.cards.task import TaskCard
from dibs.data.fetch import RemoteFile, fetch
from dibs.data.github import list_files
from dibs.data.sources.financebench.tables import FILINGS, QUESTIONS
from dibs.errors import InputError
from dibs.progress import track


def fetch_tables(card: TaskCard, downloads: Path) -> Path:
    """Bring the two tables into `downloads`, which is returned.

    Raises:
        InputError: the card does not say where from.
        DibsError: as `fetch`.
    """
    source = card.source
    if source.repository is None or source.revision is None:
        problem = f"the card of {card.name} names no repository and revision"
        raise InputError(problem, todo="Set both below [source], or give a copy: --from FOLDER.")
    base = f"{source.raw}/{source.repository}/{source.revision}/data"
    tables = [
        RemoteFile(f"{base}/{name}", f"data/{name}", sha256=source.files.get(name))
        for name in (QUESTIONS, FILINGS)
    ]
    fetch(tables, downloads)
    return downloads


def fetch_filings(card: TaskCard, downloads: Path, listed: Collection[str]) -> None:
    """Bring the PDFs of the listed filings into `downloads`.

    Raises:
        DibsError: as `list_files` and `fetch`.
    """
    source = card.source
    found = list_files(str(source.repository), str(source.revision), "pdfs/", api=source.api, raw=source.raw)
    wanted = [file for file in found if Path(file.path).stem in listed]
    size = sum(file.size or 0 for file in wanted)
    with track(f"Fetching {len(wanted)} filings", size, "bytes") as advance:
        fetch(wanted, downloads, on_bytes=advance)
