"""What is in a folder: files that a reader knows, in order, and what is passed over and why."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dibs.data.documents.base import document_id
from dibs.data.documents.delta import delta_sha256, is_delta
from dibs.errors import InputError
from dibs.files import sha256_file

Kind = Literal["pdf", "docx", "html", "markdown", "text", "table", "delta"]

ENDINGS: dict[str, Kind] = {
    ".pdf": "pdf",
    ".docx": "docx",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "text",
    ".csv": "table",
    ".csv.gz": "table",
    ".jsonl": "table",
    ".jsonl.gz": "table",
    ".parquet": "table",
}


@dataclass(frozen=True)
class Source:
    """A file, or a Delta table, that a reader knows."""

    place: str
    """Where it is in the folder, as people read it."""
    id: str
    """The document's id, or of a table its name."""
    path: Path
    kind: Kind

    def sha256(self) -> str:
        """Of the file, or of the files that the table now consists of.

        Raises:
            InputError: it cannot be read.
        """
        if self.kind == "delta":
            return delta_sha256(self.path)
        try:
            return sha256_file(self.path)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror or error}", where=str(self.path)) from None


@dataclass(frozen=True)
class Skipped:
    """What was passed over, and why."""

    place: str
    why: str


@dataclass(frozen=True)
class Scan:
    """What a folder holds."""

    name: str
    """The folder's, or the table's."""
    home: Path
    sources: list[Source] = field(default_factory=list)
    """In the order of their paths."""
    skipped: list[Skipped] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    """Files of kinds that no reader knows, by their ending."""


def scan(home: Path) -> Scan:
    """The documents of a folder and the folders in it, or one table, Delta tables among them.

    Hidden files and folders (`.git`) are no documents. Links are not followed: what they lead to may lie
    outside, or be read already.

    Raises:
        InputError: there is no such folder or table, or no reader knows what is in it.
    """
    if not home.exists():
        raise InputError("there is no such folder or table", where=str(home))
    name = home.resolve().name
    if home.is_file() or is_delta(home):
        kind = "delta" if home.is_dir() else kind_of(name)
        if kind is None:
            raise InputError("is of a kind that is not read", where=str(home), todo=_known())
        return Scan(name, home, [Source(name, document_id(name), home, kind)])
    found = Scan(name, home)
    for folder, folders, files in os.walk(home, onerror=_refused):
        here = Path(folder)
        for inner in sorted(folders):
            if inner.startswith("."):
                folders.remove(inner)
            elif (here / inner).is_symlink():
                folders.remove(inner)
                found.skipped.append(Skipped(_place(here / inner, home), "is a link to a folder"))
            elif is_delta(here / inner):
                folders.remove(inner)
                _take(found, here / inner, "delta")
        for file in files:
            if not file.startswith("."):
                _take(found, here / file, kind_of(file))
    found.sources.sort(key=lambda source: source.path.relative_to(home).parts)
    found.skipped.sort(key=lambda one: one.place)
    if not found.sources:
        listed = "; ".join(f"{one.place}: {one.why}" for one in found.skipped[:3])
        raise InputError("holds no documents", where=str(home), todo=f"{_known()} {listed}".strip())
    return found


def kind_of(name: str) -> Kind | None:
    """The kind of a file by its ending; None if no reader knows it."""
    return next((kind for ending, kind in ENDINGS.items() if name.lower().endswith(ending)), None)


def _take(found: Scan, path: Path, kind: Kind | None) -> None:
    place = _place(path, found.home)
    if path.is_symlink():
        outside = not path.resolve().is_relative_to(found.home.resolve())
        why = "is a link that leaves the folder" if outside else "is a link to a file that is read itself"
        found.skipped.append(Skipped(place, why))
    elif kind is None:
        found.ignored[path.suffix.lower() or "no ending"] += 1
    else:
        found.sources.append(Source(place, document_id(path.relative_to(found.home).as_posix()), path, kind))


def _place(path: Path, home: Path) -> str:
    return path.relative_to(home).as_posix().encode(errors="replace").decode()


def _known() -> str:
    return f"Files that are read: {', '.join(ENDINGS)}, and Delta tables."


def _refused(error: OSError) -> None:
    raise InputError(f"cannot be read: {error.strerror or error}", where=str(error.filename)) from None
