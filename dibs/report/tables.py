"""Tables for the terminal and rows for JSON, from records alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from dibs.records import Record
from dibs.report.data import data_of
from dibs.report.terminal import printable
from dibs.scoring.statistics import Estimate, estimate
from dibs.workspace import Workspace

if TYPE_CHECKING:
    from dibs.evaluate import Done

_NO_GOLD = "the task has no gold: no query is judged yet"
_NAMED = 3
"""Queries that are named of many."""
_SHOWN = ("recall@1", "recall@5", "recall@10", "recall@30", "recall@100", "success@10", "ndcg@10", "mrr@10")


def as_rows(records: Sequence[Record], by: str | None, workspace: Workspace) -> list[dict[str, Any]]:
    """One JSON object for each record and subset; with `by`, for each value of that field too."""
    rows = []
    for record in records:
        told = {
            "task": record.task,
            "pipeline": record.pipeline,
            "record": f"results/{record.name}",
            "n_documents": record.manifest["data"]["documents"],
        }
        if record.kind == "run":
            rows.append(told | {"subset": "all", "n_queries": 0, "measures": {}, "lacking": _NO_GOLD})
            continue
        level = {"level": record.scores["level"]} if "level" in record.scores else {}
        for subset, queries, measures in _subsets(record, by, workspace):
            values = {name: found.as_dict() for name, found in measures.items()}
            rows.append(told | level | {"subset": subset, "n_queries": queries, "measures": values})
        for name, at in record.scores.get("levels", {}).items():
            if at["measures"] is not None and name != record.scores["level"]:
                about = {"level": name, "subset": "all", "n_queries": at["n_queries"], "short": at["short"]}
                rows.append(told | about | {"n_documents": at["units"], "measures": at["measures"]})
    return rows


def run_tables(done: Sequence[Done], by: str | None, workspace: Workspace) -> Iterator[RenderableType]:
    """A table for each task with its pipelines as rows, and below it what has to be known of them."""
    for task in dict.fromkeys(one.record.task for one in done):
        mine = [one for one in done if one.record.task == task]
        if scored := [one for one in mine if one.record.kind != "run"]:
            yield _task_table(scored, by, workspace)
            for note in _notes(scored):
                yield Text(printable(note))
        for one in mine:
            if one.record.kind == "run":
                yield Text(printable(_unscored(one.record)))


def _task_table(done: Sequence[Done], by: str | None, workspace: Workspace) -> Table:
    manifest = done[0].record.manifest
    main = manifest["scoring"]["main_measure"]
    shown = [name for name in dict.fromkeys((main, *_SHOWN)) if name in manifest["scoring"]["measures"]]
    rows = [
        (one.record.pipeline, *row)
        for one in done
        for row in chain(_subsets(one.record, by, workspace), _levels(one.record))
    ]
    whole = all(subset == "all" for _, subset, *_ in rows)
    counts = f"{manifest['data']['queries']:,} queries, {manifest['data']['documents']:,} documents"
    table = Table(
        title=f"{done[0].record.task}: {counts}",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("pipeline", no_wrap=True)
    for name in () if whole else ("subset", "queries"):
        table.add_column(name, no_wrap=True, justify="left" if name == "subset" else "right")
    for name in shown:
        table.add_column(f"{name} [95 %]" if name == main else name, justify="right", no_wrap=True)
    for pipeline, subset, queries, measures in rows:
        cells = [str(measures[name]) if name == main else f"{measures[name].value:.3f}" for name in shown]
        split = () if whole else (Text(printable(subset.partition("=")[2] or subset)), f"{queries:,}")
        table.add_row(Text(pipeline), *split, *cells)
    return table


def _unscored(record: Record) -> str:
    return (
        f"{record.pipeline}: results/{record.name}; not scored: {_NO_GOLD}. "
        f"dibs task label {record.task} makes gold; dibs rag --retrieval {record.name} answers from this run."
    )


def _notes(done: Sequence[Done]) -> Iterator[str]:
    manifest = done[0].record.manifest
    cluster = manifest["scoring"]["cluster"]
    grouped = f"clusters of equal {cluster}" if cluster else "queries"
    yield f"Intervals: bootstrap over {grouped}, seed {manifest['scoring']['interval']['seed']}."
    yield from _of_levels(done[0].record)
    if synthetic := manifest["task"].get("synthetic"):
        yield f"Synthetic: no person asked these queries; {synthetic} made them. See the task's card."
    if manifest["data"]["lacking"]:
        yield f"Not the whole task: {manifest['data']['lacking']}."
    for one in done:
        cost, data = one.record.manifest["cost"], one.record.manifest["data"]
        parts = [f"{one.record.pipeline}: results/{one.record.name}"]
        if one.reused:
            parts.append("recorded before")
        elif cost["documents_encoded"] or cost["queries_encoded"]:
            seconds = cost["encode_documents"] + cost["encode_queries"]
            parts.append(f"encoded {cost['documents_encoded']:,} documents in {seconds:,.0f} s")
        if not one.reused and cost["billed_tokens"] is not None:
            paid = "" if cost["usd"] is None else f", {cost['usd']:,.4f} USD"
            parts.append(f"{cost['billed_tokens']:,} tokens billed{paid}")
        parts += _reranked(one.record.manifest["about"])
        parts += _short(one.record)
        if cost["documents_cut"]:
            share = cost["documents_cut"] / data["documents"]
            parts.append(f"{share:.0%} of the documents are longer than the model takes and were cut")
        yield "; ".join(parts)


def _reranked(about: dict[str, Any]) -> Iterator[str]:
    """What a reranker did to the gold documents, and which queries it failed on."""
    for kind, moved in about.get("gold", {}).items():
        queries = moved["queries"]
        more = f" and {len(queries) - _NAMED:,} more" if len(queries) > _NAMED else ""
        named = f" ({', '.join(queries[:_NAMED])}{more})" if queries else ""
        yield f"{moved['documents']:,} gold documents {kind}{named}"
    if failed := about.get("failed"):
        named = ", ".join(failed[:_NAMED])
        yield f"{len(failed):,} queries failed and keep the first stage's order, such as {named}"


def _subsets(
    record: Record, by: str | None, workspace: Workspace
) -> Iterator[tuple[str, int, dict[str, Estimate]]]:
    for subset, scores in record.scores["subsets"].items():
        yield (
            subset,
            scores["n_queries"],
            {name: Estimate(**value) for name, value in scores["measures"].items()},
        )
    if by is None:
        return
    queries = record.queries()
    names = record.manifest["scoring"]["measures"]
    labels = _field(record, by, workspace)
    for value in sorted(set(labels.values())):
        rows = queries[queries["query_id"].map(labels) == value]
        clusters = rows["cluster"].tolist() if "cluster" in rows else None
        yield (
            f"{by}={value}",
            len(rows),
            dict(zip(names, estimate(rows[names].to_numpy(), clusters), strict=True)),
        )


def _levels(record: Record) -> Iterator[tuple[str, int, dict[str, Estimate]]]:
    """The whole task at the levels that have gold, besides the one that it is measured at."""
    for name, at in record.scores.get("levels", {}).items():
        if at["measures"] is not None and name != record.scores["level"]:
            values = {measure: Estimate(**value) for measure, value in at["measures"].items()}
            yield f"by {name}", at["n_queries"], values


def _of_levels(record: Record) -> Iterator[str]:
    """At which levels a task was measured, and where a run holds too little for a measure."""
    levels = record.scores.get("levels", {})
    if not levels:
        return
    units = ", ".join(f"{at['units']:,} by {name}" for name, at in levels.items())
    main = record.scores["level"]
    yield f"Measured by {main}, the finest level at which every query has gold; the corpus has {units}."
    if lacking := [name for name, at in levels.items() if at["measures"] is None]:
        yield f"By {' and '.join(lacking)} nothing is measured: no gold says which is right."


def _short(record: Record) -> Iterator[str]:
    for name, at in record.scores.get("levels", {}).items():
        if counts := {measure: count for measure, count in at["short"].items() if measure in _SHOWN}:
            listed = ", ".join(f"{measure} {count:,}" for measure, count in counts.items())
            yield f"by {name}, too few were kept for some queries, which lowers: {listed}"


def _field(record: Record, name: str, workspace: Workspace) -> dict[str, str]:
    """A field of the queries by their ids: from the record where it holds it, else from the data."""
    queries = record.queries()
    if name == record.manifest["scoring"]["split_by"]:
        return dict(zip(queries["query_id"], queries["split"], strict=True))
    dataset = data_of(record, workspace)
    return dict(zip(dataset.query_ids, dataset.query_field(name), strict=True))
