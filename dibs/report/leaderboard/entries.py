"""Records as the leaderboard reads them: each retrieval record once, checked, with its queries' measures."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dibs.errors import DamagedError
from dibs.files import canonical_json
from dibs.records import QUERIES, RUN, Kind, Record, all_records
from dibs.report.leaderboard.shape import fault_of
from dibs.scoring.measures import Values
from dibs.scoring.statistics import Estimate


@dataclass(frozen=True, eq=False)
class Entry:
    """A retrieval record whose scores can be trusted."""

    record: Record
    columns: dict[str, Any]
    """Its queries' file: a list of texts for each field, an array (n,) for each measure."""

    @property
    def manifest(self) -> dict[str, Any]:
        return self.record.manifest

    @property
    def pipeline(self) -> str:
        return self.record.pipeline

    @property
    def data(self) -> str:
        """The SHA-256 of the data's content."""
        return str(self.manifest["data"]["sha256"])

    @property
    def main(self) -> str:
        """The task's main measure."""
        return str(self.manifest["scoring"]["main_measure"])

    @property
    def query_ids(self) -> list[str]:
        ids: list[str] = self.columns["query_id"]
        return ids

    @property
    def clusters(self) -> list[str] | None:
        return self.columns.get("cluster")

    @property
    def base(self) -> str | None:
        """The card's name of the model that this one was finetuned from."""
        return self.manifest["model"].get("base") or None

    @property
    def stage(self) -> str:
        """`reranking`, `hybrid`, or how a first stage retrieves: `dense`, `bm25`, ..."""
        return str(self.settings["retriever"])

    @property
    def settings(self) -> dict[str, Any]:
        """The pipeline's settings, which name everything that changes its run."""
        settings: dict[str, Any] = self.manifest["inputs"]["pipeline"]
        return settings

    @property
    def parts(self) -> list[str]:
        """What `key` the pipelines have whose runs this one works on."""
        of = {"reranking": [self.settings.get("first")], "hybrid": self.settings.get("parts")}
        return [self._key(settings) for settings in of.get(self.stage) or ()]

    @cached_property
    def key(self) -> str:
        """The same for equal pipelines on equal texts."""
        return self._key(self.settings)

    def _key(self, settings: Any) -> str:
        return canonical_json([self.data, self.manifest["inputs"]["template"], settings])

    def values(self, measure: str) -> Values | None:
        """(n,) the queries' values; None if the record has no such measure."""
        return self.columns.get(measure)

    def estimate(self, measure: str, subset: str = "all") -> Estimate | None:
        """A measure's mean with its interval, as the record has it; None if it has none."""
        found = self.record.scores["subsets"].get(subset, {}).get("measures", {}).get(measure)
        return None if found is None else Estimate(**found)

    @property
    def value(self) -> float:
        """The main measure's mean."""
        return float(self.columns[self.main].mean())


@dataclass(frozen=True)
class Found:
    """What is below `results/`: what can be shown, and what is wrong with the rest."""

    entries: list[Entry]
    answers: list[Record]
    calibrations: list[Record]
    problems: list[str]
    """One line each: the record, and what is wrong with it."""


def read_results(results: Path) -> Found:
    """Every record below `results`, each file checked against the hash in its manifest.

    A record with a fault is left out and named. One whose run alone is absent or edited keeps its
    place, since its scores stand, and is named too.
    """
    problems: list[str] = []
    entries = []
    seen: dict[tuple[str, str], Record] = {}
    for record, faults in _checked(all_records(results)):
        problems += [f"{record.name}: {fault}" for fault in faults]
        if all(fault.startswith(RUN) for fault in faults):
            try:
                entry = _entry(record)
            except DamagedError as error:
                problems.append(f"{record.name}: {error.problem}")
                continue
            first = seen.setdefault((record.task, record.hash), record)
            if first is record:
                entries.append(entry)
            else:
                problems.append(f"{record.name}: is a copy of {first.name}, and left out")
    others: dict[Kind, list[Record]] = {"answers": [], "calibration": []}
    for kind, whole in others.items():
        for record, faults in _checked(r for r in all_records(results, kind) if _readable(r)):
            problems += [f"{record.name}: {fault}" for fault in faults]
            if not faults:
                whole.append(record)
    return Found(entries, others["answers"], others["calibration"], problems)


def _readable(record: Record) -> bool:
    """Whether its manifest can be read; one whose cannot is named once, among those of retrieval."""
    try:
        return bool(record.manifest)
    except DamagedError:
        return False


def _checked(records: Iterable[Record]) -> Iterable[tuple[Record, list[str]]]:
    """The records and their faults; hashing lets other threads work, so files are read side by side."""
    listed = list(records)
    with ThreadPoolExecutor() as pool:
        return zip(listed, pool.map(Record.faults, listed), strict=True)


def _entry(record: Record) -> Entry:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if fault := fault_of(record.manifest):
        raise DamagedError(fault, where=record.name)
    try:
        table = pq.ParquetFile(record.folder / QUERIES).read(use_threads=False)
        # from_dlpack, since to_numpy imports pandas, which takes half a second.
        columns = {
            name: np.from_dlpack(column.combine_chunks())
            if pa.types.is_floating(column.type)
            else column.to_pylist()
            for name, column in zip(table.column_names, table.columns, strict=True)
        }
    except pa.ArrowException as error:
        raise DamagedError(f"{QUERIES} cannot be read: {error}", where=record.name) from None
    entry = Entry(record, columns)
    try:
        known = entry.main in columns and entry.estimate(entry.main) is not None and entry.query_ids
    except (KeyError, TypeError, AttributeError):
        known = False
    if not known:
        raise DamagedError(f"its scores lack the main measure, {entry.main}", where=record.name)
    return entry
