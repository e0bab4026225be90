"""The training itself: sentence-transformers' trainer, with checkpoints that it goes on from.

Imported only when a model is trained: torch and transformers come with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
from sentence_transformers import SentenceTransformerTrainingArguments as Arguments
from sentence_transformers.base.evaluation import BaseEvaluator
from sentence_transformers.base.sampler import NoDuplicatesBatchSampler
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MatryoshkaLoss,
    MultipleNegativesRankingLoss,
)
from transformers import EarlyStoppingCallback, PrinterCallback, TrainerCallback, set_seed
from transformers.utils import logging

from dibs.encoders.base import FloatArray, Role
from dibs.errors import InputError
from dibs.files import write_json
from dibs.training.checkpoints import kept_evaluations, last_checkpoint
from dibs.training.development import MEASURE, Development, Encode, Evaluation
from dibs.training.examples import Examples
from dibs.training.lora import adapt
from dibs.training.progress import Reporter, reporting
from dibs.training.settings import Settings

Watch = Callable[[Evaluation], None]
"""Told of each evaluation; whatever it raises ends the training."""
_LOGGED = 100
"""Points of the loss that are kept, about."""


@dataclass(frozen=True)
class Trained:
    """What came of a training; the model has the weights of its best checkpoint."""

    steps: int
    """That were made."""
    planned: int
    best_step: int
    losses: list[tuple[int, float]]
    """Mean loss of the steps up to each of these."""
    evaluations: list[Evaluation]
    """First that of the base."""

    @property
    def base(self) -> Evaluation:
        return self.evaluations[0]

    @property
    def best(self) -> Evaluation:
        return next(one for one in self.evaluations if one.step == self.best_step)


def train(
    model: SentenceTransformer,
    examples: Examples,
    development: Development,
    settings: Settings,
    folder: Path,
    watch: Watch = lambda found: None,
) -> Trained:
    """Train `model` in place, from the last whole checkpoint in `folder` if there is one.

    With the same settings and number of threads, a training that was stopped and went on has the
    weights of one that was not: the order of the data, the optimiser and the random state are kept.

    Raises:
        InputError: the pairs do not fill a batch, or the loss is no longer a number.
    """
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # those over the weights of each checkpoint
    steps = _steps(examples, settings)
    encode = _encoding(model, examples, settings)
    checkpoint = last_checkpoint(folder)
    with reporting(steps * settings.epochs) as reporter:
        evaluator = _Evaluator(development, encode, settings.temperature, folder, reporter, watch)
        evaluator.base()
        set_seed(settings.seed)
        if settings.lora:
            adapt(model, settings.lora)
        if settings.gradient_checkpointing:
            _checkpoint_activations(model)
        trainer = _Trainer(
            model=model,
            args=_arguments(examples, settings, steps, folder),
            train_dataset=Dataset.from_dict(examples.columns()),
            loss=_loss(model, settings),
            evaluator=evaluator,
            callbacks=[_Steps(reporter)],
            keys=Dataset.from_dict(examples.keys()),
        )
        trainer.remove_callback(PrinterCallback)  # it prints on standard output
        if settings.patience:
            trainer.add_callback(EarlyStoppingCallback(settings.patience))
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    state = trainer.state
    if not (state.best_global_step and state.best_model_checkpoint):
        problem = f"only {state.global_step:,} of {steps * settings.epochs:,} batches could be filled"
        raise InputError(
            f"{problem}: no two pairs of a batch may share a document, hard negatives among them",
            todo="Set a smaller batch_size, fewer negatives, or synthesize pairs of more documents.",
        )
    trainer._load_from_checkpoint(state.best_model_checkpoint)
    losses = [(int(entry["step"]), float(entry["loss"])) for entry in state.log_history if "loss" in entry]
    made = [found for found in kept_evaluations(folder) if found.step <= state.global_step]
    return Trained(state.global_step, steps * settings.epochs, state.best_global_step, losses, made)


def _steps(examples: Examples, settings: Settings) -> int:
    """Steps of one epoch."""
    documents = len({pair.document_id for pair in examples.pairs})
    if documents < settings.batch_size:
        raise InputError(
            f"the training pairs are of {documents:,} documents, and no two pairs of a batch may share one",
            todo=f"Set a batch_size of {documents:,} or less, or synthesize pairs of more documents.",
        )
    return len(examples.pairs) // settings.batch_size


def _encoding(model: SentenceTransformer, examples: Examples, settings: Settings) -> Encode:
    def encode(texts: Sequence[str], role: Role) -> FloatArray:
        of_role = model.encode_query if role == "query" else model.encode_document
        vectors = of_role(
            list(texts),
            prompt=examples.prompts[role == "document"],
            batch_size=settings.mini_batch or min(settings.batch_size, 32),
            show_progress_bar=False,
            normalize_embeddings=True,
        )
        return np.asarray(vectors, dtype=np.float32)

    return encode


def _checkpoint_activations(model: SentenceTransformer) -> None:
    transformer: Any = model.transformers_model
    name = "activation_checkpointing_enable"  # gradient_checkpointing_enable before transformers 5.20
    enable = getattr(transformer, name, None) or transformer.gradient_checkpointing_enable
    enable({"use_reentrant": False})


def _loss(model: SentenceTransformer, settings: Settings) -> torch.nn.Module:
    scale = 1 / settings.temperature
    loss: torch.nn.Module = (
        MultipleNegativesRankingLoss(model, scale=scale)
        if settings.mini_batch is None
        else CachedMultipleNegativesRankingLoss(model, scale=scale, mini_batch_size=settings.mini_batch)
    )
    if not settings.matryoshka:
        return loss
    full = model.get_embedding_dimension() or 0
    if too_large := [dimension for dimension in settings.matryoshka if dimension >= full]:
        todo = "Give smaller ones; the full one is trained in any case."
        raise InputError(f"matryoshka dimension {too_large[0]}: the model has {full}", todo=todo)
    return MatryoshkaLoss(model, loss, [full, *settings.matryoshka])


def _arguments(examples: Examples, settings: Settings, steps: int, folder: Path) -> Arguments:
    every = math.ceil(steps / settings.evaluations)
    return Arguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        warmup_steps=settings.warmup,
        bf16=settings.bf16,
        use_cpu=settings.bf16 and not torch.cuda.is_available(),  # else bfloat16 is refused there
        seed=settings.seed,
        prompts={name: examples.prompt(name) for name in examples.columns()},
        dataloader_drop_last=True,  # a short batch has fewer negatives, and another loss
        dataloader_pin_memory=torch.cuda.is_available(),
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=1,  # and the best one
        metric_for_best_model=f"eval_{MEASURE}",
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,
        logging_steps=max(1, steps * settings.epochs // _LOGGED),
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
    )


class _Trainer(SentenceTransformerTrainer):
    """Draws batches by keys of its own, and writes no model card of its own."""

    def __init__(self, *, keys: Dataset, **options: Any) -> None:
        self._keys = keys
        super().__init__(**options)

    def get_batch_sampler(self, dataset: Dataset, *args: Any, **options: Any) -> NoDuplicatesBatchSampler:
        return NoDuplicatesBatchSampler(self._keys, *args, **options)

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """None: the one of sentence-transformers tokenises the data to describe it."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        self.model.save_pretrained(output_dir or str(self.args.output_dir), create_model_card=False)


class _Evaluator(BaseEvaluator):
    """Called by the trainer; keeps what was found where a training that goes on finds it."""

    def __init__(
        self,
        development: Development,
        encode: Encode,
        temperature: float,
        folder: Path,
        reporter: Reporter,
        watch: Watch,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._development = development
        self._encode = encode
        self._temperature = temperature
        self._folder = folder / "evaluations"
        self._reporter = reporter
        self._watch = watch

    def base(self) -> None:
        """Evaluate the base, unless that was done."""
        if not (self._folder / "0.json").is_file():
            self(None, epoch=0.0, steps=0)

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: float = -1, steps: int = -1
    ) -> dict[str, float]:
        found = self._development.evaluate(self._encode, self._temperature, step=steps, epoch=epoch)
        write_json(self._folder / f"{steps}.json", asdict(found))
        self._reporter.evaluated(found)
        self._watch(found)
        return {str(MEASURE): found.recall, "development_loss": found.loss}


class _Steps(TrainerCallback):
    """Tells the reporter of each step, and ends a training whose loss is no number."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._reporter.step(state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
        if logs is None or "loss" not in logs:
            return
        if not math.isfinite(logs["loss"]):
            raise InputError(
                f"the loss is {logs['loss']} at step {state.global_step:,}",
                todo="Lower the learning rate, raise the temperature, or leave bf16.",
            )
        self._reporter.step(state.global_step, float(logs["loss"]))
