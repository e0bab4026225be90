"""`dibs rag`: answers from retrieved passages, graded, each arm a record."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dibs.cli.options import (
    AddressOption,
    BatchOption,
    EngineOption,
    JsonOption,
    NoWaitOption,
    WorkersOption,
    WorkspaceOption,
    waits,
)
from dibs.cli.words import option_words

if TYPE_CHECKING:
    from dibs.rag.work import Work
    from dibs.workspace import Workspace

_Order = Literal["rank", "reverse", "sides"]


@dataclass(frozen=True)
class Options:
    """The options that change what is asked or how it is graded."""

    generator: str
    judge: str = "rules"
    controls: bool = False
    k: int = 10
    passage_tokens: int = 512
    tokenizer: str = "pieces.v1"
    order: _Order = "rank"
    prompt: str | None = None
    max_tokens: int = 512
    queries: int | None = None
    query: tuple[str, ...] = ()

    def command(self, records: list[str]) -> str:
        """The command that says them again."""
        words = ["dibs", "rag", *(word for name in records for word in ("--retrieval", name))]
        return shlex.join([*words, *option_words(self, repeated={"query": "--query"})])


def rag(
    retrieval: Annotated[
        list[str],
        typer.Option(
            help="The record of a run: its folder, TASK/PIPELINE, or the beginning of its hash; "
            "may be repeated."
        ),
    ],
    generator: Annotated[str, typer.Option(help="The LLM that answers, by its card's name.")],
    judge: Annotated[
        str,
        typer.Option(help="What grades: rules, an LLM, several with commas between them, or rules+LLM."),
    ] = Options.judge,
    controls: Annotated[
        bool,
        typer.Option(
            "--controls", help="Also answer without passages, from the gold documents, and from random ones."
        ),
    ] = False,
    k: Annotated[int, typer.Option("--k", min=1, help="Documents given to each question.")] = Options.k,
    passage_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens that each document is cut to.")
    ] = Options.passage_tokens,
    tokenizer: Annotated[
        str, typer.Option(help="What counts those: pieces.v1, tiktoken:NAME, or a name on the hub.")
    ] = Options.tokenizer,
    order: Annotated[
        _Order, typer.Option(help="The best passage first, last (reverse), or the best at both ends (sides).")
    ] = Options.order,
    prompt: Annotated[
        str | None, typer.Option(help="A prompt's name.", show_default="what the task's card says")
    ] = None,
    max_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens of the longest answer.")
    ] = Options.max_tokens,
    queries: Annotated[
        int | None,
        typer.Option(min=1, help="Ask only so many questions, drawn with a fixed seed.", show_default="all"),
    ] = None,
    query: Annotated[
        list[str] | None, typer.Option("--query", "-q", help="Ask only this question; may be repeated.")
    ] = None,
    engine: EngineOption = None,
    address: AddressOption = None,
    workers: WorkersOption = None,
    batch_api: BatchOption = False,
    no_wait: NoWaitOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what answers and judging would cost, and ask nothing.")
    ] = False,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Ask again what failed, and grade again what is unscored.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a task's questions from a run's documents, grade the answers, and leave a record of each arm.

    What is recorded is not done again, and every reply is kept: a run that was stopped goes on where it
    was, and another judge grades the same answers.

    Example: dibs rag --retrieval FinanceBench-Sample/bm25 --generator mock --controls
    """
    from dibs.distributed.engine import using_engine
    from dibs.errors import InputError
    from dibs.llm.waiting import all_back
    from dibs.rag.record import answer_arm, cost_ahead, judging_ahead
    from dibs.report import answers as report
    from dibs.report.terminal import console
    from dibs.workspace import Workspace

    place = Workspace.find(workspace)
    options = Options(
        generator=generator,
        judge=judge,
        controls=controls,
        k=k,
        passage_tokens=passage_tokens,
        tokenizer=tokenizer,
        order=order,
        prompt=prompt,
        max_tokens=max_tokens,
        queries=queries,
        query=tuple(query or ()),
    )
    wait = waits(batch_api, no_wait)
    if batch_api and engine:
        raise InputError("--batch-api and --engine do not go together", todo="Choose who asks the LLM.")
    works = _works(retrieval, options, place, retry_errors=retry_errors, batch=batch_api)
    if dry_run:
        ahead = {work.pipeline: cost_ahead(work, place) for work in works}
        for work in works:
            if (judging := judging_ahead(work, place)) is not None:
                ahead[f"{work.pipeline}, judged by {work.judge.name}"] = judging
        costs = report.cost_rows(ahead)
        shown = costs if as_json else report.cost_table(costs)
    else:
        with using_engine(engine, address, workers) as found:
            if found is not None:
                found.relay(works[0].generator, works[0].card, place.cache)  # which all arms share
            done = all_back([partial(answer_arm, work, place) for work in works], wait=wait)
        records = [one.record for one in done]
        shown = report.answer_rows(records, place) if as_json else report.answer_tables(done, place)
    if as_json:
        typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    for part in shown:
        console().print(part)


def _works(
    retrieval: list[str], options: Options, place: Workspace, *, retry_errors: bool, batch: bool
) -> list[Work]:
    """One for each arm.

    Raises:
        InputError: the runs are of several tasks, or something that is named is not there.
    """
    from dibs import resolve
    from dibs.cards.model import LLMCard
    from dibs.errors import InputError
    from dibs.llm.chat import make_llm
    from dibs.llm.cost import at_batch_price
    from dibs.rag.answer import Asking
    from dibs.rag.arms import control_arms, retrieved
    from dibs.rag.judges.make import make_judge
    from dibs.rag.passages import Cut, Passages
    from dibs.rag.prompt import find_prompt
    from dibs.rag.questions import known_issues, questions, sample
    from dibs.rag.work import Work
    from dibs.records import find_record

    found = (find_record(place.results, name, "retrieval", "run") for name in retrieval)
    records = list({record.name: record for record in found}.values())
    if len(tasks := sorted({record.task for record in records})) > 1:
        raise InputError(f"the runs are of several tasks: {', '.join(tasks)}", todo="Give those of one task.")
    task = resolve.task(tasks[0], place)
    cut = Cut(options.k, options.passage_tokens, options.tokenizer, options.order)
    asked = questions(task.card, task.dataset, sample(task.dataset, options.queries, options.query))
    arms = [retrieved(record, task.dataset, asked, cut.k) for record in records]
    arms += control_arms(task.dataset, asked, cut.k) if options.controls else []
    name = options.prompt or task.card.answers.prompt
    prompts = {closed: find_prompt(name, place, closed=closed) for closed in {arm.closed for arm in arms}}
    card = place.card(LLMCard, options.generator)
    generator = make_llm(card, place.cache, batch=batch)
    judge = make_judge(options.judge, place, batch=batch)
    card = at_batch_price(card) if batch else card
    passages, issues = Passages(task.dataset, cut), known_issues(task.card, task.dataset, place)
    return [
        Work(
            task=task.card,
            dataset=task.dataset,
            questions=asked,
            asking=Asking(arm, passages, prompts[arm.closed], options.max_tokens),
            generator=generator,
            card=card,
            judge=judge,
            known_issues=issues,
            command=options.command([record.name for record in records]),
            retry_errors=retry_errors,
        )
        for arm in arms
    ]
