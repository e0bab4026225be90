"""`dibs export` and `dibs import`: records for other tools, and their results here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dibs.cli.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from dibs.records import Record


def export(
    to: Annotated[Literal["trec", "mteb", "csv", "json", "mlflow"], typer.Argument(help="What to write.")],
    output: Annotated[
        str,
        typer.Argument(
            help="A folder for trec and mteb; an address or sqlite:///FILE for mlflow; else a file."
        ),
    ],
    records: Annotated[
        list[str] | None,
        typer.Argument(help="Records, as `dibs show` finds them.", show_default="all"),
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Write records for other tools: TREC runs and qrels, an MTEB result folder, a table of scores, or
    runs of MLflow.

    Example: dibs export trec runs/ FinanceBench/bm25
    """
    from dibs.errors import InputError
    from dibs.records import all_records, find_record
    from dibs.workspace import Workspace

    place = Workspace.find(workspace)
    chosen = [find_record(place.results, name) for name in records or ()]
    chosen = chosen or list(all_records(place.results))
    if not chosen:
        raise InputError("there is no record", where=str(place.results), todo="Make one with `dibs run`.")
    for record in chosen:
        record.check()
    written: list[Path] | list[str]
    if to == "mlflow":
        from dibs.export import log_mlflow

        written = [log_mlflow(record, output) for record in chosen]
    elif to in ("trec", "mteb"):
        written = _write_folder(to, chosen, Path(output), place)
    else:
        written = [_write_table(to, chosen, Path(output))]
    for path in dict.fromkeys(written):
        typer.echo(path)


def _write_folder(to: str, records: list[Record], output: Path, place: Any) -> list[Path]:
    if to == "mteb":
        from dibs.mteb.folder import write_mteb

        return [write_mteb(record, output) for record in records]
    from dibs.export import write_trec
    from dibs.report.data import data_of

    return [path for record in records for path in write_trec(record, data_of(record, place), output)]


def _write_table(to: str, records: list[Record], output: Path) -> Path:
    import pandas as pd

    from dibs.errors import InputError
    from dibs.export import flat_rows
    from dibs.files import write_bytes

    if output.is_dir():
        raise InputError("is a folder", where=str(output), todo=f"Name a file, such as scores.{to}.")
    table = pd.DataFrame(flat_rows(records))
    text = table.to_csv(index=False) if to == "csv" else table.to_json(orient="records", indent=2)
    write_bytes(output, text.encode())
    return output


def import_(
    source: Annotated[
        Path, typer.Argument(help="A TREC run, plain or gzipped; or a result folder of MTEB's.")
    ],
    task: Annotated[
        str | None, typer.Option("--task", "-t", help="The task that a run is of.", show_default="none")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What to call the pipeline that made a run.", show_default="the file's")
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score somebody else's run like ours and leave a record, or read a result folder of MTEB's.

    MTEB's result files hold means without queries, so no record can be made of them; they are shown.

    Example: dibs import colbert.trec.gz --task FinanceBench --name colbert
    """
    from dibs.errors import InputError

    if source.is_dir():
        if task is not None or name is not None:
            raise InputError("--task and --name are for runs", where=str(source))
        _show_theirs(source, as_json)
        return
    if task is None:
        raise InputError("a run needs its task", where=str(source), todo="Name it with --task.")
    _import_run(source, task, name or source.name.partition(".")[0], workspace, as_json)


def _import_run(source: Path, task: str, name: str, workspace: Path | None, as_json: bool) -> None:
    from dibs import resolve
    from dibs.cards.model import ModelCard
    from dibs.cli.run import print_done
    from dibs.evaluate import Work, evaluate
    from dibs.imported import import_run
    from dibs.workspace import Workspace

    place = Workspace.find(workspace)
    found = resolve.task(task, place)
    retriever = import_run(source, name, found.dataset)
    card = ModelCard(name=resolve.card_name(name), adapter="imported")
    command = f"dibs import {source.name} --task {found.card.name} --name {name}"
    done = evaluate(Work(found.card, found.dataset, retriever, card, command=command), place)
    print_done([done], None, place, as_json)


def _show_theirs(folder: Path, as_json: bool) -> None:
    from dataclasses import asdict

    from dibs.mteb.folder import read_mteb
    from dibs.report.terminal import console, plain_table

    found = list(read_mteb(folder))
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=2, ensure_ascii=False))
        return
    shown = ("recall_at_1", "recall_at_5", "recall_at_10", "recall_at_100", "hit_rate_at_10", "ndcg_at_10")
    rows = [
        {"task": one.task, "subset": one.subset, "model": one.model}
        | {measure: one.measures.get(measure) for measure in shown}
        for one in found
    ]
    console().print(plain_table(rows, list(rows[0])))
    console().print("Means as MTEB's files have them: no queries, so no intervals and no records.")
