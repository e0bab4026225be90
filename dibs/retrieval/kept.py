"""Indexes kept on disk: written whole or not at all, and read only as they were written."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from dibs.files import folder_aside, sha256_file, write_json

_DONE = "done.json"
"""Written last into an index's folder, with the hash of every other file."""

Index = TypeVar("Index")


def kept(folder: Path, write: Callable[[Path], None], read: Callable[[Path], Index]) -> Index:
    """What `read` makes of `folder`, which `write` fills if it is not there yet or is not whole."""
    if folder.exists():
        with suppress(OSError, ValueError):
            if json.loads((folder / _DONE).read_text(encoding="utf-8")) == _hashes(folder):
                return read(folder)
        warnings.warn(f"{folder}: the index is damaged and made anew", stacklevel=2)
        shutil.rmtree(folder)
    with folder_aside(folder.parent) as work:
        write(work)
        write_json(work / _DONE, _hashes(work))
        with suppress(OSError):  # another process was first; its index is the same
            work.rename(folder)
    return read(folder)


def _hashes(folder: Path) -> dict[str, str]:
    """The hash of each file of an index, by name."""
    return {path.name: sha256_file(path) for path in sorted(folder.iterdir()) if path.name != _DONE}
