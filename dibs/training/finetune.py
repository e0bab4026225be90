"""The stage from a model and pairs to a finetuned model; what is made already is not made again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dibs.cards.model import ModelCard
from dibs.encoders.base import EncoderContext, make_encoder, needs
from dibs.encoders.folder import own_limit
from dibs.encoders.sentence_transformers import SentenceTransformersEncoder
from dibs.encoders.weights import locate, weights_sha256
from dibs.errors import InputError
from dibs.evaluate import Work
from dibs.files import digest, folder_aside, write_json
from dibs.provenance import git, hardware, versions
from dibs.training.development import Development, Evaluation
from dibs.training.gates import gain, refuse_unlearnt
from dibs.training.negatives import Mined, mine
from dibs.training.outcome import Outcome, outcome
from dibs.training.pairs import PAIRS, PairSet
from dibs.training.roundtrip import asked_of, search
from dibs.training.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentence_transformers import SentenceTransformer

    from dibs.training.trainer import Trained

_INSTRUCTION = "{instruction}"


@dataclass(frozen=True)
class Job:
    """A model to be trained."""

    name: str
    """The finetuned model's."""
    base: ModelCard
    pairs: PairSet
    settings: Settings
    cache: Path
    instruction: str = ""
    """The query prompt of the pairs' task, for models with `{instruction}` in theirs."""
    miner: Work | None = None
    """The pipeline whose run hard negatives are mined from, where some are wanted."""
    trust_remote_code: bool = False
    command: str = ""
    """The command that does this again."""

    @cached_property
    def encoder(self) -> SentenceTransformersEncoder:
        """The base, as it is trained.

        Raises:
            InputError: it is no model that can be trained; MissingError: it is not here.
        """
        return self._encoder(self.instruction)

    @property
    def templates(self) -> dict[str, str]:
        """The prompts of queries and documents, with the place of the instruction where they have one."""
        found = self._encoder(_INSTRUCTION)
        return {role: found.settings(role)["prompt"] for role in ("query", "document")}

    def inputs(self) -> dict[str, Any]:
        """Everything that the weights depend on, besides the versions of packages."""
        return {
            "base": {role: self.encoder.settings(role) for role in ("query", "document")},
            "pairs": self.pairs.manifest["files"][PAIRS],
            "settings": self.settings.as_dict(),
            "miner": self.miner.retriever.settings() if self.miner else None,
        }

    @property
    def checkpoints(self) -> Path:
        """Where training leaves its checkpoints until the model is whole."""
        return self.cache / "finetuning" / digest(self.inputs())[:16]

    def _encoder(self, instruction: str) -> SentenceTransformersEncoder:
        if not self.base.normalise:
            raise InputError(
                "is compared by inner products; the loss here takes cosines", where=self.base.name
            )
        card = self.settings.applied(self.base)
        frozen = self.settings.lora > 0  # weights that are trained are kept in float32
        changed = {"backend": "torch", "dimension": None, **({} if frozen else {"precision": "float32"})}
        context = EncoderContext(
            self.cache, instruction, self.settings.max_tokens, trust_remote_code=self.trust_remote_code
        )
        made = make_encoder(card.model_copy(update=changed), context)
        if not isinstance(made, SentenceTransformersEncoder):
            todo = "Models of the adapter sentence-transformers can."
            raise InputError("cannot be finetuned", where=self.base.name, todo=todo)
        return made


@dataclass(frozen=True)
class Finetuned:
    """A finetuned model, and whether it was there already."""

    outcome: Outcome
    reused: bool


def finetune(job: Job, home: Path, watch: Callable[[Evaluation], None] = lambda found: None) -> Finetuned:
    """The model `job.name` in `home`: the one that is there if it was made of the same, else a new one.

    A training that was stopped goes on from its last checkpoint. Checkpoints are in the cache until
    the model is whole.

    Args:
        watch: Told of each evaluation; whatever it raises ends the training, whose checkpoints stay.

    Raises:
        InputError: another model has that name; the loss did not fall, and nothing is kept.
        MissingError: a package or the model is not here.
    """
    needs("train", "accelerate", *(("peft",) if job.settings.lora else ()))
    inputs, checkpoints = job.inputs(), job.checkpoints
    with _alone(checkpoints):
        if (found := outcome(home, job.name)) is not None:
            if found.about["inputs"] == inputs:
                return Finetuned(found, True)
            todo = "Give this one another with --name."
            raise InputError("another finetuned model has that name", where=job.name, todo=todo)
        started = time.perf_counter()
        development = Development.of(job.pairs, job.settings.others, job.settings.seed)
        mined = _mined(job)
        trained = _train(job, development, mined, checkpoints, watch)
        try:
            refuse_unlearnt(trained.losses, where=job.name)
        except InputError:
            shutil.rmtree(checkpoints)
            raise
        model = job.encoder.trainable()
        _save(model, job, home / job.name)
        about = _about(job, inputs, development, mined, trained, time.perf_counter() - started)
        about["weights"] = weights_sha256(home / job.name, job.cache / "weights.json")
        write_json(home / f"{job.name}.json", about)
        shutil.rmtree(checkpoints)
    return Finetuned(Outcome(home / job.name, about), False)


def _train(
    job: Job, development: Development, mined: Mined | None, folder: Path, watch: Callable[[Evaluation], None]
) -> Trained:
    from dibs.training.examples import Examples
    from dibs.training.trainer import train

    prompts = tuple(job.encoder.settings(role)["prompt"] for role in ("query", "document"))
    negatives = mined.negatives if mined else ()
    examples = Examples(job.pairs.of("train"), negatives, (prompts[0], prompts[1]))
    return train(job.encoder.trainable(), examples, development, job.settings, folder, watch)


def _mined(job: Job) -> Mined | None:
    if not job.settings.negatives:
        return None
    assert job.miner is not None, "hard negatives come from a run"
    pairs = job.pairs.of("train")
    run = search(job.miner, asked_of(pairs, None), job.cache)
    return mine(pairs, run, job.settings.negatives, job.settings.margin, job.settings.seed)


def _save(model: SentenceTransformer, job: Job, folder: Path) -> None:
    """Write the model's folder whole or not at all, with the base's token limit and the prompts."""
    from dibs.training.lora import merge

    if job.settings.lora:
        merge(model)
    limit = job.base.max_tokens or own_limit(locate(job.base))
    if limit is not None:
        model.max_seq_length = limit
    model.prompts = {role: job.encoder.settings(role)["prompt"] for role in ("query", "document")}
    with folder_aside(folder.parent) as work:
        model.save_pretrained(str(work), create_model_card=False)
        shutil.rmtree(folder, ignore_errors=True)  # of a run that ended before it said how it was made
        work.rename(folder)


def _about(
    job: Job,
    inputs: dict[str, Any],
    development: Development,
    mined: Mined | None,
    trained: Trained,
    seconds: float,
) -> dict[str, Any]:
    difference = gain(development.pairs, trained.base, trained.best)
    pairs = job.pairs
    return {
        "name": job.name,
        "base": job.base.name,
        "inputs": inputs,
        "settings": job.settings.as_dict(),
        "prompts": job.templates,
        "pairs": {
            "name": pairs.name,
            "sha256": pairs.manifest["files"][PAIRS],
            "task": pairs.manifest.get("task"),
            "generator": pairs.manifest.get("generator"),
            "licence": pairs.manifest.get("licence"),
            "train": len(pairs.of("train")),
            "development": len(pairs.of("development")),
            "leakage": [_briefly(report) for report in pairs.manifest.get("leakage") or []],
        },
        "negatives": None
        if mined is None
        else {"miner": job.miner and job.miner.pipeline, **mined.as_dict()},
        "development": {
            **development.describe(),
            "base": trained.base.recall,
            "finetuned": trained.best.recall,
            "difference": asdict(difference),
            "improved": trained.best.recall > trained.base.recall,
        },
        "evaluations": [
            {"step": one.step, "epoch": one.epoch, "recall": one.recall, "loss": one.loss}
            for one in trained.evaluations
        ],
        "losses": [{"step": step, "loss": loss} for step, loss in trained.losses],
        "steps": {"made": trained.steps, "planned": trained.planned, "best": trained.best_step},
        "seconds": round(seconds, 1),
        "command": job.command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "hardware": hardware(),
        "git": git(),
    }


def _briefly(report: dict[str, Any]) -> dict[str, Any]:
    """A leakage report without the ids of single pairs."""
    return {name: report.get(name) for name in ("task", "data", "rules", "removed", "seen")}


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Only one process trains the same; another waits, and finds it done or goes on."""
    from filelock import FileLock

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        yield
