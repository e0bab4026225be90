"""A search for good settings: Optuna proposes, development decides, and what is done is kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dibs.encoders.base import needs
from dibs.errors import InputError
from dibs.files import digest, write_json
from dibs.training.development import Evaluation
from dibs.training.finetune import Job, finetune
from dibs.training.outcome import Outcome, outcome

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

SPACE: Mapping[str, Sequence[Any]] = {
    "learning_rate": (1e-5, 2e-5, 5e-5),
    "batch_size": (16, 32, 64),
    "temperature": (0.02, 0.05, 0.1),
    "epochs": (1, 2, 3),
}
"""What is tried unless the user says otherwise: what the study swept, but for prompt and pooling."""
_FIXED = {"seed", "evaluations", "others", "miner"}
"""Settings that trials have to share, to be compared."""
_UNPRUNED = 4
"""Trials that are trained to their end before any is stopped for being worse than the median."""


class Tried(NamedTuple):
    """One trial, as the account of the sweep has it."""

    number: int
    settings: dict[str, Any]
    """Of those that are searched over."""
    state: str
    """`complete`, `pruned` or `failed`."""
    recall: float | None
    """The best on development; None where nothing was measured."""
    loss: float | None
    """Development loss at that point, which decides among equal ones."""
    why: str | None
    """Why it failed."""
    model: str | None
    """Its name in the study's folder."""


@dataclass(frozen=True)
class Search:
    """What is searched."""

    job: Job
    """What all trials have in common; its settings are those that are not searched over."""
    space: Mapping[str, Sequence[Any]]
    trials: int

    def __post_init__(self) -> None:
        for name, values in self.space.items():
            if name in _FIXED:
                raise InputError(f"{name} is the same for all trials", todo=f"Set it: --set {name}=VALUE.")
            for value in values:
                self.job.settings.changed({name: value})
        if not self.space:
            raise InputError("nothing is to be tried", todo="Such as --over learning_rate=1e-5,2e-5.")
        if self.trials < 1:
            raise InputError(f"{self.trials} trials", todo="Give a number above 0.")

    @property
    def id(self) -> str:
        """The same for searches that may share trials: all is equal but how many there are."""
        return digest({**self.job.inputs(), "space": {name: list(v) for name, v in self.space.items()}})[:16]

    @property
    def folder(self) -> Path:
        """Where the trials' models are kept, in the cache."""
        return self.job.cache / "finetuning" / f"study-{self.id}"

    def trial(self, chosen: Mapping[str, Any]) -> Job:
        """The job of one trial, named after its settings."""
        job = replace(self.job, settings=self.job.settings.changed(chosen))
        job = replace(job, miner=job.miner if job.settings.negatives else None)
        return replace(job, name=f"{self.job.base.name[:60]}-{digest(job.settings.as_dict())[:8]}")


def tune(search: Search, say: Callable[[str], None] = lambda line: None) -> list[Tried]:
    """Make the trials that are lacking; the account of all.

    The store is a journal in the study's folder: a search that was stopped goes on, the trial it was
    in from its last checkpoint, and one with more trials takes up the earlier ones. The proposals are
    of the tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), seeded by the settings'
    seed and the trial's number. A trial that is worse at an evaluation than the median of the others
    at the same share of an epoch is stopped.

    Raises:
        InputError: not one trial was finished; the first one's reason is told.
        MissingError: a package is not here.
    """
    needs("train", "accelerate", "optuna")
    from filelock import FileLock

    search.folder.mkdir(parents=True, exist_ok=True)
    with FileLock(search.folder / "lock"):
        study = _study(search)
        for trial in _lacking(study, search):
            _run(study, trial, search, say)
        found = [_account(trial) for trial in study.trials if trial.state.is_finished()]
    if not any(trial.state == "complete" for trial in found):
        why = next((trial.why for trial in found if trial.why), "all were stopped early")
        raise InputError(f"not one of {len(found)} trials was finished: {why}", where=search.job.base.name)
    return found[: search.trials]


def chosen(found: Sequence[Tried]) -> Tried:
    """The best on development: by recall, then by loss; of equal ones the first."""
    finished = [trial for trial in found if trial.state == "complete"]
    return min(finished, key=lambda t: (-(t.recall or 0.0), t.loss or 0.0, t.number))


def adopt(search: Search, found: Sequence[Tried], home: Path) -> Outcome:
    """The chosen trial's model as `search.job.name` in `home`, its account with that of the sweep.

    Raises:
        InputError: another model, which this search did not make, has that name.
    """
    name, best = search.job.name, chosen(found)
    before = outcome(home, name)
    if before is not None and (before.about.get("sweep") or {}).get("id") != search.id:
        todo = "Give this one another with --name."
        raise InputError("another finetuned model has that name", where=name, todo=todo)
    made = outcome(search.folder, str(best.model))
    assert made is not None, "a finished trial has its model"
    sweep = {
        "id": search.id,
        "space": {field: list(values) for field, values in search.space.items()},
        "chosen": best.number,
        "trials": [trial._asdict() for trial in found],
    }
    if before is not None and before.about["sweep"] == sweep | {"tests": before.about["sweep"].get("tests")}:
        return before
    shutil.rmtree(home / name, ignore_errors=True)
    shutil.copytree(made.folder, home / name)
    about = made.about | {"name": name, "command": search.job.command, "sweep": sweep}
    write_json(home / f"{name}.json", about)
    return Outcome(home / name, about)


def _study(search: Search) -> Study:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        study_name=search.id,
        storage=JournalStorage(JournalFileBackend(str(search.folder / "trials.log"))),
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_UNPRUNED),
        load_if_exists=True,
    )


def _lacking(study: Study, search: Search) -> Iterator[Trial]:
    """First the trial that a stopped search was in, then new ones."""
    from optuna.samplers import TPESampler
    from optuna.trial import Trial, TrialState

    for begun in study.get_trials(states=(TrialState.RUNNING,)):
        yield Trial(study, begun._trial_id)
    whole = prod(map(len, search.space.values())) <= search.trials
    while (number := len(study.trials)) < search.trials:
        if whole:
            if (untried := _untried(study, search)) is None:
                return
            study.enqueue_trial(untried)
        study.sampler = TPESampler(seed=(search.job.settings.seed + number) % 2**32)
        yield study.ask()


def _untried(study: Study, search: Search) -> dict[str, int] | None:
    """The first combination of the space, as places among each setting's values, that no trial had."""
    tried = [trial.params for trial in study.trials]
    places = product(*(range(len(values)) for values in search.space.values()))
    combinations = (dict(zip(search.space, place, strict=True)) for place in places)
    return next((one for one in combinations if one not in tried), None)


def _run(study: Study, trial: Trial, search: Search, say: Callable[[str], None]) -> None:
    from optuna import TrialPruned
    from optuna.trial import TrialState

    picked = {
        name: values[trial.suggest_categorical(name, list(range(len(values))))]
        for name, values in search.space.items()
    }
    trial.set_user_attr("settings", picked)
    told = ", ".join(f"{name}={value}" for name, value in picked.items())
    say(f"trial {trial.number + 1} of {search.trials}: {told}")

    job = search.trial(picked)

    def watch(found: Evaluation) -> None:
        # Evaluations of equal share of an epoch are compared, whatever the size of the batches.
        share = round(found.epoch * job.settings.evaluations)
        known = study.trials[trial.number].intermediate_values
        if not found.step or share in known:  # the last one before it was stopped may come again
            return
        trial.report(found.recall, share)
        trial.set_user_attr("recall", max(found.recall, trial.user_attrs.get("recall", 0.0)))
        if trial.should_prune():
            raise TrialPruned

    try:
        made = finetune(job, search.folder, watch).outcome
    except TrialPruned:
        shutil.rmtree(job.checkpoints)
        study.tell(trial, state=TrialState.PRUNED)
        say("stopped: worse than the median")
    except InputError as error:  # a loss that did not fall, or a batch that cannot be filled
        shutil.rmtree(job.checkpoints, ignore_errors=True)
        trial.set_user_attr("why", error.problem)
        study.tell(trial, state=TrialState.FAIL)
        say(f"failed: {error.problem}")
    else:
        best = next(e for e in made.about["evaluations"] if e["step"] == made.about["steps"]["best"])
        trial.set_user_attr("loss", best["loss"])
        trial.set_user_attr("recall", best["recall"])
        trial.set_user_attr("model", made.name)
        study.tell(trial, best["recall"])
        say(f"development recall@10 {best['recall']:.4f}, loss {best['loss']:.4f}")


def _account(trial: FrozenTrial) -> Tried:
    states = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
    of = trial.user_attrs
    return Tried(
        number=trial.number,
        settings=of.get("settings", {}),
        state=states[trial.state.name],
        recall=of.get("recall"),
        loss=of.get("loss"),
        why=of.get("why"),
        model=of.get("model"),
    )
