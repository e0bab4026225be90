"""A judge's agreement with people, from its record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from dibs.rag.calibrate import Done
from dibs.records import Record
from dibs.report.terminal import printable
from dibs.scoring.statistics import Estimate

_GROUPS = {
    "by_question_type": "question type",
    "by_system": "system",
    "by_judge": "decided by",
    "by_clear": "verdict",
}


def as_json(record: Record) -> dict[str, Any]:
    """The scores, then what they were made of."""
    manifest = record.manifest
    return record.scores | {
        "judge": manifest["judge_name"],
        "procedure": manifest["inputs"]["procedure"],
        "labels": manifest["labels"],
        "record": f"results/{record.name}",
    }


def view(done: Done) -> Iterator[RenderableType]:
    """Agreement in all and in parts, the confusion table, and what has to be known of them."""
    record = done.record
    scores, manifest = record.scores, record.manifest
    labels = manifest["labels"]
    counts = f"{scores['n']:,} labelled answers to {scores['questions']:,} questions"
    yield Text(printable(f"Judge {manifest['judge_name']} on {labels['name']}: {counts}"), style="bold")
    yield _agreement(scores)
    yield _confusion(scores["three_way"]["confusion"])
    for group, heading in _GROUPS.items():
        if len(scores[group]) > 1:
            yield _parts(scores[group], heading)
    yield Text(f"Verdicts: {manifest['inputs']['procedure']}.")
    interval = manifest["inputs"]["interval"]
    yield Text(
        f"Intervals: bootstrap over questions, {interval['resamples']:,} resamples, seed {interval['seed']}."
    )
    for name, reason in labels["dropped"].items():
        yield Text(printable(f"Left out: {name}, {reason} ({labels['rows_dropped']:,} answers in all)."))
    if scores["unscored"]:
        yield Text(f"{scores['unscored']:,} answers are unscored and in none of these numbers.")
    yield Text(f"results/{record.name}" + ("; recorded before" if done.reused else ""))


def _agreement(scores: dict[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("", "accuracy [95 %]", "Cohen's kappa [95 %]"):
        table.add_column(name, justify="right" if name else "left")
    for name, found in (("correct or not", scores), ("three-way", scores["three_way"])):
        table.add_row(name, _shown(found["accuracy"]), _shown(found["kappa"]))
    if scores["roc_auc"] is not None:
        table.add_row("area under the ROC curve", f"{scores['roc_auc']:.3f}", "")
    return table


def _confusion(confusion: dict[str, dict[str, int]]) -> Table:
    table = Table(title="people in rows, the judge in columns", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("")
    for judged in confusion:
        table.add_column(judged, justify="right")
    for said, row in confusion.items():
        table.add_row(said, *(f"{count:,}" for count in row.values()))
    return table


def _parts(groups: dict[str, Any], heading: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in (heading, "answers", "accuracy [95 %]", "kappa [95 %]", "correct: people", "judge"):
        table.add_column(name, justify="left" if name == heading else "right", no_wrap=True)
    for name, found in groups.items():
        shares = (f"{found[f'correct_by_{who}']:.3f}" for who in ("people", "judge"))
        table.add_row(
            Text(printable(name)),
            f"{found['n']:,}",
            _shown(found["accuracy"]),
            _shown(found["kappa"]),
            *shares,
        )
    return table


def _shown(found: dict[str, float | None]) -> str:
    value = found["value"]
    return "" if value is None else str(Estimate(value, found["low"], found["high"]))
