"""The vector store: what was embedded once is never embedded again.

A folder for each fingerprint holds `settings.json` and shards. A shard belongs to the one process
that writes it, so any number of processes can write at once; it is two files that only grow:

    NAME.vec    the vectors' rows, float32
    NAME.idx    for each row: the text's key, its tokens, the row's CRC-32

A row goes into `.vec` first. What a killed process leaves behind is at most a tail without its
entry, which readers pass over; nobody writes to that shard again.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dibs.encoders.base import FloatArray, IntArray
from dibs.errors import DamagedError, InputError
from dibs.files import canonical_json, digest, slug, write_json

Keys = npt.NDArray[np.bytes_]

UNCOUNTED = -1
"""The tokens of a text that nobody counted."""

_ENTRY = np.dtype([("key", "S16"), ("tokens", "<i4"), ("crc", "<u4")])
_CHECKED_ROWS = 8192


def text_keys(texts: Sequence[str]) -> Keys:
    """(n,) 16-byte BLAKE2b keys of texts."""
    return np.array([hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts], dtype="S16")


@dataclass(frozen=True)
class _Shard:
    path: Path
    entries: npt.NDArray[Any]
    dimension: int

    @property
    def vectors(self) -> FloatArray:
        """Mapped anew each time: what was read does not stay in this process's memory."""
        shape = (len(self.entries), self.dimension)
        return np.memmap(self.path.with_suffix(".vec"), np.float32, "r", shape=shape)


class VectorStore:
    """Vectors of one fingerprint, found by their texts' keys.

    Rows are numbered over all shards; the numbers hold until `reload`.
    """

    def __init__(self, root: Path, name: str, settings: dict[str, Any], dimension: int) -> None:
        """Open the store of `settings` below `root`, or begin one."""
        self.dimension = dimension
        self.folder = self._folder(root, name, settings)
        with _writing(self.folder):
            self._describe(settings)
        self._writing: Path | None = None
        self._sizes: list[tuple[Path, int, int]] | None = None
        self.reload()

    def _describe(self, settings: dict[str, Any]) -> None:
        """See that `settings.json` says what the folder's name is the hash of; the vectors have hashes of
        their own."""
        path = self.folder / "settings.json"
        found = _read_settings(path) if path.exists() else None
        if found is None:
            if path.exists():
                warnings.warn(f"{path} is damaged and written anew; the vectors are kept", stacklevel=4)
            write_json(path, settings)
        elif found != canonical_json(settings):
            raise DamagedError(
                "the vector store's settings are not those of its name",
                where=str(path),
                todo="If the folder was copied there, delete it; else delete this file alone, and its "
                "vectors are kept.",
            )

    @classmethod
    def exists(cls, root: Path, name: str, settings: dict[str, Any]) -> bool:
        """Whether anything was begun there."""
        return cls._folder(root, name, settings).is_dir()

    @staticmethod
    def _folder(root: Path, name: str, settings: dict[str, Any]) -> Path:
        """The store of these settings, under whatever name it was begun; a new one is under `name`."""
        own = root / slug(name) / digest(settings)[:16]
        return own if own.is_dir() else min(root.glob(f"*/{own.name}"), default=own)

    def reload(self) -> None:
        """See what this and other processes have written; row numbers are given anew."""
        # Names begin with the time of their making, so a later vector of the same text comes later.
        paths = sorted(self.folder.glob("*.idx"))
        sizes = [(path, _size(path), _size(path.with_suffix(".vec"))) for path in paths]
        if sizes == self._sizes:  # sorting the keys of 2,000,000 texts takes a second
            return
        self._sizes = sizes
        self._shards = [shard for path in paths if (shard := self._open(path))]
        self._starts = np.cumsum([0, *(len(shard.entries) for shard in self._shards)])
        keys = np.concatenate([shard.entries["key"] for shard in self._shards] or [np.empty(0, "S16")])
        self._order = np.argsort(keys, kind="stable")
        self._keys: Keys = keys[self._order]

    def __len__(self) -> int:
        return int(self._starts[-1])

    def find(self, keys: Keys) -> IntArray:
        """(n,) the row of each key, the latest one if there are several; -1 where there is none."""
        if not len(self._keys):
            return np.full(len(keys), -1, dtype=np.int64)
        place = np.searchsorted(self._keys, keys, side="right") - 1
        found = (place >= 0) & (self._keys[np.maximum(place, 0)] == keys)
        return np.where(found, self._order[np.maximum(place, 0)], -1).astype(np.int64)

    def vectors(self, rows: IntArray) -> FloatArray:
        """(n, dimension) the vectors of rows, copied from the map."""
        return self._gather(
            rows, np.empty((len(rows), self.dimension), np.float32), lambda shard: shard.vectors
        )

    def tokens(self, rows: IntArray) -> IntArray:
        """(n,) tokens of the texts before they were cut; UNCOUNTED where nobody counted."""
        return self._gather(rows, np.empty(len(rows), np.int64), lambda shard: shard.entries["tokens"])

    def crcs(self, rows: IntArray) -> npt.NDArray[np.uint32]:
        """(n,) checksums of rows, as they were written."""
        return self._gather(rows, np.empty(len(rows), np.uint32), lambda shard: shard.entries["crc"])

    def damaged(self, rows: IntArray) -> Iterator[tuple[Path, IntArray]]:
        """Shards with rows whose bytes are not what was written, and the places of these in `rows`."""
        for start in range(0, len(rows), _CHECKED_ROWS):
            part = rows[start : start + _CHECKED_ROWS]
            found = np.array([zlib.crc32(row) for row in self.vectors(part)], dtype=np.uint32)
            bad = np.flatnonzero(found != self.crcs(part))
            for shard in np.unique(self._shard_of(part[bad])):
                yield self._shards[shard].path, start + bad[self._shard_of(part[bad]) == shard]

    def append(self, keys: Keys, vectors: FloatArray, tokens: IntArray | None) -> None:
        """Add vectors, (n, dimension); they are found after `reload`, and kept if the process dies."""
        rows = np.ascontiguousarray(vectors, dtype=np.float32)
        entries = np.zeros(len(keys), _ENTRY)
        entries["key"] = keys
        entries["tokens"] = UNCOUNTED if tokens is None else tokens
        entries["crc"] = [zlib.crc32(row) for row in rows]
        path = self._writing or self._new_shard()
        self._writing = None  # after a failure the shard may have half a row: it is left, and a new one begun
        with _writing(self.folder):
            for target, content in ((path.with_suffix(".vec"), rows), (path, entries)):
                with target.open("ab") as stream:
                    stream.write(content.tobytes())
                    stream.flush()
                    os.fsync(stream.fileno())
        self._writing = path

    def _new_shard(self) -> Path:
        """A shard whose name comes after all that are there, even if the clock was set back since."""
        stamps = [path.name.partition("-")[0] for path in self.folder.glob("*.idx")]
        last = max((int(stamp) for stamp in stamps if stamp.isdecimal()), default=0)
        stamp = max(time.time_ns(), last + 1)
        return self.folder / f"{stamp:020d}-{os.getpid()}-{os.urandom(3).hex()}.idx"

    def _open(self, path: Path) -> _Shard | None:
        entries, rows = path.stat().st_size // _ENTRY.itemsize, _size(path.with_suffix(".vec"))
        count = min(entries, rows // (4 * self.dimension))
        if count < entries:  # a row is on disk before its entry: a killed process leaves no such thing
            warnings.warn(
                f"{path.with_suffix('.vec')} is cut off: {entries - count:,} vectors are made anew",
                stacklevel=4,
            )
        if count == 0:
            return None
        return _Shard(path, np.fromfile(path, dtype=_ENTRY, count=count), self.dimension)

    def _shard_of(self, rows: IntArray) -> IntArray:
        return np.searchsorted(self._starts, rows, side="right") - 1

    def _gather(self, rows: IntArray, out: npt.NDArray[Any], column: Any) -> npt.NDArray[Any]:
        shards = self._shard_of(rows)
        for number in np.unique(shards):
            mine = shards == number
            out[mine] = column(self._shards[number])[rows[mine] - self._starts[number]]
        return out


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"vectors cannot be written: {error.strerror or error}",
            where=str(folder),
            todo="Make room or set DIBS_CACHE to another folder; what was written before is kept.",
        ) from None


def width_of(folder: Path) -> int | None:
    """The dimension of the vectors in a store's folder; None where there are none or it cannot be told."""
    for path in sorted(folder.glob("*.idx")):
        entries = np.fromfile(path, dtype=_ENTRY)
        if len(entries) and (size := _size(path.with_suffix(".vec"))):
            width = size // (4 * len(entries))
            with path.with_suffix(".vec").open("rb") as stream:
                if zlib.crc32(stream.read(4 * width)) == entries[0]["crc"]:  # a tail would make it greater
                    return width
    return None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _read_settings(path: Path) -> str | None:
    try:
        return canonical_json(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, RecursionError):
        return None
