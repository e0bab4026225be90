"""Looking into a record of answers: its rates, and one question from its passages to its verdict."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from dibs.cards.task import TaskCard
from dibs.errors import unknown
from dibs.rag.questions import questions
from dibs.rag.record import read_stored
from dibs.records import Record
from dibs.report.answers import COUNTS, accuracy
from dibs.report.data import data_of
from dibs.report.inspect import facts, snippet
from dibs.report.judged import trust_in
from dibs.report.terminal import printable
from dibs.workspace import Workspace

_NAMED = 5


def answers_view(record: Record, workspace: Workspace) -> Iterator[RenderableType]:
    """How the answers were made, their rates in each subset, and some that are wrong.

    Raises:
        DamagedError: the record is not whole.
    """
    yield facts(record)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("questions")
    for name in ("number", "accuracy [95 %]", *COUNTS):
        table.add_column(name, justify="right")
    for name, rates in record.scores["subsets"].items():
        counts = (f"{rates[count]:,}" for count in COUNTS)
        table.add_row(Text(printable(name)), f"{rates['n_queries']:,}", accuracy(rates), *counts)
    yield table
    yield Text(printable(trust_in(record, workspace).line))
    wrong = [graded.query_id for graded in read_stored(record)[1] if graded.verdict == "incorrect"]
    if wrong:
        yield Text(f"{len(wrong):,} answers are incorrect, such as {', '.join(wrong[:_NAMED])}.")
        yield Text(f"See one: dibs show {record.name} --query {wrong[0]}")


def answer_view(record: Record, query: str, workspace: Workspace) -> Iterator[RenderableType]:
    """A question, its gold answer, the passages that were given, the answer, and what the judge said of it.

    Raises:
        InputError: the record has no such query, or was made with other data than is here.
        MissingError: the record's data is not here.
    """
    answers, verdicts = read_stored(record)
    rows = {answer.query_id: (answer, graded) for answer, graded in zip(answers, verdicts, strict=True)}
    if query not in rows:
        raise unknown("query of this record", query, rows)
    answer, graded = rows[query]
    dataset = data_of(record, workspace)
    task = TaskCard.model_validate(record.manifest["task"])
    (question,) = questions(task, dataset, [query])
    yield Text(printable(f"{query}: {question.text}"), style="bold")
    yield Text(printable(f"gold: {question.gold}"))
    if issue := record.manifest["scoring"]["known_issues"].get(query):
        yield Text(printable(f"disputed: {issue}"))
    if answer.gold_in_context is None:
        yield Text("passages: none, closed book")
    else:
        given = Table(title="passages", title_justify="left", box=box.SIMPLE_HEAD)
        for name in ("rank", "document", "text"):
            given.add_column(name, justify="right" if name == "rank" else "left")
        for place, name in enumerate(answer.passages, start=1):
            style = "bold green" if name in question.relevant else ""
            given.add_row(str(place), Text(printable(name)), Text(snippet(dataset, name)), style=style)
        yield given
    said = answer.answer if answer.answer is not None else f"none: {answer.error}"
    cut = " (cut off)" if answer.finish == "length" else ""
    yield Text(printable(f"answer{cut}: {said}"))
    by = graded.judge or record.manifest["judge_name"]
    yield Text(printable(f"verdict of {by}: {graded.verdict or 'unscored'}; {graded.reason}"))
