"""A diagnosis as it is read: what each arm reached, where the rest was lost, and what is worth doing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from dibs.rag.diagnose import Diagnosis
from dibs.rag.diagnose_levers import NONE, OPEN
from dibs.rag.diagnose_records import Arms
from dibs.report.terminal import printable
from dibs.scoring.statistics import Estimate

_ARMS = {
    "retrieved": "passages that were retrieved",
    "oracle": "the gold documents",
    "closed-book": "nothing: what the model knows anyway",
    "random": "documents beside the point",
}
_PLACES = {
    "context": "gold among the passages",
    "next": "gold just below, among as many again",
    "later": "gold further down in the run",
    "absent": "gold not in the run",
}
_RECORDED = 3
"""Other pipelines that are named."""


def diagnosis_row(arms: Arms, found: Diagnosis) -> dict[str, Any]:
    """One JSON object."""
    records = {"retrieved": arms.retrieved, **arms.controls}
    return {
        "task": arms.retrieved.task,
        "generator": arms.generator,
        "judge": arms.judge,
        "retrieval": arms.retrieved.manifest["retrieval"],
        "records": {name: f"results/{record.name}" for name, record in records.items()},
        **asdict(found),
    }


def diagnosis_view(arms: Arms, found: Diagnosis) -> Iterator[RenderableType]:
    """Two tables and what they come to."""
    record = arms.retrieved
    title = f"{record.task}: {arms.generator} on {record.manifest['retrieval']}, judged by {arms.judge}"
    yield Text(printable(title), style="bold")
    yield _accuracies(found)
    yield _losses(found)
    yield Text(f"Worth doing: {found.verdict}.", style="bold")
    for place, lever in enumerate(found.levers, start=1):
        yield Text(f"  {place}. {lever.name}: up to {lever.points}; {lever.evidence}")
    for note in _notes(record.task, found):
        yield Text(printable(note))


def _accuracies(found: Diagnosis) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("arm")
    table.add_column("answered from")
    table.add_column("accuracy [95 %]", justify="right")
    corrected = {"corrected": found.corrected, "if rates carry over": found.rogan_gladen}
    for heading in corrected if found.corrected else ():
        table.add_column(f"{heading} [95 %]", justify="right")
    for name, measured in found.measured.items():
        others = [str(column[name]) for column in corrected.values() if column]
        table.add_row(name, _ARMS[name], str(measured), *others)
    return table


def _losses(found: Diagnosis) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("lost")
    table.add_column("accuracy [95 %]", justify="right")
    if found.gold:
        table.add_column("of all gold", justify="right")
    rows: dict[str, Estimate | None] = {"in all": found.lost, "in retrieval": found.retrieval}
    rows |= {f"  {_PLACES[name]}": points for name, points in found.places.items()}
    rows |= {"in reading": found.reading, "in judging": found.judging}
    gold = {f"  {_PLACES[name]}": f"{share.value:.3f}" for name, share in found.gold.items()}
    for name, points in rows.items():
        if points is not None:
            table.add_row(name, str(points), *([gold.get(name, "")] if gold else []))
    return table


def _notes(task: str, found: Diagnosis) -> Iterator[str]:
    yield from found.notes
    grouped = "" if found.clusters == found.questions else f" in {found.clusters:,} clusters"
    yield f"Compared on {found.questions:,} questions{grouped}, paired."
    for count, why in (
        (found.unscored, "an arm has no verdict on them"),
        (found.disputed, "their gold answer is disputed"),
    ):
        if count:
            yield f"{count:,} questions are left out: {why}."
    if found.uncorrected_because:
        yield f"The judge's error is part of what was lost: {found.uncorrected_because}."
    else:
        same = found.calibrated_on.partition(" (")[0] == task
        other = "" if same else f"; on {task} it may err more, or less"
        yield f"Corrected for the judge's error as measured on {found.calibrated_on}{other}."
    if found.distraction is not None:
        yield f"Passages beside the point cost {found.distraction} (closed book less random)."
    # Where two runs agree on all gold the limits are Jeffreys', and the lower one is above 0 as well.
    better = {name: one for name, one in found.recorded.items() if min(one.value, one.low or 0) > 0}
    if gains := [f"{name} {points}" for name, points in better.items()]:
        yield f"Recorded pipelines that put more of the lost gold first: {'; '.join(gains[:_RECORDED])}."
    if found.verdict == NONE:
        yield "Neither retrieval nor reading lost 5 points."
    if found.verdict == OPEN:
        yield "The intervals neither reach above 5 points as a whole nor stay below them."
