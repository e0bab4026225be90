"""Answers in tables: one row an arm, and below it what has to be known to read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from dibs.records import Record
from dibs.report.judged import Trust, trust_in
from dibs.report.terminal import printable
from dibs.scoring.statistics import Estimate
from dibs.workspace import Workspace

if TYPE_CHECKING:
    from dibs.llm.chat import Estimate as Cost
    from dibs.rag.record import Done

COUNTS = ("correct", "incorrect", "refusal", "unscored")
_COSTS = ("requests", "cached", "prompt_tokens", "completion_tokens", "usd")


def answer_rows(records: Sequence[Record], workspace: Workspace) -> list[dict[str, Any]]:
    """One JSON object for each record."""
    return [
        {
            "task": record.task,
            "pipeline": record.pipeline,
            "record": f"results/{record.name}",
            **{name: record.manifest[name] for name in ("arm", "retrieval")},
            "generator": _generator(record),
            "judge": record.manifest["judge_name"],
            "n_queries": record.manifest["about"]["queries"],
            "of_queries": record.manifest["data"]["queries"],
            "subsets": record.scores["subsets"],
            **trust_in(record, workspace).as_dict(),
            "cost": record.manifest["cost"],
        }
        for record in records
    ]


def answer_tables(done: Sequence[Done], workspace: Workspace) -> Iterator[RenderableType]:
    """A table of one task's arms, and below it what has to be known of them."""
    records = [one.record for one in done]
    trusts = [trust_in(record, workspace) for record in records]
    yield _table(records, trusts)
    for note in _notes(done, trusts):
        yield Text(printable(note))


def _table(records: Sequence[Record], trusts: Sequence[Trust]) -> Table:
    manifest = records[0].manifest
    asked, of = manifest["about"]["queries"], manifest["data"]["queries"]
    counted = f"{asked:,} questions" if asked == of else f"{asked:,} of {of:,} questions"
    table = Table(
        title=f"{records[0].task}: {counted}, answered by {_generator(records[0])}, "
        f"judged by {manifest['judge_name']}",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
    )
    rows = [_cells(record, trust) for record, trust in zip(records, trusts, strict=True)]
    columns = [name for name in rows[0] if any(row[name] for row in rows)]
    table.add_column("arm", overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for record, row in zip(records, rows, strict=True):
        table.add_row(Text(printable(_arm(record))), *(row[name] for name in columns))
    return table


def _cells(record: Record, trust: Trust) -> dict[str, str]:
    """A row by its columns; what is not known is empty."""
    subsets, cost = record.scores["subsets"], record.manifest["cost"]
    tokens = [count for count in (cost["prompt_tokens"], cost["completion_tokens"]) if count is not None]
    return {
        "accuracy [95 %]": accuracy(subsets["all"]),
        "corrected [95 %]": str(trust.corrected.corrected or ""),
        **{name: f"{subsets['all'][name]:,}" for name in COUNTS},
        "gold\ngiven": _share(subsets.get("gold_in_context=yes")),
        "gold not\ngiven": _share(subsets.get("gold_in_context=no")),
        "undisputed": _share(subsets.get("known_issue=no")),
        "tokens": f"{sum(tokens):,}" if tokens else "",
        "usd": _money(cost["usd"]),
    }


def _generator(record: Record) -> str:
    return str(record.manifest["generator"]["name"])


def _arm(record: Record) -> str:
    return record.pipeline.removesuffix(f" > {_generator(record)}")


def accuracy(rates: Mapping[str, Any]) -> str:
    """The accuracy of a subset with its interval; a dash where nothing is scored."""
    return str(Estimate(**rates["accuracy"])) if rates["accuracy"] else "-"


def _share(rates: Mapping[str, Any] | None) -> str:
    """The accuracy and the number of questions it is of; empty where there are none."""
    if rates is None or rates["accuracy"] is None:
        return ""
    return f"{rates['accuracy']['value']:.3f} ({rates['n_queries'] - rates['unscored']:,})"


def _money(usd: float | None) -> str:
    return "" if usd is None else f"{usd:,.4f}"


def _notes(done: Sequence[Done], trusts: Sequence[Trust]) -> Iterator[str]:
    first = done[0].record
    cluster = first.manifest["scoring"]["cluster"]
    yield (
        f"Accuracy is correct / (correct + incorrect + refusal); intervals: bootstrap over "
        f"{f'clusters of equal {cluster}' if cluster else 'questions'}."
    )
    yield trusts[0].line
    if any(trust.corrected.corrected for trust in trusts):
        yield "Corrected: the accuracy without the judge's error, if it errs here as it did on those labels."
    if lacking := first.manifest["data"]["lacking"]:
        yield f"Not the whole task: {lacking}."
    for one in done:
        manifest = one.record.manifest
        about, paid, given = manifest["about"], manifest["cost"]["paid"], manifest["about"]["documents_given"]
        parts = [f"{_arm(one.record)}: results/{one.record.name}"]
        if one.reused:
            parts.append("recorded before")
        elif paid:
            parts.append(account(paid))
        if about["documents_cut"]:
            parts.append(f"{about['documents_cut'] / given:.0%} of the documents given were cut")
        if about["answers_cut_off"]:
            parts.append(f"{about['answers_cut_off']:,} answers were cut off at --max-tokens")
        if unscored := one.record.scores["subsets"]["all"]["unscored"]:
            parts.append(f"{unscored:,} unscored, in no rate: --retry-errors tries them again")
        yield "; ".join(parts)


def account(spent: Mapping[str, Any]) -> str:
    """What was asked and paid, as one phrase."""
    money = "" if spent["usd"] is None else f", {spent['usd']:,.4f} USD"
    return (
        f"{spent['requests']:,} requests ({spent['failed']:,} failed), {spent['cached']:,} from the cache, "
        f"{spent['prompt_tokens'] + spent['completion_tokens']:,} tokens paid{money}"
    )


def cost_rows(costs: Mapping[str, Cost]) -> list[dict[str, Any]]:
    """One JSON object for each arm, by its name."""
    return [{"pipeline": name, **asdict(cost)} for name, cost in costs.items()]


def cost_table(rows: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    """What the arms would cost, and all of them together."""
    table = Table(
        title="What answering would cost; nothing was asked", title_justify="left", box=box.SIMPLE_HEAD
    )
    table.add_column("arm")
    for name in _COSTS:
        table.add_column(name.replace("_", " "), justify="right")
    sums = {
        name: None if any(row[name] is None for row in rows) else sum(r[name] for r in rows)
        for name in _COSTS
    }
    for row in (*rows, {"pipeline": "all", **sums}):
        counts = (f"{row[name]:,}" for name in _COSTS[:-1])
        table.add_row(Text(printable(row["pipeline"])), *counts, _money(row["usd"]))
    yield table
    if all(row["batch_usd"] is not None for row in rows):
        yield Text(f"With --batch-api {_money(sum(row['batch_usd'] for row in rows))} USD, within a day.")
    counted = (
        ""
        if all(row["exact"] for row in rows)
        else " Tokens are estimated, not counted by the model's own tokenizer."
    )
    yield Text(f"Completion tokens are at most: every answer and verdict as long as it may be.{counted}")
