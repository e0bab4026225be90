"""A finetuned model beside its base: on a terminal, as JSON, and as the model card in its folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from dibs.records import Record
from dibs.report.comparison import compare
from dibs.report.terminal import printable
from dibs.scoring.compare import Difference, holm
from dibs.scoring.statistics import Estimate
from dibs.training.outcome import Outcome, seen_queries
from dibs.workspace import Workspace


@dataclass(frozen=True)
class Unseen:
    """The queries of which no gold document was trained on."""

    queries: int
    base: float
    finetuned: float


@dataclass(frozen=True)
class Gain:
    """What finetuning changed on one task, by its main measure."""

    task: str
    measure: str
    queries: int
    base: float
    finetuned: float
    difference: Difference
    """The finetuned model less its base, paired."""
    p: float
    """Of that test, Holm's correction over the tasks."""
    unseen: Unseen | None
    """Where the leakage report knows of queries whose gold documents were trained on."""
    records: tuple[str, str]


def gains(found: Outcome, records: Sequence[tuple[Record, Record]], workspace: Workspace) -> list[Gain]:
    """The paired comparison on every task.

    Args:
        records: Of the base and of the finetuned model, a pair a task.
    """
    made = [compare(base, tuned, workspace, 0) for base, tuned in records]
    mains = [base.manifest["scoring"]["main_measure"] for base, _ in records]
    corrected = holm([one.differences[main].p for one, main in zip(made, mains, strict=True)])
    return [
        Gain(
            task=base.task,
            measure=main,
            queries=base.manifest["data"]["queries"],
            base=one.means[main][0],
            finetuned=one.means[main][1],
            difference=one.differences[main],
            p=p,
            unseen=_unseen(base, tuned, main, seen_queries(found.name, workspace, base.task)),
            records=(base.name, tuned.name),
        )
        for (base, tuned), one, main, p in zip(records, made, mains, corrected, strict=True)
    ]


def _unseen(base: Record, tuned: Record, main: str, seen: frozenset[str]) -> Unseen | None:
    if not seen:
        return None
    tables = [record.queries().set_index("query_id")[main] for record in (base, tuned)]
    kept = [name for name in tables[0].index if name not in seen]
    means = (float(table.loc[kept].mean()) if kept else 0.0 for table in tables)
    return Unseen(len(kept), *means)


def as_json(found: Outcome, made: Sequence[Gain], *, reused: bool) -> dict[str, Any]:
    """The model as one JSON object."""
    about = {name: value for name, value in found.about.items() if name not in ("losses", "inputs")}
    return about | {"improved": found.improved, "reused": reused, "tasks": [_row(gain) for gain in made]}


def _row(gain: Gain) -> dict[str, Any]:
    return {
        "task": gain.task,
        "measure": gain.measure,
        "queries": gain.queries,
        "base": gain.base,
        "finetuned": gain.finetuned,
        "difference": gain.difference.estimate.as_dict(),
        "p": gain.difference.p,
        "p_holm": gain.p,
        "unseen": None if gain.unseen is None else vars(gain.unseen),
        "records": list(gain.records),
    }


def finetuned_view(found: Outcome, made: Sequence[Gain], *, reused: bool) -> Iterator[RenderableType]:
    """How training went, and a row for each task."""
    about = found.about
    steps, development = about["steps"], about["development"]
    again = "; made before" if reused else f"; {about['seconds']:,.0f} s"
    yield Text(printable(f"{found.name}: {about['base']} finetuned on {_pairs(about)}{again}"))
    yield Text(
        f"{steps['made']:,} of {steps['planned']:,} steps, the best checkpoint at {steps['best']:,}. "
        f"{_development(development)}"
    )
    yield _gain_table(made)
    yield from map(Text, _remarks(found, made))
    yield Text(f"Run it: dibs run --model {found.name} --task TASK")


def sweep_view(found: Outcome) -> Iterator[RenderableType]:
    """The trials of a sweep, the best on development first, and what choosing on the test would claim."""
    sweep = found.about["sweep"]
    table = Table(title=f"{len(sweep['trials'])} trials", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("trial", "settings", "development", "loss", ""):
        table.add_column(name, overflow="fold")
    for trial in sorted(sweep["trials"], key=lambda one: (-(one["recall"] or 0.0), one["loss"] or 0.0)):
        mark = "chosen" if trial["number"] == sweep["chosen"] else trial["why"] or trial["state"]
        settings = ", ".join(f"{name}={value}" for name, value in trial["settings"].items())
        numbers = ("" if trial[name] is None else f"{trial[name]:.4f}" for name in ("recall", "loss"))
        table.add_row(str(trial["number"]), Text(printable(settings)), *numbers, Text(printable(mark)))
    yield table
    for task, test in sweep.get("tests", {}).items():
        yield Text(printable(f"{task}: {_claim(test)}"))


def _claim(test: dict[str, Any]) -> str:
    if test["optimism"] <= 0:
        return (
            f"the chosen trial is also the best of {test['trials']} by {test['measure']}, {test['best']:.3f}."
        )
    return (
        f"{test['measure']} {test['chosen']:.3f} for the chosen trial. The best of {test['trials']} on these "
        f"test queries has {test['best']:.3f} (trial {test['best_trial']}): choosing there would have "
        f"claimed {100 * test['optimism']:.1f} points too much."
    )


def _gain_table(made: Sequence[Gain]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("task")
    for name in ("measure", "queries", "base", "finetuned", "difference [95 %]", "p", "p (Holm)"):
        table.add_column(name, justify="right", no_wrap=True)
    for gain in made:
        table.add_row(Text(printable(gain.task)), *_cells(gain))
    return table


def _cells(gain: Gain) -> list[str]:
    return [
        gain.measure,
        f"{gain.queries:,}",
        f"{gain.base:.3f}",
        f"{gain.finetuned:.3f}",
        signed(gain.difference.estimate),
        p_value(gain.difference.p),
        p_value(gain.p),
    ]


def _remarks(found: Outcome, made: Sequence[Gain]) -> Iterator[str]:
    if not found.improved:
        yield "It is no better than its base on the development pairs; its card says so."
    for gain in made:
        if gain.unseen is not None:
            yield (
                f"{gain.task}: of {gain.queries:,} queries, no gold document of {gain.unseen.queries:,} was "
                f"trained on; there {gain.measure} is {gain.unseen.base:.3f} for the base and "
                f"{gain.unseen.finetuned:.3f} finetuned."
            )
        if gain.p < 0.05 and gain.difference.estimate.value < 0:
            yield f"{gain.task}: finetuning made it worse. The model has forgotten something."


def model_card(found: Outcome, made: Sequence[Gain]) -> str:
    """The text of README.md in the model's folder."""
    about = found.about
    settings = "\n".join(f"| {name} | {_shown(value)} |" for name, value in about["settings"].items())
    rows = "\n".join(f"| {gain.task} | {' | '.join(_cells(gain))} |" for gain in made)
    heading = "| task | measure | queries | base | finetuned | difference [95 %] | p | p (Holm) |"
    tasks = f"{heading}\n|{'---|' * 8}\n{rows}" if made else "It was measured on no task yet."
    remarks = "\n".join(f"\n{line}" for line in _remarks(found, made))
    development = about["development"]
    return f"""---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers, feature-extraction, retrieval]
---

# {found.name}

`{about["base"]}`, finetuned by DIBS on {_pairs(about)}.

{_development(development)} The checkpoint was chosen on these queries, so this is no estimate for others.

## Base and finetuned model on all tasks that were measured

{tasks}
{remarks}

The difference is paired over queries; p is of Fisher's randomisation test, then with Holm's correction
over the tasks. A task that the pairs are not of shows what was forgotten.

## Data

* pairs: `{about["pairs"]["name"]}`, SHA-256 `{about["pairs"]["sha256"]}`
* generator: {about["pairs"]["generator"]}; licence of the documents: {about["pairs"]["licence"]}
* {about["pairs"]["train"]:,} pairs to train on, {about["pairs"]["development"]:,} held out
{_leakage(about)}

## Settings

| setting | value |
|---|---|
{settings}

Prompts: queries `{about["prompts"]["query"]!r}`, documents `{about["prompts"]["document"]!r}`.
{about["steps"]["made"]:,} of {about["steps"]["planned"]:,} steps were made; the weights are those of step
{about["steps"]["best"]:,}. The whole account is in `{found.name}.json` beside this folder.

## Use

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{found.name}")
queries, documents = model.encode_query(["..."]), model.encode_document(["..."])
```
"""


def _leakage(about: dict[str, Any]) -> str:
    lines = [
        f"* leakage, against {report['task']}: removed {_shown(report['removed'])}; "
        f"{100 * report['seen']['share']:.1f} % of its gold documents were trained on"
        for report in about["pairs"]["leakage"]
    ]
    return "\n".join(lines) or "* leakage: the pairs are of no task"


def _pairs(about: dict[str, Any]) -> str:
    return f"{about['pairs']['train']:,} pairs of {about['pairs']['name']}"


def _development(development: dict[str, Any]) -> str:
    difference = Estimate(**development["difference"]["estimate"])
    return (
        f"Development {development['measure']}: {development['base']:.3f} base, "
        f"{development['finetuned']:.3f} finetuned ({signed(difference)}), over {development['queries']:,} "
        f"held-out queries and {development['documents']:,} documents, {development['of_other_pairs']:,} of "
        "them drawn from the training pairs."
    )


def signed(estimate: Estimate) -> str:
    """A difference with its sign and interval."""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:+.3f}"
    return f"{estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"


def p_value(value: float) -> str:
    """As tables show it."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _shown(value: Any) -> str:
    if value is None:
        return "of the base"
    if isinstance(value, dict):
        return ", ".join(f"{held} {name}" for name, held in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
