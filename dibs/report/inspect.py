"""Looking into one record: how it was made, and what happened to a query."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from dibs.data.dataset import Dataset
from dibs.errors import DamagedError, unknown
from dibs.records import QUERIES, RUN, SCORES, Record
from dibs.report.data import data_of
from dibs.report.terminal import printable
from dibs.retrieval.run import read_run
from dibs.scoring.levels import unit_qrels
from dibs.scoring.statistics import Estimate
from dibs.workspace import Workspace

_SNIPPET = 240
"""Characters of a document that are shown."""


def facts(record: Record) -> Table:
    """How the record was made, and its faults if any.

    Raises:
        DamagedError: its manifest or its scores are not as they were written.
    """
    faults = record.faults()
    if any("manifest" in fault or SCORES in fault or QUERIES in fault for fault in faults):
        record.check()
    manifest = record.manifest
    git = manifest["git"] or {}
    lines = {
        "record": record.name,
        "made by": manifest["command"],
        "on": "{created}, {processor}, {cores} cores".format(**manifest, **manifest["hardware"]),
        "code": f"dibs {manifest['versions']['dibs']}" + (f", commit {git['commit'][:12]}" if git else ""),
        "data": f"{manifest['data']['queries']:,} queries, {manifest['data']['documents']:,} documents, "
        f"content {manifest['data']['sha256'][:12]}",
        "lacking": manifest["data"]["lacking"] or "nothing",
        "files": "; ".join(faults) or "as they were written",
    }
    table = Table(box=None, show_header=False)
    for name, value in lines.items():
        table.add_row(name, Text(value))
    return table


def record_view(record: Record) -> Iterator[RenderableType]:
    """How the record was made, its faults if any, its scores, and its hardest queries."""
    yield facts(record)
    manifest = record.manifest
    table = Table(box=box.SIMPLE_HEAD)
    subsets = record.scores["subsets"]
    table.add_column("measure")
    for name, scores in subsets.items():
        table.add_column(f"{name} ({scores['n_queries']:,} queries)", justify="right")
    for measure in manifest["scoring"]["measures"]:
        table.add_row(measure, *(str(Estimate(**scores["measures"][measure])) for scores in subsets.values()))
    yield table
    main = manifest["scoring"]["main_measure"]
    queries = record.queries()
    missed = queries.loc[queries[main] == 0, "query_id"].tolist()
    if missed:
        yield Text(f"{len(missed):,} queries have {main} = 0, such as {', '.join(missed[:5])}.")
        yield Text(f"See one: dibs show {record.name} --query {missed[0]}")


def query_view(record: Record, query: str, top: int, workspace: Workspace) -> Iterator[RenderableType]:
    """A query's text, its gold documents with their ranks, and what was ranked first.

    Raises:
        InputError: the record has no such query.
        MissingError: the record's data is not here.
    """
    if faults := record.faults():
        raise DamagedError("; ".join(faults), where=record.name, todo="Delete that folder and run again.")
    dataset = data_of(record, workspace)
    if query not in dataset.qrels:
        raise unknown("query of this record", query, dataset.qrels)
    ranking = read_run(record.folder / RUN).rankings.get(query)
    documents = ranking.documents if ranking else []
    ranks = {name: place for place, name in enumerate(documents, start=1)}
    qrels = unit_qrels(dataset, record.manifest["task"].get("levels", ()))
    gold = {name: grade for name, grade in qrels[query].items() if grade > 0}
    fields = dataset.query(query)
    yield Text(printable(f"{query}: {fields['text']}"), style="bold")
    if fields.get("answer"):
        yield Text(printable(f"answer: {fields['answer']}"))
    found = Table(title="gold", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("rank", "document", "text"):
        found.add_column(name, justify="right" if name == "rank" else "left")
    for name in sorted(gold, key=lambda name: ranks.get(name, len(documents) + 1)):
        rank = str(ranks[name]) if name in ranks else f"> {len(documents)}"
        found.add_row(rank, Text(printable(name)), Text(snippet(dataset, name)))
    yield found
    ranked = Table(title="ranking", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("rank", "score", "document", "text"):
        ranked.add_column(name, justify="right" if name in ("rank", "score") else "left")
    for place, name in enumerate(documents[:top], start=1):
        score = f"{ranking.scores[place - 1]:.4f}" if ranking else ""
        style = "bold green" if name in gold else ""
        ranked.add_row(str(place), score, Text(printable(name)), Text(snippet(dataset, name)), style=style)
    yield ranked


def snippet(dataset: Dataset, name: str) -> str:
    """The beginning of a document's text, on one line."""
    text = printable(" ".join(dataset.document(name)["text"].split()))
    return text if len(text) <= _SNIPPET else f"{text[:_SNIPPET]}..."
