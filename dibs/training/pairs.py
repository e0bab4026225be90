"""Training pairs on disk: a query and the document it was made of, a line each, with how they were made.

    pairs/NAME/
        pairs.jsonl.gz     one Pair a line, in the order they were made
        rejects.jsonl.gz   what `dibs filter` left out, and why
        manifest.json      how they were made, and the hash of each file above

The manifest is written last. The folder holds the corpus's text: it is shared only where that may be.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from dibs.data.rows import cell, jsonl
from dibs.errors import DamagedError, InputError, unknown
from dibs.files import digest, sha256_file, slug, write_bytes, write_json
from dibs.workspace import Workspace

FORMAT = 1
PAIRS, REJECTS = "pairs.jsonl.gz", "rejects.jsonl.gz"
Split = Literal["train", "development"]
_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Pair:
    """A query and the document that answers it."""

    query: str
    document_id: str
    document: str
    """The text that a model is trained on: as the task's template makes it; see `cloze` in
    docs/training.md for the one kind where a sentence is taken out of it."""
    kind: str
    """Lookup, calculation, comparison, how-to, troubleshooting or cloze."""
    group: str
    """The filing or section that the document is of; no group is in both splits."""
    split: Split


@dataclass(frozen=True)
class PairSet:
    """Pairs, and how they were made."""

    name: str
    pairs: list[Pair]
    manifest: dict[str, Any]

    def of(self, split: Split) -> list[Pair]:
        """The pairs to train on, or those held out to choose by."""
        return [pair for pair in self.pairs if pair.split == split]


def pairs_folder(workspace: Workspace, name: str, inputs: dict[str, Any]) -> Path:
    """Where pairs made of `inputs` lie; `name` says it for people, the hash for the rest."""
    return workspace.root / "pairs" / f"{slug(name)}-{digest(inputs)[:8]}"


def stored(folder: Path, inputs: dict[str, Any]) -> PairSet | None:
    """The pairs in `folder` if they were made of `inputs`, are whole and lack nothing; else None."""
    try:
        found = read_pairs(folder)
    except (DamagedError, InputError):
        return None
    return found if found.manifest.get("inputs") == inputs and not found.manifest.get("failed") else None


def write_pairs(
    folder: Path, pairs: Sequence[Pair], manifest: dict[str, Any], rejects: Sequence[dict[str, Any]] = ()
) -> PairSet:
    """Write the folder, each file whole or not at all, the manifest last."""
    files = {PAIRS: map(asdict, pairs)} | ({REJECTS: iter(rejects)} if rejects else {})
    for name, rows in files.items():
        write_bytes(folder / name, _packed(rows))
    whole = {"format": FORMAT} | manifest | {"counts": counts(pairs)}
    whole["files"] = {name: sha256_file(folder / name) for name in files}
    write_json(folder / _MANIFEST, whole)
    return PairSet(folder.name, list(pairs), whole)


def find_pairs(name: str, workspace: Workspace) -> PairSet:
    """The pairs in the folder `name`, or of that name in the workspace: without its hash, or a beginning.

    Raises:
        InputError: there are none, or several.
    """
    if (Path(name) / _MANIFEST).is_file():
        return read_pairs(Path(name))
    known = sorted(path.parent.name for path in (workspace.root / "pairs").glob(f"*/{_MANIFEST}"))
    if name in known:
        return read_pairs(workspace.root / "pairs" / name)
    near = [one for one in known if one.rpartition("-")[0] == name]
    near = near or [one for one in known if one.startswith(name)]
    if len(near) > 1:
        raise InputError(f"{name!r} begins several sets of pairs", todo=f"Say which: {', '.join(near)}.")
    if not near:
        raise unknown("set of pairs", name, known, todo="dibs synthesize makes them.")
    return read_pairs(workspace.root / "pairs" / near[0])


def read_pairs(folder: Path) -> PairSet:
    """The pairs in a folder.

    Raises:
        InputError: there are none, or a line is malformed; file and line are named.
        DamagedError: a file is not as it was written.
    """
    path = folder / _MANIFEST
    todo = "Make them anew: dibs synthesize, and dibs filter after it."
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        hashes = {str(name): str(known) for name, known in manifest["files"].items()}
    except FileNotFoundError:
        raise InputError("there are no pairs", where=str(folder), todo=todo) from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(f"cannot be read: {error}", where=str(path), todo=todo) from None
    if PAIRS not in hashes:
        raise DamagedError(f"does not name {PAIRS}", where=str(path), todo=todo)
    pairs = list(_pairs(folder / PAIRS))
    if not pairs:
        raise InputError("there is not one pair in it", where=str(folder / PAIRS), todo=todo)
    for name, known in hashes.items():
        if not (folder / name).is_file() or sha256_file(folder / name) != known:
            raise DamagedError("is not as it was written", where=str(folder / name), todo=todo)
    return PairSet(folder.name, pairs, manifest)


def read_rejects(folder: Path) -> list[dict[str, Any]]:
    """What `dibs filter` left out, in the order of the pairs; nothing where it left out nothing."""
    path = folder / REJECTS
    return [row.values for row in jsonl(path)] if path.is_file() else []


def counts(pairs: Sequence[Pair]) -> dict[str, Any]:
    """How many pairs, documents and groups there are, in all, in each split, and of each kind."""
    splits = {split: [pair for pair in pairs if pair.split == split] for split in get_args(Split)}
    return {
        "pairs": len(pairs),
        "documents": len({pair.document_id for pair in pairs}),
        "groups": len({pair.group for pair in pairs}),
        "splits": {
            split: {"pairs": len(some), "groups": len({pair.group for pair in some})}
            for split, some in splits.items()
        },
        "kinds": {kind: sum(p.kind == kind for p in pairs) for kind in sorted({p.kind for p in pairs})},
    }


def _pairs(path: Path) -> Iterator[Pair]:
    names = [field.name for field in fields(Pair)]
    splits: dict[str, str] = {}
    for row in jsonl(path):
        values = row.values
        todo = f"A line has the texts {', '.join(names)}."
        for name in names:
            if not isinstance(values.get(name), str):
                problem = f"the field {name!r} is {values.get(name)!r:.60}, not a text"
                raise InputError(problem, where=row.where, todo=todo)
            cell(values[name], f"{row.where}: the field {name!r}")
        if not values["query"].strip():
            raise InputError("the query is empty", where=row.where, todo=todo)
        if values["split"] not in get_args(Split):
            problem = f"the split is {values['split']!r}"
            raise InputError(problem, where=row.where, todo="It is train or development.")
        if splits.setdefault(values["group"], values["split"]) != values["split"]:
            problem = f"the group {values['group']!r} is in both splits"
            raise InputError(problem, where=row.where, todo="Development pairs are held out by group.")
        yield Pair(**{name: values[name] for name in names})


def _packed(rows: Iterable[dict[str, Any]]) -> bytes:
    """JSON lines, gzipped to the same bytes each time."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as packed:
        for row in rows:
            packed.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
    return buffer.getvalue()
