"""Two records side by side: which is better, by how much, how sure, and on which queries."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from dibs.errors import InputError
from dibs.export import flat
from dibs.records import RUN, Record
from dibs.report.data import data_of
from dibs.report.terminal import printable
from dibs.retrieval.run import read_run
from dibs.scoring.compare import Comparison, Difference
from dibs.scoring.levels import unit_qrels
from dibs.workspace import Workspace

_TEXT = 100
"""Characters of a query that are shown."""


@dataclass(frozen=True)
class Moved:
    """A query on which two records differ."""

    query_id: str
    text: str
    """Empty where the record's data is not here."""
    first: float
    second: float
    first_rank: int | None
    """Of the first gold document; None below all that were kept, or where gold is not known."""
    second_rank: int | None


@dataclass(frozen=True)
class Compared:
    """Two records of one task and data."""

    first: Record
    second: Record
    means: dict[str, tuple[float, float]]
    """For each measure, of the first and of the second."""
    differences: dict[str, Difference]
    """The second less the first; its `won` are the second's."""
    settings: dict[str, tuple[Any, Any]]
    """What differs between the pipelines, by the path in the manifest's inputs."""
    moved: list[Moved]
    """By the task's main measure, the largest difference first."""


def compare(first: Record, second: Record, workspace: Workspace, most: int) -> Compared:
    """The paired comparison of two records.

    Args:
        most: Queries that moved, at most.

    Raises:
        InputError: they are of other tasks or other data, or are one record; DamagedError: one is not whole.
    """
    for record in (first, second):
        record.check()
    _refuse(first, second)
    left, right = first.queries(), second.queries()
    right = right.set_index("query_id").loc[left["query_id"]].reset_index()
    main = first.manifest["scoring"]["main_measure"]
    measures = [name for name in second.manifest["scoring"]["measures"] if name in left]
    clusters = left["cluster"].tolist() if "cluster" in left else None
    means, differences = {}, {}
    for name in sorted(measures, key=lambda name: name != main):
        values = left[[name]].assign(second=right[name]).to_numpy()
        means[name] = (float(values[:, 0].mean()), float(values[:, 1].mean()))
        differences[name] = Comparison(values, clusters).difference(1, 0)
    pairs = list(zip(left["query_id"], left[main], right[main], strict=True))
    pairs = sorted((pair for pair in pairs if pair[1] != pair[2]), key=lambda pair: -abs(pair[2] - pair[1]))
    moved = _moved(first, second, pairs[:most], workspace)
    return Compared(first, second, means, differences, _settings(first, second), moved)


def _refuse(first: Record, second: Record) -> None:
    if first.name == second.name:
        raise InputError("both are the same record", where=first.name)
    if first.task != second.task:
        raise InputError(f"they are of two tasks: {first.task} and {second.task}")
    problem = []
    for what, of in (("data", "sha256"), ("queries", "queries"), ("documents", "documents")):
        ours, theirs = (record.manifest["data"][of] for record in (first, second))
        if ours != theirs:
            shown = [str(value)[:12] if of == "sha256" else f"{value:,}" for value in (ours, theirs)]
            problem.append(f"{what} {shown[0]} and {shown[1]}")
    if problem:
        raise InputError(
            f"they were made with other data: {', '.join(problem)}",
            where=f"{first.name} and {second.name}",
            todo="Run one of them again on the data of the other.",
        )


def _settings(first: Record, second: Record) -> dict[str, tuple[Any, Any]]:
    ours, theirs = (dict(flat(record.manifest["inputs"])) for record in (first, second))
    names = [*ours, *(name for name in theirs if name not in ours)]
    return {name: (ours.get(name), theirs.get(name)) for name in names if ours.get(name) != theirs.get(name)}


def _moved(
    first: Record, second: Record, pairs: list[tuple[str, float, float]], workspace: Workspace
) -> list[Moved]:
    try:
        dataset = data_of(first, workspace)
    except InputError as error:  # scores need no data; texts and gold do
        warnings.warn(f"texts and gold ranks are left out: {error}", stacklevel=3)
        return [Moved(query, "", float(old), float(new), None, None) for query, old, new in pairs]
    runs = [read_run(record.folder / RUN, dataset.query_ids) for record in (first, second)]
    texts = dict(zip(dataset.query_ids, dataset.query_texts(), strict=True))
    qrels = unit_qrels(dataset, first.manifest["task"].get("levels", ()))

    def rank(run: int, query: str) -> int | None:
        gold = {name for name, grade in qrels[query].items() if grade > 0}
        documents = runs[run].rankings[query].documents
        return next((place for place, name in enumerate(documents, start=1) if name in gold), None)

    return [
        Moved(query, texts[query], float(old), float(new), rank(0, query), rank(1, query))
        for query, old, new in pairs
    ]


def comparison_json(compared: Compared) -> dict[str, Any]:
    """The comparison as JSON values."""
    return {
        "first": compared.first.name,
        "second": compared.second.name,
        "measures": {
            name: {
                "first": compared.means[name][0],
                "second": compared.means[name][1],
                "difference": found.estimate.as_dict(),
                "p": found.p,
                "won": found.won,
                "lost": found.lost,
                "tied": found.tied,
            }
            for name, found in compared.differences.items()
        },
        "settings": compared.settings,
        "moved": [asdict(one) for one in compared.moved],
    }


def comparison_view(compared: Compared) -> Iterator[RenderableType]:
    """A row a measure, what differs between the pipelines, and the queries that moved most."""
    first, second = compared.first, compared.second
    yield Text(f"A: {first.pipeline} ({first.name})\nB: {second.pipeline} ({second.name})")
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("measure")
    for name in ("A", "B", "B - A [95 %]", "p", "B better", "A better", "equal"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, found in compared.differences.items():
        means = (f"{mean:.3f}" for mean in compared.means[name])
        table.add_row(
            name, *means, _signed(found), _p(found.p), str(found.won), str(found.lost), str(found.tied)
        )
    yield table
    cluster = first.manifest["scoring"]["cluster"]
    grouped = f"clusters of equal {cluster}" if cluster else "queries"
    yield Text(
        f"Intervals: paired bootstrap over {grouped}; p: Fisher's randomisation test, two-sided, "
        "not corrected for the number of measures."
    )
    yield Text(_said(compared))
    yield from _differing(compared)
    yield from _movers(compared)


def _signed(found: Difference) -> str:
    estimate = found.estimate
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:+.3f}"
    return f"{estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _said(compared: Compared) -> str:
    main, found = next(iter(compared.differences.items()))
    low, high = found.estimate.low, found.estimate.high
    if low is not None and low > 0:
        return f"B is better by {main}."
    if high is not None and high < 0:
        return f"A is better by {main}."
    return f"The data do not tell which is better by {main}."


def _differing(compared: Compared) -> Iterator[RenderableType]:
    table = Table(title="what differs", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("setting", "A", "B"):
        table.add_column(name, overflow="fold")
    shared = {name: values for name, values in compared.settings.items() if None not in values}
    for name, values in shared.items():
        table.add_row(name, *(Text(printable(str(value))) for value in values))
    if shared:
        yield table
    if alone := len(compared.settings) - len(shared):
        yield Text(f"{alone} settings are of one of them alone; --json lists them.")


def _movers(compared: Compared) -> Iterator[RenderableType]:
    if not compared.moved:
        yield Text("No query differs by the main measure.")
        return
    main = next(iter(compared.differences))
    table = Table(title="queries that moved most", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("query", f"A {main}", f"B {main}", "A gold rank", "B gold rank"):
        table.add_column(name, justify="left" if name == "query" else "right", no_wrap=True)
    table.add_column("text")
    for one in compared.moved:
        scores = (f"{one.first:.3f}", f"{one.second:.3f}", _rank(one.first_rank), _rank(one.second_rank))
        text = one.text if len(one.text) <= _TEXT else one.text[:_TEXT] + "..."
        table.add_row(Text(printable(one.query_id)), *scores, Text(printable(text)))
    yield table


def _rank(rank: int | None) -> str:
    return "-" if rank is None else str(rank)
