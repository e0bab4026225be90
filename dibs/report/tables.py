"""Tables for the terminal and rows for JSON, from records alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

_NAMED = 3
"""Queries that are named of many."""
_SHOWN = ("recall@1", "recall@5", "recall@10", "recall@30", "recall@100", "success@10", "ndcg@10", "mrr@10")


def as_rows(records: Sequence[Record], by: str | None, workspace: Workspace) -> list[dict[str, Any]]:
    """One JSON object for each record and subset; with `by`, for each value of that field too."""
    rows = []
    for record in records:
        for subset, queries, measures in _subsets(record, by, workspace):
            rows.append(
                {
                    "task": record.task,
                    "subset": subset,
                    "pipeline": record.pipeline,
                    "record": f"results/{record.name}",
                    "n_queries": queries,
                    "n_documents": record.manifest["data"]["documents"],
                    "measures": {name: found.as_dict() for name, found in measures.items()},
                }
            )
    return rows


def run_tables(done: Sequence[Done], by: str | None, workspace: Workspace) -> Iterator[RenderableType]:
    """A table for each task with its pipelines as rows, and below it what has to be known of them."""
    for task in dict.fromkeys(one.record.task for one in done):
        mine = [one for one in done if one.record.task == task]
        yield _task_table(mine, by, workspace)
        for note in _notes(mine):
            yield Text(printable(note))


def _task_table(done: Sequence[Done], by: str | None, workspace: Workspace) -> Table:
    manifest = done[0].record.manifest
    main = manifest["scoring"]["main_measure"]
    shown = [name for name in dict.fromkeys((main, *_SHOWN)) if name in manifest["scoring"]["measures"]]
    rows = [(one.record.pipeline, *row) for one in done for row in _subsets(one.record, by, workspace)]
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


def _notes(done: Sequence[Done]) -> Iterator[str]:
    manifest = done[0].record.manifest
    cluster = manifest["scoring"]["cluster"]
    grouped = f"clusters of equal {cluster}" if cluster else "queries"
    yield f"Intervals: bootstrap over {grouped}, seed {manifest['scoring']['interval']['seed']}."
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


def _field(record: Record, name: str, workspace: Workspace) -> dict[str, str]:
    """A field of the queries by their ids: from the record where it holds it, else from the data."""
    queries = record.queries()
    if name == record.manifest["scoring"]["split_by"]:
        return dict(zip(queries["query_id"], queries["split"], strict=True))
    dataset = data_of(record, workspace)
    return dict(zip(dataset.query_ids, dataset.query_field(name), strict=True))
