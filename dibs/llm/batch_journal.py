"""Which requests are in which batch, on disk before a batch is ordered and until its replies are kept.

A file for each batch, written aside and renamed. It is there before the provider knows of the batch, under
a name of our own that the batch's metadata repeats: whoever is killed before the provider's answer can be
noted finds the batch in the provider's list, and orders it no second time.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from dibs.errors import DamagedError
from dibs.files import write_bytes


@dataclass(frozen=True)
class Entry:
    """A batch, ordered or about to be."""

    mark: str
    """What we call it."""
    names: tuple[str, ...]
    """Of its requests whose replies are to be collected: the beginnings of their hashes."""
    round: int = 1
    """How often these requests were in a batch, this one included."""
    file: str | None = None
    """The provider's id of the uploaded requests."""
    batch: str | None = None
    """The provider's id of the batch; None until it is known to be ordered."""
    taken: tuple[str, ...] = ()
    """Of its other requests: another command than the one that ordered them has collected some."""


class Journal:
    """The batches of one model at one provider."""

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        """The journal in `folder`, made when the first batch is planned.

        Args:
            about: What a reader of a file should know of the batch: the provider's address, the model.
        """
        self._folder, self._about = folder, dict(about)
        self._known: dict[Path, tuple[tuple[int, ...], Entry]] = {}

    def lock(self) -> FileLock:
        """Held while batches are planned and ordered, so that no two processes order the same."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self._folder / "lock")

    def entries(self) -> list[Entry]:
        """All batches, those of the latest round last.

        Raises:
            DamagedError: a file is not as it was written.
        """
        found = [entry for path in sorted(self._folder.glob("*.json")) if (entry := self._read(path))]
        return sorted(found, key=lambda entry: entry.round)

    def plan(self, names: Sequence[str], round_: int) -> Entry:
        """A batch of these requests, not ordered yet."""
        entry = Entry(uuid.uuid4().hex, tuple(names), round_)
        self.write(entry)
        return entry

    def write(self, entry: Entry) -> None:
        """Keep an entry as it now is."""
        content = json.dumps({"about": self._about, **asdict(entry)}, indent=1)
        write_bytes(self.path(entry), f"{content}\n".encode())
        self._known.pop(self.path(entry), None)  # whose time may be of the same tick

    def remove(self, entry: Entry) -> None:
        """Forget a batch whose replies are kept, or that was never ordered."""
        self.path(entry).unlink(missing_ok=True)

    def take(self, entry: Entry, names: Set[str]) -> None:
        """Forget these requests of a batch, and the batch with the last of them."""
        now = self._read(self.path(entry))
        if now is None:
            return
        rest = tuple(name for name in now.names if name not in names)
        if rest:
            self.write(replace(now, names=rest, taken=(*now.taken, *names)))
        else:
            self.remove(now)

    def path(self, entry: Entry) -> Path:
        """The entry's file."""
        return self._folder / f"{entry.mark}.json"

    def _read(self, path: Path) -> Entry | None:
        try:
            state = path.stat()
            changed = (state.st_mtime_ns, state.st_ino, state.st_size)
            if path in self._known and self._known[path][0] == changed:
                return self._known[path][1]
            said = json.loads(path.read_bytes())
            del said["about"]
            lists = {field: tuple(map(str, said[field])) for field in ("names", "taken")}
            entry = Entry(**said | lists)
        except FileNotFoundError:  # another process has just collected it
            return None
        except (ValueError, LookupError, TypeError) as error:
            raise DamagedError(
                f"the note of a batch cannot be read: {error}",
                where=str(path),
                todo=f"Delete it; the batch with the mark {path.stem} may have been paid for, and its "
                "requests are sent again.",
            ) from None
        self._known[path] = (changed, entry)
        return entry
