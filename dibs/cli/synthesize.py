"""`dibs synthesize`: training pairs from documents."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dibs.cli.options import BatchOption, JsonOption, NoWaitOption, WorkspaceOption, waits
from dibs.cli.words import option_words

if TYPE_CHECKING:
    from dibs.training.base import Generator
    from dibs.training.documents import Collection
    from dibs.training.drawing import Drawing
    from dibs.workspace import Workspace

_Avoid = Literal["gold-groups", "gold", "none"]
_STRUCTURE = "structure"


@dataclass(frozen=True)
class Options:
    """The options that change the pairs."""

    task: str | None = None
    documents: Path | None = None
    generator: str = _STRUCTURE
    count: int = 1000
    per_document: int = 3
    seed: int = 0
    avoid: _Avoid = "gold"
    development: float = 0.1
    group: str | None = None
    template: str | None = None
    domain: str | None = None
    document_tokens: int = 2048

    def command(self) -> str:
        """The command that says them again; a folder is named without where it lies."""
        return shlex.join(["dibs", "synthesize", *option_words(self, always="generator")])

    @property
    def drawing(self) -> Drawing:
        """Which documents are drawn."""
        from dibs.training.drawing import Drawing

        return Drawing(self.count or None, self.per_document, self.seed, self.avoid, self.development)


def synthesize(
    task: Annotated[
        str | None, typer.Option("--task", "-t", help="Make queries of this task's corpus.")
    ] = None,
    documents: Annotated[
        Path | None,
        typer.Option(
            help="Make queries of this folder's documents: PDF (by page), DOCX, HTML, Markdown, text, and "
            "tables with id and text."
        ),
    ] = None,
    generator: Annotated[
        str, typer.Option(help="structure, which needs no LLM, or an LLM by its card's name.")
    ] = Options.generator,
    count: Annotated[int, typer.Option(min=0, help="Documents to draw; 0 is all of them.")] = Options.count,
    per_document: Annotated[
        int, typer.Option(min=1, help="Queries for each document, at most.")
    ] = Options.per_document,
    seed: Annotated[
        int, typer.Option(help="Of the draw of documents, of those held out, and of forms.")
    ] = Options.seed,
    avoid: Annotated[
        _Avoid,
        typer.Option(
            help="What is not drawn: the task's gold documents (gold), their whole filings or sections "
            "(gold-groups), or none."
        ),
    ] = Options.avoid,
    development: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the documents held out, by filing or section.")
    ] = Options.development,
    group: Annotated[
        str | None,
        typer.Option(
            help="The documents' field that names their filing or section.",
            show_default="the one the task clusters by, else the folder in an id",
        ),
    ] = None,
    template: Annotated[str | None, typer.Option(help="One of the task's document templates.")] = None,
    domain: Annotated[
        str | None,
        typer.Option(
            help="Prompt and forms: documentation, financial, forum or general.",
            show_default="that of the task's answers, else general",
        ),
    ] = None,
    document_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens of a document that an LLM is shown.")
    ] = Options.document_tokens,
    batch_api: BatchOption = False,
    no_wait: NoWaitOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what the LLM would cost, and ask nothing.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make training pairs: draw documents, and make queries that each of them answers.

    The same command finds its pairs again. What an LLM replied is kept: a run that was stopped, or whose
    requests failed in part, goes on where it was.

    Example: dibs synthesize --task FinanceBench --count 5000
    """
    from dibs.errors import InputError
    from dibs.llm.waiting import all_back
    from dibs.report import training as report
    from dibs.report.terminal import console
    from dibs.training.drawing import sample
    from dibs.training.generate import LLMGenerator
    from dibs.training.synthesize import synthesize as make
    from dibs.workspace import Workspace

    place = Workspace.find(workspace)
    options = Options(
        task,
        documents,
        generator,
        count,
        per_document,
        seed,
        avoid,
        development,
        group,
        template,
        domain,
        document_tokens,
    )
    drawing = options.drawing
    shown: Any
    found, usual = _collection(options, place)
    maker = _generator(options, domain or usual, found, place, batch=batch_api)
    if dry_run:
        if not isinstance(maker, LLMGenerator):
            raise InputError("--dry-run says what an LLM costs; the generator structure costs nothing")
        ahead = {maker.name: maker.estimate(sample(found, drawing).documents)}
        shown = report.cost_rows(ahead) if as_json else report.cost_view(ahead)
    else:
        making = partial(make, found, drawing, maker, place, options.command())
        (done,) = all_back([making], wait=waits(batch_api, no_wait))
        name = f"pairs/{done.pairs.name}"
        shown = (
            report.as_json(done.pairs, name)
            if as_json
            else report.synthesized_view(done.pairs, name, reused=done.reused)
        )
    if as_json:
        typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    for part in shown:
        console().print(part)


def _collection(options: Options, place: Workspace) -> tuple[Collection, str]:
    """The documents, and the domain they are of."""
    from dibs import resolve
    from dibs.errors import InputError
    from dibs.training.base import domain_of
    from dibs.training.documents import of_folder, of_task

    if options.documents is not None and options.task is None:
        if options.template is not None:
            raise InputError("--template names a template of a task's card; a folder has none")
        return of_folder(options.documents, group=options.group), "general"
    if options.task is None or options.documents is not None:
        raise InputError("name what queries are made of: --task or --documents, one of them")
    task = resolve.task(options.task, place)
    found = of_task(task.card, task.dataset, template=options.template, group=options.group)
    return found, domain_of(task.card.answers.prompt)


def _generator(
    options: Options, domain: str, found: Collection, place: Workspace, *, batch: bool
) -> Generator:
    from dibs.cards.model import LLMCard
    from dibs.errors import InputError, unknown
    from dibs.llm.chat import make_llm
    from dibs.training.base import DOMAINS
    from dibs.training.generate import LLMGenerator
    from dibs.training.structure import StructureGenerator, load_forms
    from dibs.training.synthesize import rarity_of

    if domain not in DOMAINS:
        raise unknown("domain", domain, DOMAINS)
    if options.generator == _STRUCTURE:
        if batch:
            raise InputError("--batch-api is for LLMs; the generator structure asks none")
        return StructureGenerator(load_forms(domain), rarity_of(found, options.seed))
    llm = make_llm(place.card(LLMCard, options.generator), place.cache, batch=batch)
    return LLMGenerator(llm, domain, options.per_document, options.document_tokens)
