"""`dibs judge`: how far a judge can be trusted."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from dibs.cli.options import BatchOption, JsonOption, NoWaitOption, WorkspaceOption, waits

app = typer.Typer(help="Measure judges against people's labels.", no_args_is_help=True)


@app.callback()
def _group() -> None: ...


@app.command()
def calibrate(
    labels: Annotated[
        Path,
        typer.Option(
            help="People's labels: CSV or JSONL (also .gz), or parquet, with the columns question, gold, "
            "answer, label and, if there are, id, system, question_type."
        ),
    ],
    judge: Annotated[
        str, typer.Option(help="rules, an LLM, several with commas between them, or rules+LLM.")
    ] = "rules",
    task: Annotated[
        str | None, typer.Option(help="The task the questions are of, for their types.", show_default=False)
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="Leave out the question of this id; may be repeated.")
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Grade so many answers, drawn with a fixed seed.", show_default="all"),
    ] = None,
    batch_api: BatchOption = False,
    no_wait: NoWaitOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Grade answers that people have labelled, and say how far the judge agrees with them.

    The record corrects the accuracies of answers that the same judge grades.

    Example: dibs judge calibrate --labels human_labels.jsonl.gz --task FinanceBench
    """
    from dibs import resolve
    from dibs.llm.waiting import all_back
    from dibs.rag.calibrate import Calibrating, with_types
    from dibs.rag.calibrate import calibrate as measure
    from dibs.rag.judges.make import make_judge
    from dibs.rag.labels import read_labels
    from dibs.report import calibration as report
    from dibs.report.terminal import console
    from dibs.workspace import Workspace

    place = Workspace.find(workspace)
    grader = make_judge(judge, place, batch=batch_api)
    found = read_labels(labels, drop or ())
    words = ["dibs", "judge", "calibrate", "--judge", judge, "--labels", labels.name]
    if task is not None:
        known = resolve.task(task, place)
        task, dataset = known.card.name, known.dataset
        if field := known.card.split_by:
            types = dict(zip(dataset.query_ids, dataset.query_field(field), strict=True))
            found = with_types(found, types, task)
        words += ["--task", task]
    words += [word for name in drop or () for word in ("--drop", name)]
    if sample is not None:
        found = found.sample(sample)
        words += ["--sample", str(sample)]
    calibrating = Calibrating(grader, found, task, shlex.join(words))
    (done,) = all_back([lambda: measure(calibrating, place)], wait=waits(batch_api, no_wait))
    if as_json:
        typer.echo(json.dumps(report.as_json(done.record), indent=2, ensure_ascii=False))
        return
    for part in report.view(done):
        console().print(part)
