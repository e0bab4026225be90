"""What a user wants tried, and the configurations that come of it."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from dibs import resolve
from dibs.cards.model import ModelCard
from dibs.choices import Choices, setting
from dibs.errors import InputError
from dibs.evaluate import Work
from dibs.retrieval.hybrid import FUSIONS, HybridRetriever
from dibs.scoring.statistics import SEED
from dibs.sweep.grid import Changes, grid, simplex
from dibs.sweep.run import Configuration, Sweep
from dibs.workspace import Workspace

_PROMPT = "query_prompt"
_STEPS = 11


@dataclass(frozen=True)
class Trials:
    """The options of `dibs sweep` that say what is tried, and on which queries."""

    over: tuple[str, ...] = ()
    """Fields of the card with the values to try, each as `field=value,value`."""
    prompts: tuple[str, ...] = ()
    """Query prompts to try."""
    weights: int | None = None
    """Steps of a hybrid's weights."""
    fusion: str | None = None
    """Ways to fuse a hybrid, with commas between."""
    share: float = 0.5
    seed: int = SEED

    def fields(self) -> dict[str, list[Any]]:
        """The values to try by the card's field.

        Raises:
            InputError: an option is not of the form field=value,value, or a field comes twice.
        """
        found: dict[str, list[Any]] = {}
        for text in self.over:
            field, equals, values = (part.strip() for part in text.partition("="))
            if not equals or not field or not values:
                problem = f"--over {text}: is not of the form field=value,value"
                raise InputError(problem, todo="Such as --over pooling=mean,cls,last.")
            if field in found or (field == _PROMPT and self.prompts):
                raise InputError(f"--over {text}: {field} is given twice", todo="Give all its values once.")
            found[field] = _values(field, values)
        return found | ({_PROMPT: list(self.prompts)} if self.prompts else {})

    def options(self) -> Iterator[str]:
        """The words of a command that say the same again."""
        for text in self.over:
            yield from ("--over", text)
        for prompt in self.prompts:
            yield from ("--query-prompt", prompt)
        for name, value, usual in (
            ("weights", self.weights, None),
            ("fusion", self.fusion, None),
            ("development", self.share, 0.5),
            ("seed", self.seed, SEED),
        ):
            if value != usual:
                yield from (f"--{name}", str(value))


def planned(model: str, task_name: str, trials: Trials, choices: Choices, place: Workspace) -> Sweep:
    """The sweep of a model or a hybrid.

    Raises:
        InputError: an option does not fit the model; MissingError: the model or the data is not here.
    """
    task = resolve.task(task_name, place)
    base = resolve.work(model, task, choices, place)
    if base.parts:
        configurations = tuple(_hybrids(model, base, trials, choices))
    else:
        configurations = tuple(_cards(model, task, base, trials, choices, place))
    return Sweep(
        name="+".join(map(resolve.card_name, model.split("+"))),
        base=replace(base, retriever=configurations[0].retriever),
        configurations=configurations,
        share=trials.share,
        seed=trials.seed,
        command=_command(model, task_name, trials, choices),
    )


def _cards(
    model: str, task: resolve.Task, base: Work, trials: Trials, choices: Choices, place: Workspace
) -> Iterator[Configuration]:
    """The card with some fields set anew; all encoders share what they load."""
    fields = trials.fields()
    if trials.weights is not None or trials.fusion is not None:
        raise InputError("--weights and --fusion are for hybrids, such as bm25+all-MiniLM-L6-v2", where=model)
    if not fields:
        raise InputError("nothing is to be tried", todo="Such as --over pooling=mean,cls,last.")
    if not isinstance(base.model, ModelCard) or base.model.adapter == "mteb":
        raise InputError("a model of MTEB's registry has no card whose fields could be tried", where=model)
    context = resolve.context(task, choices, place)
    given = choices.fields()
    for changes in grid(fields, base.model.model_dump()):
        card = _changed(base.model, changes)
        settings = tuple(setting(field, value) for field, value in (given | changes).items())
        command = replace(choices, settings=settings).command(model, task.card.name)
        yield Configuration(changes, resolve.pipeline(card, task, context), len(changes), command)


def _changed(card: ModelCard, changes: Changes) -> ModelCard:
    try:
        return card.with_settings(changes)
    except InputError as error:
        tried = ", ".join(f"{field}={value}" for field, value in changes.items())
        raise InputError(error.problem, where=f"--over {tried}", todo=error.todo) from None


def _hybrids(model: str, base: Work, trials: Trials, choices: Choices) -> Iterator[Configuration]:
    """Weights and ways to fuse; first as the hybrid is without a choice, equal weights of ranks."""
    if trials.over or trials.prompts:
        raise InputError(
            "a hybrid's parts have cards of their own",
            where=model,
            todo="Sweep each part alone, then the weights.",
        )
    ways = (trials.fusion or ",".join(FUSIONS)).split(",")
    number = len(base.parts)
    parts = tuple(part.retriever for part in base.parts)
    tried: dict[str, list[Any]] = {
        "weights": [*simplex(number, _STEPS if trials.weights is None else trials.weights)],
        "fusion": [way.strip() for way in ways],
    }
    for changes in grid(tried, {"fusion": Choices.fusion, "weights": (round(1 / number, 4),) * number}):
        fusion, weights = changes.get("fusion", Choices.fusion), changes.get("weights")
        uneven = sum(abs(weight - 1 / number) for weight in weights or ())
        command = replace(choices, fusion=fusion, weights=weights).command(model, base.task.name)
        retriever = HybridRetriever(parts, fusion, weights)
        yield Configuration(changes, retriever, uneven + (fusion != Choices.fusion), command)


def _values(field: str, text: str) -> list[Any]:
    """Values with commas between: of TOML, else each of TOML or as plain text."""
    try:
        found: list[Any] = tomllib.loads(f"value = [{text}]")["value"]
    except tomllib.TOMLDecodeError:
        parts = (part.strip() for part in text.split(","))
        found = [Choices(settings=(f"{field}={part}",)).fields()[field] for part in parts]
    return found


def _command(model: str, task: str, trials: Trials, choices: Choices) -> str:
    _, _, *words = shlex.split(choices.command(model, task))
    return shlex.join(["dibs", "sweep", *words, *trials.options()])
