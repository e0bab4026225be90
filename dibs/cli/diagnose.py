"""`dibs diagnose`: where the accuracy of answers was lost, and what is worth doing about it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from dibs.cli.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from dibs.rag.diagnose import Diagnosis
    from dibs.rag.diagnose_records import Arms
    from dibs.workspace import Workspace


def diagnose(
    task: Annotated[str, typer.Option("--task", "-t", help="A task with recorded answers.")],
    generator: Annotated[
        str | None,
        typer.Option("--generator", "-g", help="The LLM that answered.", show_default="every one recorded"),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say where answers went wrong: in retrieval, in reading, or in judging, and which lever is worth it.

    Compares recorded answers from retrieved passages with those from the gold documents, from nothing
    and from random documents (dibs rag --controls). Nothing is asked of any model.

    Example: dibs diagnose --task FinanceBench --generator NAME
    """
    from dibs.rag.diagnose_records import find_arms
    from dibs.report.diagnosis import diagnosis_row, diagnosis_view
    from dibs.report.terminal import console
    from dibs.workspace import Workspace

    place = Workspace.find(workspace)
    found = [(arms, _one(arms, place)) for arms in find_arms(place.results, task, generator)]
    if as_json:
        typer.echo(json.dumps([diagnosis_row(*one) for one in found], indent=2, ensure_ascii=False))
        return
    for one in found:
        for part in diagnosis_view(*one):
            console().print(part)


def _one(arms: Arms, place: Workspace) -> Diagnosis:
    from dibs.errors import DibsError
    from dibs.rag.calibration import find
    from dibs.rag.diagnose import diagnose
    from dibs.rag.diagnose_gold import gold_places
    from dibs.rag.diagnose_records import side_by_side
    from dibs.records import Record
    from dibs.report.data import data_of

    sheet = side_by_side(arms)
    retrieval = Record(place.results / arms.retrieved.manifest["retrieval"])
    try:
        qrels = data_of(retrieval, place).qrels
        places = gold_places(sheet, retrieval, qrels, place.results)
    except DibsError as error:  # the shares stand without it
        typer.echo(f"warning: where the gold stood is not known: {error}", err=True)
        places = None
    calibration = find(place.results, arms.retrieved.manifest["judge"])
    return diagnose(sheet, places, calibration.labelled if calibration else None)
