"""Records: what one run leaves on disk, each file whole, each named with its hash in the manifest.

    results/TASK/PIPELINE/HASH/
        manifest.json     how it was made: cards, data, settings, versions, hardware, cost, hashes
        run.trec.gz       the ranked lists
        scores.json       each measure with its interval, for each subset of the queries
        queries.parquet   each query's measures
        mteb.json         the same scores as MTEB's result files have them

A retrieval of a task whose gold nobody knows yet is of the kind `run`, and has the first two alone.
What answers, judges and sweeps leave is a record too, of another `kind` and with files of its own.
HASH is of the manifest's `inputs`: the same work finds its record. The manifest is written last, with
a hash of itself; a folder without one is an unfinished record, and is made anew.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from dibs.errors import DamagedError, InputError, unknown
from dibs.files import digest, refuse_unwritable, sha256_file, slug, write_bytes, write_json

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
Kind = Literal["retrieval", "answers", "calibration", "sweep", "run"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_USUAL: tuple[Kind, ...] = ("retrieval",)
RUN, SCORES, QUERIES, MTEB = "run.trec.gz", "scores.json", "queries.parquet", "mteb.json"
_MANIFEST = "manifest.json"
_SELF = "sha256"
"""Of the manifest without this field."""


@dataclass(frozen=True)
class Record:
    """A record on disk."""

    folder: Path

    @property
    def finished(self) -> bool:
        """Whether it was written to its end: the manifest is there."""
        return (self.folder / _MANIFEST).is_file()

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """How it was made.

        Raises:
            DamagedError: there is no manifest, or it cannot be read.
        """
        return self._json(_MANIFEST)

    @cached_property
    def scores(self) -> dict[str, Any]:
        """What `scores.json` says: `subsets` with their measures, and how the intervals were made.

        Raises:
            InputError: nothing was scored; DamagedError: it is not there, or cannot be read.
        """
        if self.kind == "run":
            todo = f"Make gold with dibs task label {self.task}, and run again."
            raise InputError("is not scored: the task has no gold", where=self.name, todo=todo)
        return self._json(SCORES)

    def queries(self) -> pd.DataFrame:
        """One row a query: its id, cluster, subsets, and each measure.

        Raises:
            DamagedError: the file is not there, or is not as it was written.
        """
        import pandas as pd

        try:
            return pd.read_parquet(self.folder / QUERIES)
        except (OSError, ValueError) as error:  # what pyarrow raises is one of them
            raise self._damaged(f"{QUERIES} cannot be read: {error}") from None

    @property
    def name(self) -> str:
        """TASK/PIPELINE/HASH."""
        return "/".join(self.folder.parts[-3:])

    @property
    def hash(self) -> str:
        return self.folder.name

    @property
    def kind(self) -> str:
        """What was done: one of `Kind`."""
        return str(self.manifest.get("kind", "retrieval"))

    @property
    def task(self) -> str:
        return str(self.manifest["task"]["name"])

    @property
    def pipeline(self) -> str:
        return str(self.manifest["pipeline"])

    def faults(self) -> list[str]:
        """What is wrong with its files: absent, edited, or of another record; empty if nothing is.

        A file that the manifest calls withheld may be absent: its text is not for passing on.
        """
        try:
            named, spared = self.manifest["files"], self.manifest.get("withheld", ())
            absent = [name for name in named if not (self.folder / name).is_file()]
            faults = [f"{name} is absent" for name in absent if name not in spared]
            faults += [
                f"{name} is not as it was written"
                for name, sha256 in named.items()
                if (self.folder / name).is_file() and sha256_file(self.folder / name) != sha256
            ]
            if record_hash(self.manifest["inputs"]) != self.hash:
                faults.append("the inputs in the manifest do not give the record's hash")
            elif self.manifest.get(_SELF) not in (None, _hash_of(self.manifest)):  # old ones have none
                faults.append(f"{_MANIFEST} is not as it was written")
        except (DamagedError, KeyError, TypeError, AttributeError, ValueError) as error:
            return [error.problem if isinstance(error, DamagedError) else "the manifest is malformed"]
        return faults

    def check(self) -> None:
        """Raise DamagedError if any of its files is absent, edited, or of another record."""
        if faults := self.faults():
            todo = "Delete that folder and run again."
            raise DamagedError("; ".join(faults), where=self.name, todo=todo)

    def _json(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise self._damaged(f"the record has no {name}") from None
        except (OSError, ValueError, RecursionError) as error:
            raise self._damaged(f"{name} cannot be read: {error}") from None
        if not isinstance(value, dict):
            raise self._damaged(f"{name} is not a JSON object")
        return value

    def _damaged(self, problem: str) -> DamagedError:
        return DamagedError(problem, where=str(self.folder), todo="Delete that folder and run again.")


def record_hash(inputs: dict[str, Any]) -> str:
    """The name of the record that those inputs make."""
    return digest(inputs)[:12]


def record_folder(results: Path, task: str, pipeline: str, inputs: dict[str, Any]) -> Path:
    """Where the record of those inputs stands, written or not."""
    return results / slug(task) / slug(pipeline) / record_hash(inputs)


def write_record(folder: Path, manifest: dict[str, Any], files: dict[str, bytes]) -> Record:
    """Write a record's files, then its manifest with their hashes and that of a run which is there already.

    Raises:
        InputError: the results cannot be written to.
    """
    with writing(folder):
        for name, content in files.items():
            write_bytes(folder / name, content)
        named = [*files, *([RUN] if RUN not in files and (folder / RUN).is_file() else [])]
        hashes = {name: sha256_file(folder / name) for name in named}
        whole = json.loads(json.dumps({"format": FORMAT, **manifest, "files": hashes}, allow_nan=False))
        write_json(folder / _MANIFEST, whole | {_SELF: _hash_of(whole)})
    return Record(folder)


def _hash_of(manifest: dict[str, Any]) -> str:
    return digest({name: value for name, value in manifest.items() if name != _SELF})


@contextmanager
def making(folder: Path, cache: Path) -> Iterator[None]:
    """Hold a record that is to be made; another process that wants to make it waits, and then finds it.

    Args:
        cache: What those processes share, where the lock is.

    Raises:
        InputError: the record or the lock cannot be written, which is said before the work begins.
    """
    from filelock import FileLock, Timeout

    refuse_unwritable(folder)
    lock = cache / "locks" / f"{folder.name}.lock"
    todo = "Set DIBS_CACHE to a folder on a local disk that you may write to and that has room."
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(lock)
        try:
            held.acquire(timeout=0)
        except Timeout:
            place = "/".join(folder.parts[-3:])
            warnings.warn(f"{place}: another process is making it; this one waits", stacklevel=3)
            held.acquire()
    except (OSError, NotImplementedError) as error:
        problem = f"the cache cannot be written: {getattr(error, 'strerror', None) or error}"
        raise InputError(problem, where=str(cache), todo=todo) from None
    try:
        yield
    finally:
        held.release()


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Says in DIBS' words that `folder` cannot be written to, where the block finds that out.

    Raises:
        InputError: no right to write, no room, or whatever the system said.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"the record cannot be written: {error.strerror}",
            where=str(folder),
            todo="Make room, or choose another workspace with --workspace.",
        ) from None


def table_bytes(columns: dict[str, Any]) -> bytes:
    """Columns as the bytes of a parquet file, the same each time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    return buffer.getvalue()


def all_records(results: Path, *kinds: Kind) -> Iterator[Record]:
    """Every finished record of these kinds below `results`, in the order of their names.

    Without kinds, those of retrieval. One whose manifest cannot be read may be of any kind, and is
    among them.
    """
    for path in sorted(results.glob(f"*/*/*/{_MANIFEST}")):
        record = Record(path.parent)
        try:
            meant = record.kind in (kinds or _USUAL)
        except DamagedError:
            meant = True
        if meant:
            yield record


def find_record(results: Path, name: str, *kinds: Kind) -> Record:
    """The record that `name` means: a folder, TASK/PIPELINE/HASH or the end of it, or a hash's beginning.

    Args:
        kinds: What it may be; without them, retrieval.

    Raises:
        InputError: none or several answer to it (they are named), or the folder is of another kind.
    """
    if not name.strip():
        raise InputError("no record is named", todo="Give TASK/PIPELINE, or the beginning of a hash.")
    for folder in (Path(name), results / name):
        if (record := Record(folder.resolve())).finished:
            if record.kind not in (kinds or _USUAL):
                raise InputError(
                    f"is a record of {record.kind}, not of {' or '.join(kinds or _USUAL)}", where=record.name
                )
            return record
    records = list(all_records(results, *kinds))
    found = [
        r
        for r in records
        if r.hash.startswith(name)
        or r.name.endswith(f"/{name}")
        or r.name.rpartition("/")[0] in (name, "/".join(map(slug, name.split("/", 1))))
    ]
    if not found:
        raise unknown("record", name, [record.name for record in records])
    if len(found) > 1:
        raise InputError(
            f"{name!r} may be any of {len(found)} records", todo="\n  ".join(r.name for r in found)
        )
    return found[0]
