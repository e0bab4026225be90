from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dibs.cards.model import ModelCard
from dibs.errors import InputError
from dibs.evaluate import Work
from dibs.files import write_json
from dibs.training import tune as module
from dibs.training.development import Evaluation
from dibs.training.finetune import Finetuned, Job
from dibs.training.optimism import optimism
from dibs.training.outcome import Outcome, outcome
from dibs.training.settings import Settings
from dibs.training.tune import Search, Tried, adopt, chosen, tune
from tests.encoders.local_models import card, make_model
from tests.toys import FixedRetriever, make_dataset
from tests.training.small_pairs import small_pairs

for needed in ("accelerate", "optuna"):
    pytest.importorskip(needed)

RECALLS = {1: 0.5, 2: 0.9, 3: 0.7}
"""The development recall that a stand-in for training finds, by the epochs."""


class Stop(Exception):
    pass


class Training:
    """Stands in for `finetune`: writes a folder, and reports one evaluation an epoch."""

    def __init__(self) -> None:
        self.trained: list[Settings] = []
        self.stop_at: int | None = None

    def __call__(self, job: Job, home: Path, watch: Any) -> Finetuned:
        if (found := outcome(home, job.name)) is not None:
            return Finetuned(found, True)
        self.trained.append(job.settings)
        if len(self.trained) == self.stop_at:
            raise Stop
        if job.settings.learning_rate > 1:
            raise InputError("the loss did not fall")
        recall = RECALLS[job.settings.epochs]
        job.checkpoints.mkdir(parents=True, exist_ok=True)
        for epoch in range(job.settings.epochs + 1):
            watch(Evaluation(10 * epoch, float(epoch), recall if epoch else 0.1, 1.0, ()))
        (home / job.name).mkdir(parents=True)
        about = {
            "name": job.name,
            "evaluations": [{"step": 10, "recall": recall, "loss": 1.0}],
            "steps": {"best": 10},
            "settings": job.settings.as_dict(),
            "development": {"improved": True},
            "pairs": {"train": 16, "name": "small"},
            "prompts": {"query": "", "document": ""},
        }
        write_json(home / f"{job.name}.json", about)
        return Finetuned(Outcome(home / job.name, about), False)


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Training:
    found = Training()
    monkeypatch.setattr(module, "finetune", found)
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return card(make_model(tmp_path_factory.mktemp("base")))


def search(base: ModelCard, cache: Path, trials: int = 6, **space: Any) -> Search:
    job = Job("best", base, small_pairs(), Settings(batch_size=4, evaluations=1), cache)
    return Search(job, space or {"epochs": (1, 2, 3), "temperature": (0.02, 0.05)}, trials)


def test_the_best_on_development_is_chosen_and_kept(
    base: ModelCard, training: Training, tmp_path: Path
) -> None:
    wanted = search(base, tmp_path)
    found = tune(wanted)
    assert [trial.number for trial in found] == list(range(6))
    best = chosen(found)
    assert best.recall == max(trial.recall or 0 for trial in found)
    kept = adopt(wanted, found, tmp_path / "finetuned")
    assert kept.folder == tmp_path / "finetuned" / "best"
    assert kept.about["settings"]["epochs"] == best.settings["epochs"]
    assert kept.about["sweep"]["chosen"] == best.number
    assert len(json.loads((tmp_path / "finetuned" / "best.json").read_text())["sweep"]["trials"]) == 6
    assert outcome(tmp_path / "finetuned", "best") == kept


def test_equal_settings_are_trained_once_and_a_search_is_not_made_again(
    base: ModelCard, training: Training, tmp_path: Path
) -> None:
    found = tune(search(base, tmp_path))
    assert len(training.trained) == len(set(training.trained)) <= 6
    before = len(training.trained)
    assert tune(search(base, tmp_path)) == found
    assert len(training.trained) == before
    assert tune(search(base, tmp_path, trials=8))[:6] == found


@pytest.mark.parametrize("first", [1, 4, 6, 9])
def test_a_space_no_larger_than_the_trials_is_tried_whole(
    base: ModelCard, training: Training, tmp_path: Path, first: int
) -> None:
    tune(search(base, tmp_path, trials=first))
    found = tune(search(base, tmp_path, trials=20))
    settings = [(trial.settings["epochs"], trial.settings["temperature"]) for trial in found]
    assert set(settings) == {(epochs, heat) for epochs in (1, 2, 3) for heat in (0.02, 0.05)}
    if first >= 6:
        assert len(settings) == 6


def test_a_search_that_was_stopped_goes_on_as_if_it_was_not(
    base: ModelCard, training: Training, tmp_path: Path
) -> None:
    whole = tune(search(base, tmp_path / "one"))
    training.trained.clear()
    training.stop_at = 2
    with pytest.raises(Stop):
        tune(search(base, tmp_path / "two"))
    training.stop_at = None
    found = tune(search(base, tmp_path / "two"))
    assert training.trained[1] == training.trained[2]
    assert [trial.settings for trial in found] == [trial.settings for trial in whole]


def test_a_trial_worse_than_the_median_is_stopped_and_leaves_nothing(
    base: ModelCard, training: Training, tmp_path: Path
) -> None:
    found = tune(search(base, tmp_path, trials=14, epochs=(1, 2, 3), learning_rate=(1e-5, 2e-5, 3e-5, 4e-5)))
    pruned = [trial for trial in found if trial.state == "pruned"]
    assert pruned
    assert all(trial.number >= 4 and trial.model is None for trial in pruned)
    assert all((trial.recall or 0) < 0.9 for trial in pruned)


def test_a_trial_that_fails_is_said_why(base: ModelCard, training: Training, tmp_path: Path) -> None:
    said: list[str] = []
    found = tune(search(base, tmp_path, learning_rate=(1e-5, 2.0)), said.append)
    failed = [trial for trial in found if trial.state == "failed"]
    assert failed
    assert {trial.why for trial in failed} == {"the loss did not fall"}
    assert "failed: the loss did not fall" in said
    with pytest.raises(InputError, match=r"not one of 1 trials was finished: the loss did not fall"):
        tune(search(base, tmp_path, trials=2, learning_rate=(2.0,)))


def test_of_equally_good_trials_the_one_of_less_loss_then_the_first_is_chosen() -> None:
    rows = [(0, 0.5, 1.0), (1, 0.6, 0.9), (2, 0.6, 0.8), (3, 0.6, 0.8)]
    made = [Tried(number, {}, "complete", recall, loss, None, "m") for number, recall, loss in rows]
    pruned = Tried(4, {}, "pruned", 0.9, None, None, None)
    assert chosen([*made, pruned]).number == 2


def test_another_model_of_that_name_is_refused(base: ModelCard, training: Training, tmp_path: Path) -> None:
    wanted = search(base, tmp_path, trials=1)
    found = tune(wanted)
    (tmp_path / "finetuned" / "best").mkdir(parents=True)
    write_json(tmp_path / "finetuned" / "best.json", {"inputs": {}})
    with pytest.raises(InputError, match="another finetuned model has that name"):
        adopt(wanted, found, tmp_path / "finetuned")


def test_the_optimism_is_what_choosing_on_the_test_would_have_claimed(
    base: ModelCard, training: Training, tmp_path: Path
) -> None:
    wanted = search(base, tmp_path, trials=12, epochs=(1, 2))
    found = [trial for trial in tune(wanted) if trial.state == "complete"]
    data = make_dataset(tmp_path / "data", {"a": "x", "b": "y"}, {"q1": "one", "q2": "two"})
    caches: dict[str, list[Path]] = {}

    def make(model: ModelCard) -> Work:
        from dibs.cards.task import Source, TaskCard

        task = TaskCard(
            name="Tiny", description="", source=Source(kind="beir"), licence="", citation="",
            measures=("recall@1",), main_measure="recall@1",
        )  # fmt: skip
        two_epochs = json.loads(Path(f"{model.model}.json").read_text())["settings"]["epochs"] == 2
        first = {"q1": {"a": 1.0}, "q2": {"b" if two_epochs else "a": 1.0}}
        retriever = FixedRetriever(first)
        caches[str(model.model)] = retriever.caches
        return Work(task, data, retriever, model)

    told = optimism(wanted, found, {"Tiny": make})["Tiny"]
    kept = {model for model, used in caches.items() if used == [wanted.job.cache]}
    assert kept == {str(wanted.folder / str(chosen(found).model))}
    assert (told["chosen"], told["best"], told["optimism"]) == (0.5, 1.0, 0.5)
    best = next(trial for trial in found if trial.number == told["best_trial"])
    assert best.settings["epochs"] == 1
    assert optimism(wanted, found, {"Tiny": make})["Tiny"] == told


@pytest.mark.parametrize(
    "space",
    [
        {"colour": (1,)},
        {"seed": (1, 2)},
        {"batch_size": (0,)},
        {"learning_rate": ("much",)},
        {"pooling": ("max",)},
        {"batch_size": (8.5,)},
    ],
)
def test_what_cannot_be_tried_is_refused(base: ModelCard, tmp_path: Path, space: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        search(base, tmp_path, **space)


def test_no_trials_and_nothing_to_try_are_refused(base: ModelCard, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 trials"):
        search(base, tmp_path, trials=0)
    with pytest.raises(InputError, match="nothing is to be tried"):
        replace(search(base, tmp_path), space={})
