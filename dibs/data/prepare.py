"""From a task card to its data set on disk, through the source that the card names."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from dibs import plugins
from dibs.cards.task import TaskCard
from dibs.data.dataset import Dataset, open_dataset
from dibs.data.state import how_to_get, is_current, source_state
from dibs.data.write import write_dataset
from dibs.errors import DamagedError, InputError, MissingError
from dibs.files import sha256_file
from dibs.workspace import Workspace


@dataclass(frozen=True)
class SourceRequest:
    """What a source is asked for."""

    card: TaskCard
    downloads: Path
    """A folder of the cache for what the source fetches."""
    folder: Path | None
    """The user's own copy, to read instead of fetching."""
    complete: bool
    """Refuse where something is absent, rather than go on with what is there."""


@dataclass(frozen=True)
class SourceData:
    """What a source gives."""

    corpus: pa.Table | Iterator[pa.RecordBatch]
    queries: pa.Table
    qrels: pa.Table
    corpus_schema: pa.Schema | None = None
    """Needed where the corpus comes in batches."""
    notes: Sequence[str] = ()
    """What a reader of a result has to know."""


def prepare(
    card: TaskCard, workspace: Workspace, *, folder: Path | None = None, complete: bool = False
) -> Dataset:
    """Build the task's data set anew and make it the current one.

    Args:
        folder: Read this copy instead of what the card names.
        complete: Refuse if anything is absent.

    Raises:
        InputError: the source's data is malformed or incomplete; file, line and id are named.
        MissingError: there is nothing to read.
    """
    if folder is not None and not folder.exists():
        raise InputError("there is no such folder", where=str(folder))
    source = plugins.load("source", card.source.kind)
    state = source_state(card)  # of before the reading: what changes meanwhile is read again next time
    data: SourceData = source(
        SourceRequest(
            card,
            workspace.cache / "downloads" / card.name / (card.source.revision or "unpinned"),
            folder,
            complete,
        )
    )

    def check(dataset: Dataset) -> None:
        if complete and (lacking := shortfall(card, dataset)):
            problem = f"{card.name} is not complete: {lacking}"
            raise InputError(problem, todo="Leave out --complete to use what is there.")

    return write_dataset(
        workspace.data / card.name,
        card.name,
        data.corpus,
        data.queries,
        data.qrels,
        corpus_schema=data.corpus_schema,
        source=state,
        notes=data.notes,
        check=check,
    )


def prepared(card: TaskCard, workspace: Workspace) -> Dataset | None:
    """The task's data set if it is there and neither card nor its own files changed since; else None."""
    try:
        dataset = open_dataset(workspace.data / card.name)
    except FileNotFoundError:
        return None
    return dataset if is_current(card, dataset.info.source, dataset.info.sha256) else None


def ensure(card: TaskCard, workspace: Workspace) -> Dataset:
    """The task's data set; built now if the card's own folder or hub name is all it takes.

    Raises:
        MissingError: it has to be prepared first; the message has the command.
    """
    try:
        dataset = prepared(card, workspace)
    except DamagedError:
        if card.source.path is None:
            raise
        dataset = None
    if dataset is not None:
        return dataset
    if card.source.path is None and card.source.kind != "hub":
        raise MissingError(f"the data of {card.name} is not prepared", todo=how_to_get(card))
    return prepare(card, workspace)


def shortfall(card: TaskCard, dataset: Dataset) -> str | None:
    """How the data at hand differs from the counts the card expects; None if it does not."""
    counts = (
        ("queries", dataset.info.queries, card.expect.queries, 0),
        ("documents", dataset.info.documents, card.expect.documents, card.expect.tolerance),
    )
    parts = [
        f"{found:,} of {expected:,} {kind}"
        for kind, found, expected, tolerance in counts
        if expected is not None and abs(found - expected) > tolerance
    ]
    if not parts and card.expect.sha256 not in (None, dataset.info.sha256):
        parts = [f"texts differ from those expected (content {dataset.info.sha256[:12]})"]
    return ", ".join(parts) or None


def check_pinned(card: TaskCard, name: str, path: Path) -> None:
    """Compare a file's content, unpacked, with the SHA-256 that the card pins for `name`, if any.

    Raises:
        InputError: they differ, or the file cannot be read.
    """
    pinned = card.source.files.get(name)
    if pinned is None:
        return
    try:
        found = sha256_file(path, unpack=path.suffix == ".gz")
    except (OSError, EOFError, zlib.error) as error:
        problem = f"cannot be compared with what the card of {card.name} pins: {error}"
        raise InputError(problem, where=str(path), todo="Get that file anew.") from None
    if found != pinned:
        raise InputError(
            f"is not what the card of {card.name} pins: SHA-256 {found[:12]}..., not {pinned[:12]}...",
            where=str(path),
            todo="Get the pinned revision, or change the card if you mean another file.",
        )
