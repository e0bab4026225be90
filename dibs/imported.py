"""Somebody else's run as a pipeline: scored like ours, by our measures and intervals."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dibs.data.dataset import Dataset
from dibs.errors import InputError
from dibs.files import sha256_file
from dibs.retrieval.base import Cost, Retrieved, Search
from dibs.retrieval.run import Run, read_run


@dataclass(frozen=True)
class ImportedRun:
    """Gives the run of a file, whatever made it."""

    name: str
    run: Run
    sha256: str
    """Of the file."""

    def settings(self) -> dict[str, Any]:
        return {"retriever": "imported", "name": self.name, "sha256": self.sha256}

    def search(self, search: Search, k: int) -> Retrieved:
        return Retrieved(self.run.top(k), Cost(documents_cut=None, queries_cut=None), {"imported": True})


def import_run(path: Path, name: str, dataset: Dataset) -> ImportedRun:
    """The TREC run in `path`, plain or gzipped, of that data.

    Queries it lacks have empty rankings and score 0, which is warned of.

    Raises:
        InputError: a line is malformed, the run is empty, or has a query or document that the data lacks.
    """
    if not path.is_file():
        raise InputError("there is no such file", where=str(path), todo="Check the path.")
    run = read_run(path)
    if not run.rankings:
        raise InputError("there is no ranking in it", where=str(path), todo="Check the file.")
    documents = {document for ranking in run.rankings.values() for document in ranking.documents}
    for kind, found, known in (
        ("query", set(run.rankings), set(dataset.query_ids)),
        ("document", documents, set(dataset.document_ids)),
    ):
        if strange := found - known:
            raise InputError(
                f"{len(strange):,} of its {len(found):,} {kind} ids are not in {dataset.info.task}, "
                f"such as {min(strange)!r}",
                where=str(path),
                todo=f"There they read like {min(known)!r}. Import a run of the same data.",
            )
    if lacking := [query for query in dataset.query_ids if query not in run.rankings]:
        problem = f"{len(lacking):,} of {dataset.info.queries:,} queries are not in the run, such as"
        warnings.warn(f"{path}: {problem} {lacking[0]!r}: they score 0", stacklevel=2)
    return ImportedRun(name, read_run(path, dataset.query_ids), sha256_file(path))
