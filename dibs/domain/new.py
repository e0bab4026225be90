"""The stage from a folder of documents to a task: read, divide, ask, and leave a card and its data."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dibs.cards.read import read_card
from dibs.cards.task import TaskCard
from dibs.data.documents.base import VERSION, By
from dibs.data.documents.gather import Gathered, gather
from dibs.data.documents.scan import Scan, scan
from dibs.data.documents.tables import Columns
from dibs.data.spool import Spool
from dibs.domain.chunks import Chunks
from dibs.domain.queries import Query, located, read_queries
from dibs.domain.synthetic import Synthesis, synthesize
from dibs.domain.write import card_text, write_corpus, write_judgements, write_queries
from dibs.errors import InputError
from dibs.files import digest, folder_aside, sha256_file, write_bytes, write_json
from dibs.provenance import versions
from dibs.workspace import Workspace

INPUT = "input.json"
FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TAKEN = ("labels", "samples", "known-issues")
"""Folders in tasks/ that are no task's."""
_CLUSTERS = 10
"""Documents that queries are of, from which on queries of one document are drawn together: fewer clusters
make the bootstrap's interval too narrow to be of use."""
_OTHER = "there is a task of that name that was not made by this command"
_FILES = ("corpus.jsonl", "queries.jsonl")


@dataclass(frozen=True)
class Plan:
    """What a task is to be made of."""

    name: str
    documents: Path
    by: By | None = None
    chunks: Chunks | None = None
    columns: Columns = field(default_factory=Columns)
    queries: Path | None = None
    """None makes synthetic ones."""
    synthesis: Synthesis = field(default_factory=Synthesis)
    licence: str = "not stated"
    command: str = ""


@dataclass(frozen=True)
class New:
    """A task, and how it was made."""

    card: TaskCard
    folder: Path
    manifest: dict[str, Any]
    """As `input.json` has it."""
    reused: bool


def new_task(plan: Plan, workspace: Workspace, *, replace: bool = False) -> New:
    """The task of that plan: the one that is there if it is of the same input, else a new one.

    Args:
        replace: Put it in the place of a task of that name that was made of other input.

    Raises:
        InputError: the name is taken, nothing can be read, or a query or gold id is malformed.
    """
    home = workspace.root / "tasks"
    _check(plan, workspace)
    found = scan(plan.documents)
    inputs = _inputs(plan, found)
    card_file, folder = home / f"{plan.name}.toml", home / plan.name
    if card_file.exists() or folder.exists():
        if not replace:
            return _standing(card_file, folder, digest(inputs))
        if not (folder / INPUT).is_file():
            raise InputError(_OTHER, where=str(card_file), todo="Choose another name.")
    with folder_aside(home, f".{plan.name}-new-") as work, folder_aside(home, f".{plan.name}-old-") as old:
        with Spool(work, str(plan.documents)) as spool:
            divide = plan.chunks.divide if plan.chunks else None
            gathered = gather(found, spool, by=plan.by, columns=plan.columns, divide=divide)
            levels = _levels(gathered, plan.chunks)
            queries, about = _queries(plan, gathered, workspace)
            names = dict(zip(("document", "part"), levels[:-1], strict=False))
            write_corpus(work / "corpus.jsonl", gathered.table, names)
        documents = located(queries, gathered.table)
        cluster = _cluster(queries, documents)
        write_queries(work / "queries.jsonl", queries, documents if cluster else {})
        write_judgements(work / "qrels" / "test.tsv", queries)
        manifest = _manifest(plan, inputs, found, gathered, queries, about, work)
        write_json(work / INPUT, manifest)
        text = card_text(_card(plan, gathered, levels, queries, cluster))
        if folder.exists():
            folder.rename(old / "task")
        work.rename(folder)
    write_bytes(card_file, text.encode())
    return New(read_card(TaskCard, card_file), folder, manifest, False)


def _check(plan: Plan, workspace: Workspace) -> None:
    """Refuse a name that is no name or is taken, and documents among which the task itself would be."""
    if not _NAME.fullmatch(plan.name) or plan.name.lower() in _TAKEN:
        problem = f"{plan.name!r} cannot be a task's name"
        raise InputError(problem, todo="It has letters, digits, dots, hyphens and underscores.")
    own = workspace.root / "tasks" / f"{plan.name}.toml"
    for name, path in workspace.card_files(TaskCard).items():
        if name.lower() == plan.name.lower() and path != own:
            raise InputError(f"there is a task {name} already", where=str(path), todo="Choose another name.")
    home = (workspace.root / "tasks" / plan.name).resolve()
    if home.is_relative_to(plan.documents.resolve()):
        raise InputError(
            "holds the folder that the task would be written to",
            where=str(plan.documents),
            todo="Name a folder of documents alone, or another workspace with --workspace.",
        )
    if plan.queries is not None and not plan.queries.is_file():
        raise InputError("there is no such file", where=str(plan.queries))


def _inputs(plan: Plan, found: Scan) -> dict[str, Any]:
    """Everything that the task depends on: equal inputs make an equal task."""
    return {
        "reader": VERSION,
        "documents": found.name,
        "files": [[source.place, source.kind, _sha256(source.sha256)] for source in found.sources],
        "passed_over": [one.place for one in found.skipped],
        "by": plan.by,
        "chunks": plan.chunks and plan.chunks.settings(),
        "columns": vars(plan.columns),
        "queries": None if plan.queries is None else sha256_file(plan.queries),
        "synthesis": None if plan.queries is not None else plan.synthesis.settings(),
        "licence": plan.licence,
    }


def _sha256(make: Callable[[], str]) -> str | None:
    try:
        return make()
    except InputError:  # the reader says what is wrong with it
        return None


def _standing(card_file: Path, folder: Path, identity: str) -> New:
    """The task that is there, if it was made of this input and its texts were not changed since.

    Raises:
        InputError: it is another.
    """
    todo = "Add --replace to put a new one in its place, or choose another name."
    try:
        manifest = json.loads((folder / INPUT).read_text(encoding="utf-8"))
        kept, hashes = manifest["identity"], manifest["sha256"]
        changed = [name for name in _FILES if sha256_file(folder / name) != hashes[name]]
        card = read_card(TaskCard, card_file)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{_OTHER}, or is not whole: {error}", where=str(card_file), todo=todo) from None
    if kept != identity:
        raise InputError("there is a task of that name, made of other input", where=str(folder), todo=todo)
    if changed:
        problem = f"{' and '.join(changed)} changed since the task was made"
        raise InputError(problem, where=str(folder), todo=todo)
    return New(card, folder, manifest, True)


def _levels(gathered: Gathered, chunks: Chunks | None) -> tuple[str, ...]:
    """What the corpus is divided into, the coarsest first; of mixed kinds it is `part`."""
    middle = [next(iter(gathered.divided)) if len(gathered.divided) == 1 else "part"]
    levels = ("document", *(middle if gathered.divided else ()), *(("chunk",) if chunks else ()))
    return levels if len(levels) > 1 else ()


def _queries(plan: Plan, gathered: Gathered, workspace: Workspace) -> tuple[list[Query], dict[str, Any]]:
    if plan.queries is not None:
        return read_queries(plan.queries), {"file": plan.queries.name}
    gold = "part" if plan.chunks is not None and plan.chunks.overlap else "id"
    made = synthesize(plan.name, gathered.table, plan.synthesis, gold, workspace)
    return made.queries, {"synthetic": plan.synthesis.maker} | made.about


def _cluster(queries: list[Query], documents: dict[str, str]) -> bool:
    """Whether queries of one document are to be drawn together: there are enough documents."""
    named = any("document" in query.fields for query in queries)
    of = {documents[next(iter(query.gold))] for query in queries if query.gold}
    return not named and len(of) >= _CLUSTERS


def _card(
    plan: Plan, gathered: Gathered, levels: tuple[str, ...], queries: list[Query], cluster: bool
) -> dict[str, Any]:
    """The card's fields; `dibs.cards.task.TaskCard` says what they mean."""
    synthetic = plan.synthesis.maker if plan.queries is None else None
    asked = f"Synthetic queries ({synthetic})" if synthetic else "Queries"
    card: dict[str, Any] = {
        "name": plan.name,
        "description": f"{asked} on the documents of {plan.documents.resolve().name}.",
        "licence": plan.licence,
        "citation": "none",
        "redistributable": False,
    }
    if levels:
        card["levels"] = list(levels)
    if synthetic:
        card |= {"synthetic": synthetic, "split_by": "kind"}
    if cluster:
        card["cluster"] = "document"
    card["source"] = {"kind": "beir", "path": plan.name}
    card["expect"] = {"queries": len(queries), "documents": gathered.table.num_rows}
    return card


def _manifest(
    plan: Plan,
    inputs: dict[str, Any],
    found: Scan,
    gathered: Gathered,
    queries: list[Query],
    about: dict[str, Any],
    work: Path,
) -> dict[str, Any]:
    hashes = {place: sha256 for place, _, sha256 in inputs["files"]}
    return {
        "format": FORMAT,
        "identity": digest(inputs),
        "command": plan.command,
        "inputs": {name: value for name, value in inputs.items() if name != "files"},
        "files": [
            {
                "file": one.source.place,
                "reader": one.source.kind,
                "sha256": hashes[one.source.place],
                "units": one.units,
                **({"note": one.note} if one.note else {}),
            }
            for one in gathered.taken
        ],
        "skipped": [{"file": one.place, "why": one.why} for one in gathered.skipped],
        "ignored": dict(sorted(found.ignored.items())),
        "counts": {
            "files": len(gathered.taken),
            "units": gathered.table.num_rows,
            "queries": len(queries),
            "with_gold": sum(bool(query.gold) for query in queries),
            "with_answer": sum("answer" in query.fields for query in queries),
        },
        "queries": about,
        "sha256": {name: sha256_file(work / name) for name in _FILES},
        "versions": versions(),
    }
