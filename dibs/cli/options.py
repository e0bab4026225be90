"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        help="Folder with tasks/, models/ and results/.",
        envvar="DIBS_WORKSPACE",
        show_default="here",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")
]

RemoteCodeOption = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run code that comes with a model.")
]
BackendOption = Annotated[
    Literal["auto", "torch", "onnxruntime", "openvino"] | None,
    typer.Option(
        help="What runs local models, if not what their cards say; auto takes the fastest that is "
        "installed and gives torch's vectors, and says so.",
    ),
]
PrecisionOption = Annotated[
    Literal["float32", "bfloat16"] | None,
    typer.Option(
        help="What local models compute in; another than the card's is named in the results. bfloat16 "
        "is faster on processors with AMX, and slower on others."
    ),
]
BatchOption = Annotated[
    bool,
    typer.Option(
        "--batch-api",
        help="Send documents to embed, and what an LLM is asked, through the provider's batch interface: "
        "cheaper, and done within a day.",
    ),
]
NoWaitOption = Annotated[
    bool,
    typer.Option("--no-wait", help="With --batch-api: hand over and leave; the same command collects."),
]
EngineOption = Annotated[
    Literal["ray"] | None,
    typer.Option(help="Run local models in other processes; ray is for several GPUs or machines."),
]
AddressOption = Annotated[
    str | None,
    typer.Option(help="The engine's cluster: auto, or HOST:PORT.", show_default="one on this machine"),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(min=1, help="The engine's processes.", show_default="one for each GPU, or machine"),
]


def waits(batch_api: bool, no_wait: bool) -> bool:
    """Whether the command stays until everything is back.

    Raises:
        InputError: nothing is handed over.
    """
    from dibs.errors import InputError

    if no_wait and not batch_api:
        raise InputError("--no-wait is for --batch-api, which is not given")
    return not no_wait
