"""The command `dibs`. Commands import what they need when they run, so that help answers at once."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from dibs.cli import (
    compare,
    complete,
    data,
    diagnose,
    doctor,
    filter_,
    finetune,
    judge,
    leaderboard,
    listing,
    rag,
    reproduce,
    run,
    serve,
    show,
    sweep,
    sweep_finetune,
    synthesize,
    task,
    transfer,
    verify,
)
from dibs.redact import redacted


class _Group(TyperGroup):
    """Turns every expected error into one message and an exit code; never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        from dibs.errors import DibsError, of_system

        warnings.showwarning = _say_warning
        try:
            return super().invoke(ctx)
        except DibsError as error:
            typer.echo(f"error: {error}" if error.exit_code else str(error), err=True)
            code = error.exit_code
        except KeyboardInterrupt:
            typer.echo("stopped; what was done is kept: the same command goes on from here", err=True)
            code = 130
        except BrokenPipeError:  # the reader, such as `head`, has gone
            sys.stderr.close()
            code = 1
        except OSError as error:
            ours = of_system(error)
            typer.echo(f"error: {ours}", err=True)
            code = ours.exit_code
        ctx.exit(code)


def _say_warning(message: Warning | str, *where: Any, **more: Any) -> None:
    typer.echo(f"warning: {redacted(str(message))}", err=True)


app = typer.Typer(
    cls=_Group,
    name="dibs",
    help="Measure retrieval on your own domain: embedding models, hybrid search, rerankers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run.run)
app.command()(rag.rag)
app.command()(diagnose.diagnose)
app.command()(show.show)
app.command()(compare.compare)
app.command()(leaderboard.leaderboard)
app.command()(serve.serve)
app.command()(sweep.sweep)
app.command()(synthesize.synthesize)
app.command("filter")(filter_.filter_)
app.command()(finetune.finetune)
app.command("sweep-finetune")(sweep_finetune.sweep_finetune)
app.command()(verify.verify)
app.command()(reproduce.reproduce)
app.command()(transfer.export)
app.command("import")(transfer.import_)
app.command()(doctor.doctor)
app.command()(listing.tasks)
app.command()(listing.models)
app.command()(listing.rerankers)
app.command()(listing.llms)
app.add_typer(data.app, name="data")
app.add_typer(judge.app, name="judge")
app.add_typer(task.app, name="task")


def _version(wanted: bool) -> None:
    if wanted:
        from dibs import __version__

        typer.echo(f"dibs {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None: ...


def main() -> None:
    """The entry point of the command `dibs`."""
    if complete.VARIABLE in os.environ:
        complete.attach(app)
    app()
