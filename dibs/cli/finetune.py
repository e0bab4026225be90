"""`dibs finetune`: a model trained on pairs, beside its base on every task."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import typer

from dibs.cli.options import JsonOption, RemoteCodeOption, WorkspaceOption

Model = Annotated[
    str, typer.Option("--model", "-m", help="The model to finetune: a card, folder or hub name.")
]
Pairs = Annotated[str, typer.Option("--pairs", "-p", help="Pairs by their folder, or their name in pairs/.")]
Tasks = Annotated[
    list[str] | None,
    typer.Option(
        "--task",
        "-t",
        help="A task to measure base and finetuned model on; may be repeated.",
        show_default="every task whose data is here",
    ),
]


def finetune(
    model: Model,
    pairs: Pairs,
    name: Annotated[
        str | None, typer.Option(help="The new model's name.", show_default="the base's, and a hash")
    ] = None,
    task: Tasks = None,
    learning_rate: Annotated[float, typer.Option(help="Its greatest value.")] = 2e-5,
    batch_size: Annotated[
        int, typer.Option(help="Pairs in a batch; the others are a query's negatives.")
    ] = 32,
    mini_batch: Annotated[
        int | None,
        typer.Option(
            help="Texts in memory at once (GradCache): batches may be larger than memory, for more time.",
            show_default="the whole batch",
        ),
    ] = None,
    temperature: Annotated[float, typer.Option(help="Cosines are divided by it.")] = 0.05,
    epochs: Annotated[int, typer.Option(help="Passes over the pairs.")] = 1,
    warmup: Annotated[
        float, typer.Option(help="The share of the steps in which the learning rate rises.")
    ] = 0.1,
    max_tokens: Annotated[
        int, typer.Option(help="Texts are cut to this in training, or to the model's own limit.")
    ] = 2048,
    pooling: Annotated[
        Literal["mean", "cls", "last"] | None, typer.Option(help="Pool so.", show_default="as the base")
    ] = None,
    query_prompt: Annotated[
        str | None, typer.Option(help="Put before each query.", show_default="as the base")
    ] = None,
    negatives: Annotated[int, typer.Option(help="Hard negatives of each pair, mined from a run.")] = 0,
    miner: Annotated[
        str | None,
        typer.Option(help="The model whose run they are mined from, such as bm25.", show_default="the base"),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(help="A negative scores below the positive by at least this share of its score."),
    ] = 0.05,
    matryoshka: Annotated[
        str | None,
        typer.Option(help="Smaller dimensions to train too, such as 256,128.", show_default="none"),
    ] = None,
    lora: Annotated[
        int, typer.Option(help="Train adapters of this rank, not all weights; for models of billions.")
    ] = 0,
    bf16: Annotated[bool, typer.Option("--bf16", help="Compute in bfloat16.")] = False,
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Less memory, for a second forward pass.")
    ] = False,
    evaluations: Annotated[int, typer.Option(help="Evaluations and checkpoints in each epoch.")] = 4,
    patience: Annotated[int, typer.Option(help="Stop after so many that are no better; 0 never stops.")] = 4,
    others: Annotated[
        int,
        typer.Option(help="Documents of training pairs that development queries are searched among too."),
    ] = 2000,
    seed: Annotated[
        int | None, typer.Option(help="Of data order and dropout.", show_default="20250220")
    ] = None,
    mlflow: Annotated[
        bool, typer.Option("--mlflow", help="Log the model and its scores where MLFLOW_TRACKING_URI says.")
    ] = False,
    trust_remote_code: RemoteCodeOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Finetune a model on pairs by a contrastive loss, choose its best checkpoint, and measure it.

    The model stands in finetuned/NAME with its card in models/, so that dibs run --model NAME works. A
    training that was stopped goes on from its last checkpoint. Leaking pairs and a loss that does not
    fall are refused; a model no better than its base on the development pairs is kept and marked.

    Example: dibs finetune --model all-MiniLM-L6-v2 --pairs DocsQA-Sample-structure-filtered
    """
    from dibs.cli.jobs import guarded, measured, planned, refuse_no_better
    from dibs.encoders.base import needs
    from dibs.report.finetuned import as_json as as_object
    from dibs.report.finetuned import finetuned_view
    from dibs.report.terminal import console
    from dibs.scoring.statistics import SEED
    from dibs.training.finetune import finetune as run
    from dibs.training.outcome import HOME, write_card
    from dibs.training.pairs import find_pairs
    from dibs.training.settings import Settings
    from dibs.workspace import Workspace

    if mlflow:
        needs("mlflow", "mlflow")  # said before the work, not after
    settings = Settings(
        learning_rate=learning_rate,
        batch_size=batch_size,
        mini_batch=mini_batch,
        temperature=temperature,
        epochs=epochs,
        warmup=warmup,
        max_tokens=max_tokens,
        pooling=pooling,
        query_prompt=query_prompt,
        negatives=negatives,
        miner=miner,
        margin=margin,
        matryoshka=numbers("--matryoshka", matryoshka),
        lora=lora,
        bf16=bf16,
        gradient_checkpointing=gradient_checkpointing,
        evaluations=evaluations,
        patience=patience,
        others=others,
        seed=SEED if seed is None else seed,
    )
    place = Workspace.find(workspace)
    found = find_pairs(pairs, place)
    tasks = guarded(found, task, place)
    job = planned(model, found, settings, name, place, trust_remote_code=trust_remote_code)
    done = run(job, place.root / HOME)
    write_card(done.outcome, job.base, place)
    made = measured(done.outcome, model, tasks, place, trust_remote_code=trust_remote_code)
    if mlflow:
        from dibs.training.mlflow_log import log_model

        scores = {f"{gain.task}/{gain.measure}": gain.finetuned for gain in made}
        uri = log_model(done.outcome, scores, trust_remote_code=trust_remote_code)
        typer.echo(f"logged as {uri}", err=True)
    if as_json:
        typer.echo(
            json.dumps(as_object(done.outcome, made, reused=done.reused), indent=2, ensure_ascii=False)
        )
    else:
        for part in finetuned_view(done.outcome, made, reused=done.reused):
            console().print(part)
    refuse_no_better(done.outcome)


def numbers(option: str, text: str | None) -> tuple[int, ...]:
    """Whole numbers with commas between."""
    from dibs.errors import InputError

    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise InputError(f"{option} {text}: not whole numbers with commas between") from None
