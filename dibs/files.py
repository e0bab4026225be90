"""Writing files so that a reader never sees half of one, and naming their content."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from dibs.errors import InputError

_CHUNK = 1 << 20
_DEVICE = re.compile(r"(?i:con|prn|aux|nul|com\d|lpt\d)")
"""What Windows takes for a device, whatever ending follows."""
_LONGEST = 150
"""Characters of a file's name that is made of another; file systems take 255 bytes, endings included."""
_DRAWN = r"[a-z0-9_]{8}"
"""What `tempfile` puts into a name."""


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file beside `path` for writing and rename it to `path` when the block succeeds.

    The content is on disk before the rename, so after a crash the old or the new file is there,
    whole. A block that raises leaves `path` untouched. What a process that was killed left half-written
    beside `path` is deleted.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear(path.parent, f".{path.name}.", ".tmp")
    descriptor, aside = _held(lambda: tempfile.mkstemp(".tmp", f".{path.name}.", path.parent))
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            aside.chmod(0o644)
            if sys.platform != "win32":  # which renames no file that is open
                aside.replace(path)
        if sys.platform == "win32":
            aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


@contextmanager
def folder_aside(parent: Path, prefix: str = ".writing-") -> Iterator[Path]:
    """A new folder in `parent`, to be filled and renamed; if it is not, it is deleted with the block's end.

    What processes that were killed left there under names of that prefix is deleted first.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _clear(parent, prefix)
    descriptor, path = _held(lambda: _new_folder(parent, prefix))
    try:
        path.chmod(0o755)  # mkdtemp makes folders that nobody else may read
        yield path
    finally:
        if descriptor >= 0:
            os.close(descriptor)
        shutil.rmtree(path, ignore_errors=True)


def refuse_unwritable(folder: Path) -> None:
    """Find out before hours of work that nothing can be written to `folder`, which need not exist yet.

    Raises:
        InputError: a file cannot be made there, or in the nearest folder above that exists.
    """
    place = folder.resolve()
    while not place.exists():
        place = place.parent
    try:
        if not place.is_dir():
            raise NotADirectoryError(0, "it is not a folder")
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise InputError(
            f"nothing can be written here: {error.strerror}",
            where=str(place),
            todo="Make it writable, or choose another workspace with --workspace.",
        ) from None


def _new_folder(parent: Path, prefix: str) -> tuple[int, str]:
    name = tempfile.mkdtemp(dir=parent, prefix=prefix)
    return -1 if sys.platform == "win32" else os.open(name, os.O_RDONLY), name


def _held(make: Callable[[], tuple[int, str]]) -> tuple[int, Path]:
    """A new file or folder and its descriptor, locked until that is closed: `_clear` leaves it alone."""
    while True:
        descriptor, name = make()
        _lock(descriptor, wait=True)
        if Path(name).exists():  # else it was cleared before it was locked
            return descriptor, Path(name)
        os.close(descriptor)


def _clear(folder: Path, prefix: str, suffix: str = "") -> None:
    """Delete files and folders of such drawn names that no process holds: whoever made them was killed."""
    drawn = re.compile(re.escape(prefix) + _DRAWN + re.escape(suffix))
    for path in [path for path in folder.iterdir() if drawn.fullmatch(path.name)]:
        with suppress(OSError):  # another process was first; or, on Windows, it is open
            descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
            try:
                if _lock(descriptor) and path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                elif _lock(descriptor):
                    path.unlink()
            finally:
                os.close(descriptor)


def _lock(descriptor: int, *, wait: bool = False) -> bool:
    """Whether an open file or folder is this descriptor's alone now. Where nothing can be locked, it is not:
    what killed processes leave then stays there."""
    if sys.platform == "win32":
        return False
    import fcntl

    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        return True
    return False


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` whole or not at all."""
    with replacing(path) as stream:
        stream.write(content)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with a final line end, whole or not at all."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def canonical_json(value: Any) -> str:
    """The one text that stands for a JSON value: sorted keys, no blanks, NaN refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 (hex) of a JSON value's canonical text."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def sha256_file(path: Path, *, unpack: bool = False) -> str:
    """SHA-256 (hex) of a file's bytes, or of what is gzipped in it, read in blocks."""
    content = hashlib.sha256()
    with gzip.open(path) if unpack else path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            content.update(chunk)
    return content.hexdigest()


def slug(name: str) -> str:
    """`name` as one path component that is the same on every system."""
    plain = re.sub(r"[^A-Za-z0-9._=+-]+", "-", name).strip("-.") or "unnamed"
    if _DEVICE.fullmatch(plain.partition(".")[0]):
        plain = f"_{plain}"
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}-{digest(name)[:12]}"
