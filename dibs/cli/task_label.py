"""`dibs task label`: relevance labels for a task of one's own, by people."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dibs.cli.options import WorkspaceOption

if TYPE_CHECKING:
    from dibs.labelling.journal import Pair
    from dibs.labelling.qrels import State
    from dibs.labelling.session import Session
    from dibs.labelling.source import Labelled
    from dibs.workspace import Workspace


def label(
    name: Annotated[str, typer.Argument(help="A task of this workspace, with gold documents or without.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="A retriever whose first documents are shown, as for dibs run; give several.",
        ),
    ] = None,
    reranker: Annotated[
        str | None, typer.Option(help="A reranker's name; each retriever's documents are reordered first.")
    ] = None,
    depth: Annotated[int, typer.Option(min=1, max=100, help="Documents of each retriever.")] = 10,
    seed: Annotated[int, typer.Option(help="Of the order in which documents are shown.")] = 0,
    labeller: Annotated[
        str | None, typer.Option(help="Whose judgements these are.", show_default="your user name")
    ] = None,
    graded: Annotated[
        bool, typer.Option("--graded", help="Three grades: not, relevant, highly relevant.")
    ] = False,
    unjudged: Annotated[
        bool, typer.Option("--unjudged", help="Only what no labeller has judged, to share the work.")
    ] = False,
    without_gold: Annotated[
        bool, typer.Option("--without-gold", help="Only queries that the task came with no gold for.")
    ] = False,
    page: Annotated[
        bool, typer.Option("--page", help="Label in a browser on this machine, not in the terminal.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the page; 0 is any free one.")] = 0,
    disagreements: Annotated[
        bool, typer.Option("--disagreements", help="Go through what labellers judged differently.")
    ] = False,
    write: Annotated[bool, typer.Option("--write", help="Write the task's qrels from all labels.")] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Say what is judged, and how far labellers agree.")
    ] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Judge the first documents of several retrievers, one by one, and make a task's qrels of it.

    Nothing shows which retriever found a document. Each judgement is on disk before the next document is
    shown; the same command goes on where you stopped. Others label with --labeller, in the same workspace.

    Example: dibs task label Handbook --model bm25 --model all-MiniLM-L6-v2 --write
    """
    from dibs.errors import InputError
    from dibs.labelling.qrels import state
    from dibs.labelling.source import labelled
    from dibs.workspace import Workspace

    if model and disagreements:
        raise InputError(
            "--disagreements shows what was judged, and pools nothing", todo="Leave out --model."
        )
    if not (model or disagreements or write or status):
        raise InputError(
            "no retriever is named", todo="Such as --model bm25 --model all-MiniLM-L6-v2; or --status."
        )
    place = Workspace.find(workspace)
    task = labelled(name, place)
    if model or disagreements:
        who = labeller or _user()
        pairs, pool = _pool(task, model, reranker, depth, seed, without_gold, place) if model else ([], {})
        _label(task, pairs, pool, who, graded, unjudged, disagreements, port if page else None)
    found = state(task)
    if write:
        _write(task, found)
    _say(task, found, place)


def _user() -> str:
    from dibs.errors import InputError

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        raise InputError("your user name is not known", todo="Give a name with --labeller.") from None


def _pool(
    task: Labelled,
    models: list[str],
    reranker: str | None,
    depth: int,
    seed: int,
    without_gold: bool,
    place: Workspace,
) -> tuple[list[Pair], dict[str, Any]]:
    """The pairs in the order they are shown, without those whose gold was given; and the settings."""
    from dibs import resolve
    from dibs.choices import Choices
    from dibs.labelling.journal import Pair
    from dibs.labelling.pool import Pooling, pooled
    from dibs.labelling.qrels import state

    over = resolve.Task(task.card, task.dataset)
    works = [resolve.work(model, over, Choices(reranker=reranker), place) for model in models]
    pooling = Pooling(tuple(work.pipeline for work in works), depth, seed)
    candidates = pooled(pooling, works, task.dataset, place.cache)
    given = state(task).given
    known = {pair.query for pair, grade in given.items() if grade > 0} if without_gold else set()
    pairs = [Pair(query, name) for query, names in candidates.items() if query not in known for name in names]
    return [pair for pair in pairs if pair not in given], pooling.settings()


def _label(
    task: Labelled,
    pairs: list[Pair],
    pool: dict[str, Any],
    who: str,
    graded: bool,
    unjudged: bool,
    disagreements: bool,
    port: int | None,
) -> None:
    """Open the journal and show the pairs, on a page if it has a port."""
    from dibs.labelling.journal import Journal
    from dibs.labelling.merged import merged
    from dibs.labelling.session import Session
    from dibs.labelling.terminal import label_in_terminal
    from dibs.report.terminal import console

    with Journal(task.journal(who), who) as journal:
        if journal.torn:
            typer.echo(
                "the journal's last line was not whole and is dropped: judge that document again", err=True
            )
        people = merged(task.by_people())
        settling = None
        if disagreements:
            pairs = people.differing()
            settling = {pair: people.said[pair] for pair in pairs}
        elif unjudged:
            pairs = [pair for pair in pairs if not people.said.get(pair, {}).keys() - {who}]
        session = Session(task, pairs, journal, pool, grades=3 if graded else 2, settling=settling)
        if session.done:
            typer.echo("There is nothing left to judge.")
        elif port is not None:
            _serve(session, task.card.name, port)
        else:
            label_in_terminal(session, console(), _key)


def _key() -> str:
    """The key that is pressed; of several typed ahead the first, for the others' documents were not seen."""
    from dibs.errors import InputError

    try:
        pressed = typer.getchar()
    except EOFError:
        return ""
    except OSError:
        raise InputError(
            "there is no terminal to read keys from", todo="Label in a browser: --page."
        ) from None
    return " " if pressed.startswith("\x1b") else pressed[:1]


def _serve(session: Session, task: str, port: int) -> None:
    from dibs.errors import InputError
    from dibs.labelling.page import LabelServer

    try:
        server = LabelServer(session, task, port, say=lambda line: typer.echo(line, err=True))
    except OSError as error:
        raise InputError(
            f"the port cannot be used: {error.strerror}", where=str(port), todo="Choose another with --port."
        ) from None
    with server:
        typer.echo(f"Label at {server.url}\nThe address is yours alone. Stop there, or with Ctrl-C here.")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo("stopped", err=True)


def _write(task: Labelled, found: State) -> None:
    from dibs.labelling.qrels import write_qrels

    write_qrels(task, found)
    typer.echo(f"{len(found.grades):,} judgements are in {task.qrels.parent.name}/{task.qrels.name}.")
    if found.relevant:
        typer.echo(f"Next: dibs run --model bm25 --task {task.card.name}")


def _say(task: Labelled, found: State, place: Workspace) -> None:
    """What is judged, and how much of the first documents of each record."""
    from dibs.labelling.qrels import CUT, judged_at
    from dibs.labelling.told import lines
    from dibs.records import RUN, all_records
    from dibs.report.terminal import console, plain_table, printable
    from dibs.retrieval.run import read_run

    for line in lines(found):
        typer.echo(printable(line))
    judged = found.judged()
    rows = [
        {"pipeline": record.pipeline, f"judged@{CUT}": share and round(share, 3), "record": record.hash}
        for record in all_records(place.results)
        if not record.faults() and record.task == task.card.name
        for share in [judged_at(read_run(record.folder / RUN), judged)]
    ]
    if rows:
        console().print(plain_table(rows, list(rows[0])))
