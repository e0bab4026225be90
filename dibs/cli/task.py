"""`dibs task`: tasks of one's own documents."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dibs.cli import task_label
from dibs.cli.options import JsonOption, WorkspaceOption
from dibs.cli.words import option_words

if TYPE_CHECKING:
    from dibs.domain.new import Plan
    from dibs.workspace import Workspace

app = typer.Typer(help="Make a task of your own documents, and label it.", no_args_is_help=True)
app.command("label")(task_label.label)

_By = Literal["page", "section", "document"]


@dataclass(frozen=True)
class Options:
    """The options that change the task."""

    documents: Path
    by: _By | None = None
    chunk_tokens: int | None = None
    chunk_stride: int | None = None
    tokenizer: str = "pieces.v1"
    queries: Path | None = None
    generator: str = "structure"
    judge: str | None = None
    count: int = 200
    per_unit: int = 1
    seed: int = 0
    domain: str = "general"
    id_field: str | None = None
    text_field: str = "text"
    title_field: str = "title"
    document_field: str = "document"
    licence: str = "not stated"

    def plan(self, name: str, workspace: Workspace) -> Plan:
        """What is to be made.

        Raises:
            InputError: options contradict each other, or name an LLM that nobody knows.
        """
        from dibs.cards.model import LLMCard
        from dibs.data.documents.tables import Columns
        from dibs.domain.chunks import Chunks
        from dibs.domain.new import Plan
        from dibs.domain.synthetic import STRUCTURE, Synthesis
        from dibs.errors import InputError

        if self.chunk_stride is not None and self.chunk_tokens is None:
            raise InputError("--chunk-stride is for chunks", todo="Give their length: --chunk-tokens.")
        usual = Options(self.documents)
        if self.queries is not None:
            for field in ("generator", "judge", "count", "per_unit", "seed", "domain"):
                if getattr(self, field) != getattr(usual, field):
                    option = f"--{field.replace('_', '-')}"
                    raise InputError(f"{option} is for synthetic queries, and --queries gives others")
        llms = {
            what: workspace.card(LLMCard, given) if given not in (None, STRUCTURE) else None
            for what, given in (("generator", self.generator), ("judge", self.judge))
        }
        length = self.chunk_tokens
        return Plan(
            name=name,
            documents=self.documents,
            by=self.by,
            chunks=Chunks(length, self.chunk_stride or length, self.tokenizer) if length else None,
            columns=Columns(self.id_field, self.text_field, self.title_field, self.document_field),
            queries=self.queries,
            synthesis=Synthesis(
                llms["generator"], llms["judge"], self.count, self.per_unit, self.seed, self.domain
            ),
            licence=self.licence,
            command=shlex.join(["dibs", "task", "new", name, *option_words(self)]),
        )


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="What the task is to be called.")],
    documents: Annotated[
        Path,
        typer.Option(
            help="A folder of PDF, DOCX, HTML, Markdown, text and tables, or one table: CSV, JSONL, "
            "parquet, Delta."
        ),
    ],
    queries: Annotated[
        Path | None,
        typer.Option(
            help="CSV, JSONL or parquet with `query`, and `gold` (ids), `answer` or both.",
            show_default="synthetic ones",
        ),
    ] = None,
    by: Annotated[
        _By | None,
        typer.Option(
            help="What documents are divided into.",
            show_default="pages of PDFs, sections of what has headings",
        ),
    ] = None,
    chunk_tokens: Annotated[
        int | None, typer.Option(min=1, help="Divide those into chunks of so many tokens.")
    ] = None,
    chunk_stride: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens from one chunk's beginning to the next.", show_default="no overlap"),
    ] = None,
    tokenizer: Annotated[
        str, typer.Option(help="What counts them: pieces.v1, tiktoken:NAME, or a name on the hub.")
    ] = Options.tokenizer,
    generator: Annotated[
        str,
        typer.Option(help="What makes synthetic queries: structure, which needs no LLM, or an LLM's card."),
    ] = Options.generator,
    judge: Annotated[
        str | None, typer.Option(help="The LLM that decides which of them stay, by its card's name.")
    ] = None,
    count: Annotated[
        int, typer.Option(min=0, help="Units that synthetic queries are made of; 0 is all.")
    ] = Options.count,
    per_unit: Annotated[int, typer.Option(min=1, help="Queries of each, at most.")] = Options.per_unit,
    seed: Annotated[int, typer.Option(help="Of the draw of units, and of forms.")] = Options.seed,
    domain: Annotated[
        str, typer.Option(help="Prompt and forms: documentation, financial, forum or general.")
    ] = Options.domain,
    id_field: Annotated[
        str | None, typer.Option(help="A table's column of ids.", show_default="_id or id")
    ] = None,
    text_field: Annotated[str, typer.Option(help="A table's column of texts.")] = Options.text_field,
    title_field: Annotated[str, typer.Option(help="A table's column of titles.")] = Options.title_field,
    document_field: Annotated[
        str, typer.Option(help="A table's column that names the document which a row is part of.")
    ] = Options.document_field,
    licence: Annotated[str, typer.Option(help="Of the documents, for the card.")] = Options.licence,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put it in the place of a task made of other input.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a task of your documents, ready for `dibs run`.

    What cannot be read is named and passed over. Without --queries, a test set is made of the documents
    themselves and marked synthetic. The same command on the same input changes nothing.

    Example: dibs task new Handbook --documents handbook/ --queries questions.csv
    """
    from dibs.domain.new import new_task
    from dibs.report.domain import as_json as described
    from dibs.report.domain import new_view
    from dibs.report.terminal import console
    from dibs.workspace import Workspace

    place = Workspace.find(workspace)
    options = Options(
        documents=documents,
        by=by,
        chunk_tokens=chunk_tokens,
        chunk_stride=chunk_stride,
        tokenizer=tokenizer,
        queries=queries,
        generator=generator,
        judge=judge,
        count=count,
        per_unit=per_unit,
        seed=seed,
        domain=domain,
        id_field=id_field,
        text_field=text_field,
        title_field=title_field,
        document_field=document_field,
        licence=licence,
    )
    made = new_task(options.plan(name, place), place, replace=replace)
    if as_json:
        typer.echo(json.dumps(described(made), indent=2, ensure_ascii=False))
        return
    for part in new_view(made):
        console().print(part)
