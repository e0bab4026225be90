"""The stage from pairs to fewer pairs: each filter sees what the one before it kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from dibs.errors import InputError
from dibs.provenance import git, hardware, versions
from dibs.training.leakage import seen
from dibs.training.pairs import PAIRS, Pair, PairSet, pairs_folder, stored, write_pairs
from dibs.training.steps import Found, LeakageStep, Step
from dibs.training.synthesize import Done
from dibs.workspace import Workspace

_KEPT_FIELDS = ("kind", "documents", "task", "licence", "note", "generator")


def filter_pairs(source: PairSet, steps: Sequence[Step], workspace: Workspace, command: str) -> Done:
    """The pairs that every step keeps, in a folder of their own: the one on disk if it is whole, else new.

    Pairs that a judge could not be asked about are left out and counted; the same call asks again.

    Raises:
        InputError: no step is named, or not one pair is left.
        ProviderError: every request to the judge failed.
    """
    if not steps:
        todo = "Name a judge, a retriever for the round trip, or a task to guard against."
        raise InputError("there is nothing to filter by", where=source.name, todo=todo)
    inputs = {"pairs": source.manifest["files"][PAIRS], "steps": [step.settings() for step in steps]}
    name = source.name.rpartition("-")[0].removesuffix("-filtered") or source.name
    folder = pairs_folder(workspace, f"{name}-filtered", inputs)
    if (kept := stored(folder, inputs)) is not None:
        return Done(kept, True)
    left = _Left(list(source.pairs), list(range(len(source.pairs))))
    for step in steps:
        left.apply(step)
        if not left.pairs:
            problem = f"the filter {step.name} leaves not one pair of {left.applied[-1]['pairs']:,}"
            raise InputError(problem, where=source.name, todo=f"The last: {left.rejects[-1]['why']}.")
    manifest = {name: source.manifest.get(name) for name in _KEPT_FIELDS} | {
        "inputs": inputs,
        "source": {"name": source.name, "pairs": len(source.pairs), "inputs": source.manifest.get("inputs")},
        "filters": [*source.manifest.get("filters", []), *left.applied],
        "leakage": [*_earlier(source, left), *(_leakage(s, found, left.pairs) for s, found in left.guarded)],
        "failed": sum(one["unsure"] for one in left.applied),
        "command": command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "hardware": hardware(),
        "git": git(),
    }
    return Done(write_pairs(folder, left.pairs, manifest, left.rejects), False)


@dataclass
class _Left:
    """The pairs that are left, and what became of the others."""

    pairs: list[Pair]
    places: list[int]
    """Where each stood in the source."""
    applied: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    guarded: list[tuple[LeakageStep, Found]] = field(default_factory=list)

    def apply(self, step: Step) -> None:
        found = step.look(self.pairs)
        if isinstance(step, LeakageStep):
            self.guarded.append((step, found))
        self.applied.append(_account(step, len(self.pairs), found))
        out = found.rejected | found.unsure
        self.rejects += [self._reject(at, step, why, at in found.unsure) for at, why in sorted(out.items())]
        kept = [at for at in range(len(self.pairs)) if at not in out]
        self.pairs, self.places = [self.pairs[at] for at in kept], [self.places[at] for at in kept]

    def _reject(self, at: int, step: Step, why: str, unsure: bool) -> dict[str, Any]:
        """A line of `rejects.jsonl.gz`; `line` is the pair's in the file it came from."""
        pair = self.pairs[at]
        return {
            "line": self.places[at] + 1,
            "filter": step.name,
            "why": why,
            "unsure": unsure,
            "query": pair.query,
            "kind": pair.kind,
            "document_id": pair.document_id,
        }


def _account(step: Step, pairs: int, found: Found) -> dict[str, Any]:
    judged = pairs - len(found.unsure)
    spent = getattr(step, "spent", None)
    leakage = isinstance(step, LeakageStep)
    return {
        "filter": step.name,
        "pairs": pairs,
        "rejected": len(found.rejected),
        "unsure": len(found.unsure),
        "keep_rate": round((judged - len(found.rejected)) / judged, 6) if judged else None,
        "about": {name: found.about[name] for name in ("task", "removed")} if leakage else found.about,
        "settings": step.settings(),
        "cost": None if spent is None else asdict(spent),
    }


def _earlier(source: PairSet, left: _Left) -> list[dict[str, Any]]:
    """The reports of tasks that the source was guarded against, and these filters were not.

    What was seen is that of the source: without the task's data it is not known what later filters dropped.
    """
    now = {step.test.task for step, _ in left.guarded}
    return [report for report in source.manifest.get("leakage") or [] if report["task"] not in now]


def _leakage(step: LeakageStep, found: Found, pairs: Sequence[Pair]) -> dict[str, Any]:
    """What the guard found. What was seen is of the pairs that are left: later filters drop documents."""
    return found.about | {"seen": seen(pairs, step.test).as_dict()}
