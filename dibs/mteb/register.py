"""Our names in MTEB's registries, which MTEB keeps private; objects work without any of this."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, TypeVar, overload

import mteb
from mteb.abstasks import AbsTask

from dibs.cards.model import ModelCard
from dibs.cards.task import TaskCard
from dibs.errors import DibsError
from dibs.mteb.models import registry_meta
from dibs.mteb.tasks import DibsTask, mteb_task_class
from dibs.workspace import Workspace

TESTED = "2.26.24"
BENCHMARK = "DIBS"

Card = TypeVar("Card", TaskCard, ModelCard)


@dataclass(frozen=True)
class _Registries:
    """Where MTEB looks names up."""

    tasks_module: Any
    """Has `TASK_LIST`, a tuple of classes that `get_tasks` filters."""
    tasks: dict[str, type[AbsTask]]
    models: dict[str, Any]
    benchmarks: Any
    """The module whose `Benchmark` objects are the benchmarks."""
    forget_benchmarks: tuple[Callable[[], None], ...]


def register(workspace: Workspace | None = None) -> None:
    """Make the workspace's cards known to MTEB by name; again, to make changed cards known.

    Then `mteb.get_task("DIBSFinanceBench")`, `mteb.get_tasks(domains=["Financial"])`,
    `mteb.get_model("dibs/bm25")`, `mteb.get_benchmark("DIBS")` and MTEB's own commands find them.
    The benchmark is every released task whose size its card knows, and none of the samples. A card
    that is malformed is left out with a warning. Nothing is fetched.

    Args:
        workspace: Where the cards are; None is the one that commands use.

    Raises:
        DibsError: this version of MTEB keeps its registries elsewhere, or has a task of our name.
    """
    place = workspace or Workspace.find()
    known = _registries()
    ours: dict[str, type[DibsTask]] = {}
    for card in _readable(place.cards(TaskCard)):
        task = mteb_task_class(card, place)
        name = task.metadata.name
        if name in ours:
            raise DibsError(f"{ours[name].card.name} and {card.name} are both called {name} in MTEB")
        if name in known.tasks and not issubclass(known.tasks[name], DibsTask):
            raise DibsError(f"MTEB {version('mteb')} has a task of its own that is called {name}")
        ours[name] = task
    known.tasks.update(ours)
    others = [task for task in known.tasks_module.TASK_LIST if task.metadata.name not in ours]
    known.tasks_module.TASK_LIST = (*others, *ours.values())
    for model in _readable(place.cards(ModelCard)):
        meta = registry_meta(model, place)
        known.models[str(meta.name)] = meta
    whole = [task for task in ours.values() if _is_whole(task.card)]
    known.benchmarks.DIBS = mteb.Benchmark(
        name=BENCHMARK,
        aliases=("dibs",),
        tasks=_Tasks(whole),
        description="Retrieval in enterprises' domains: filings, makers' forums, product documentation.",
    )
    for forget in known.forget_benchmarks:
        forget()


def _is_whole(card: TaskCard) -> bool:
    """Whether the task is part of the benchmark."""
    return card.released and not card.sample and card.expect.queries is not None


class _Tasks(Sequence[AbsTask]):
    """Tasks that are made when they are asked for, and so are of the data that is then at hand."""

    def __init__(self, classes: Sequence[type[DibsTask]]) -> None:
        self._classes = classes

    def __len__(self) -> int:
        return len(self._classes)

    @overload
    def __getitem__(self, place: int) -> AbsTask: ...
    @overload
    def __getitem__(self, place: slice) -> list[AbsTask]: ...
    def __getitem__(self, place: int | slice) -> AbsTask | list[AbsTask]:
        if isinstance(place, slice):
            return [task() for task in self._classes[place]]
        return self._classes[place]()


def task_names() -> list[str]:
    """The names of every task in MTEB's registry."""
    return list(_registries().tasks)


def model_names() -> list[str]:
    """The names of every model in MTEB's registry."""
    return list(_registries().models)


def _registries() -> _Registries:
    """MTEB's registries.

    Raises:
        DibsError: they are not where they were in the version that was tested.
    """
    try:
        # `mteb.get_tasks` is a function; import_module gives the module it came from.
        tasks = importlib.import_module("mteb.get_tasks")
        models = importlib.import_module("mteb.models.model_implementations")
        benchmarks = importlib.import_module("mteb.benchmarks.benchmarks")
        lookup = importlib.import_module("mteb.benchmarks.get_benchmark")
        forget = (lookup._build_registry.cache_clear, lookup._build_aliases_registry.cache_clear)
        assert isinstance(tasks.TASK_LIST, tuple)
        return _Registries(tasks, tasks._TASKS_REGISTRY, models.MODEL_REGISTRY, benchmarks, forget)
    except (ImportError, AttributeError, AssertionError) as error:
        raise DibsError(
            f"MTEB {version('mteb')} keeps its registries elsewhere than MTEB {TESTED}: {error}",
            todo=f"Run: pip install mteb=={TESTED}. Objects work without: mteb_task(...), mteb_model(...).",
        ) from error


def _readable(cards: Iterator[Card | DibsError]) -> Iterator[Card]:
    for card in cards:
        if isinstance(card, DibsError):
            warnings.warn(f"left out of MTEB: {card}", stacklevel=3)
        else:
            yield card
