"""A repository's archive as GitHub packs it, read where it is: nothing of it is ever unpacked to disk."""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from dibs.errors import DamagedError, InputError

MOST_TOGETHER = 8 << 30
"""Bytes that an archive may unpack to."""
MOST_FILE = 32 << 20
"""Bytes of one file that is read."""
_ANEW = "It is not as GitHub packs one: check where it comes from."
_TREE, _FILE, _PROGRAM, _LINK = "40000", "100644", "100755", "120000"


@dataclass(frozen=True)
class Unpacked:
    """What was read of an archive."""

    files: Mapping[str, bytes]
    """The wanted ones, by their path in the repository, in the order of the paths."""
    hashes: Mapping[str, str]
    """What Git calls each file and folder, by path: a commit names its content by these."""


class _Entry(NamedTuple):
    mode: str
    sha: str


def read_archive(path: Path, wanted: Callable[[str], bool]) -> Unpacked:
    """The wanted files of a .tar.gz whose one folder holds the repository, and the hashes of all.

    Raises:
        DamagedError: it is cut off, or no such archive.
        InputError: a name leads out of its folder, or it is larger than the limits above.
    """
    files: dict[str, bytes] = {}
    blobs: dict[str, _Entry] = {}
    together = 0
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                if {"", ".", ".."} & set(member.name.split("/")):
                    problem = f"the name {member.name!r:.80} leads out of its folder"
                    raise InputError(problem, where=str(path), todo=_ANEW)
                together += member.size
                if together > MOST_TOGETHER:
                    problem = f"unpacks to more than {MOST_TOGETHER:,} bytes"
                    raise InputError(problem, where=str(path), todo=_ANEW)
                name = member.name.partition("/")[2]
                if member.issym():
                    blobs[name] = _Entry(_LINK, git_hash("blob", member.linkname.encode()))
                stream = archive.extractfile(member) if member.isreg() else None
                if stream is None:
                    continue
                if wanted(name):
                    refuse_large(name, member.size, str(path))
                    files[name] = stream.read()
                    sha = git_hash("blob", files[name])
                else:
                    sha = _streamed_hash(stream, member.size)
                blobs[name] = _Entry(_PROGRAM if member.mode & 0o100 else _FILE, sha)
    except (tarfile.TarError, OSError, EOFError, zlib.error, UnicodeError) as error:
        raise DamagedError(f"is not a whole archive: {error}", where=str(path)) from None
    return Unpacked(dict(sorted(files.items())), _with_folders(blobs))


def refuse_large(name: str, size: int, where: str) -> None:
    """Refuse to read a file of more than `MOST_FILE` bytes.

    Raises:
        InputError: it has more.
    """
    if size > MOST_FILE:
        problem = f"{name} has {size:,} bytes, and no file of more than {MOST_FILE:,} is read"
        raise InputError(problem, where=where, todo="Check that it is the repository you mean.")


def git_hash(kind: str, content: bytes) -> str:
    """What Git calls an object: the SHA-1 of its kind, its size and its content."""
    return hashlib.sha1(b"%s %d\0" % (kind.encode(), len(content)) + content).hexdigest()


def _streamed_hash(stream: IO[bytes], size: int) -> str:
    content = hashlib.sha1(b"blob %d\0" % size)
    for block in iter(partial(stream.read, 1 << 20), b""):
        content.update(block)
    return content.hexdigest()


def _with_folders(blobs: Mapping[str, _Entry]) -> dict[str, str]:
    """The files' hashes, and each folder's, which is the hash of the list of what is in it."""
    within: defaultdict[str, dict[str, _Entry]] = defaultdict(dict)
    for path, entry in blobs.items():
        folder, _, name = path.rpartition("/")
        within[folder][name] = entry
        while folder:  # a folder that holds nothing but folders is one too
            folder = folder.rpartition("/")[0]
            within[folder]
    hashes = {path: entry.sha for path, entry in blobs.items()}
    for path in sorted((path for path in within if path), key=lambda path: -path.count("/")):
        hashes[path] = git_hash("tree", _listing(within[path]))
        folder, _, name = path.rpartition("/")
        within[folder][name] = _Entry(_TREE, hashes[path])
    return hashes


def _listing(entries: Mapping[str, _Entry]) -> bytes:
    """A folder as Git keeps it; among its neighbours a folder sorts as if its name ended with '/'."""
    rows = [
        (name.encode() + (b"/" if entry.mode == _TREE else b""), entry, name.encode())
        for name, entry in entries.items()
    ]
    return b"".join(
        b"%s %s\0%s" % (entry.mode.encode(), name, bytes.fromhex(entry.sha))
        for _, entry, name in sorted(rows)
    )
