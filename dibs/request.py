"""What `dibs run` and `dibs.run` do: every model on every task, each pair a record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any, Generic, TypeVar

from dibs import resolve
from dibs.choices import Choices
from dibs.encoders.api import ApiEncoder
from dibs.errors import DibsError, InputError, of_system
from dibs.estimate import Estimate, estimates
from dibs.evaluate import Done, Work, evaluate
from dibs.llm.pending import PendingError
from dibs.llm.waiting import until_back
from dibs.workspace import Workspace

_Made = TypeVar("_Made")
_CANDIDATES = (Choices.candidates,)


@dataclass(frozen=True)
class Tried(Generic[_Made]):
    """What came of the pairs: one that fails does not lose the others."""

    made: list[_Made]
    failures: list[DibsError]


@dataclass(frozen=True)
class Request:
    """Models and tasks by their names, and what is chosen for all of them.

    Raises:
        InputError: something is chosen for a reranker, and none is named; there is no number of candidates.
    """

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    choices: Choices
    """Its `candidates` are those of `candidates` in turn."""
    candidates: tuple[int, ...] = _CANDIDATES
    """How many documents are reranked: each number gives a pipeline."""
    by: str | None = None
    """A field that the queries of every task have to have."""
    retry_errors: bool = False
    """Do again what a reranker failed on."""
    wait: bool = True
    """Stay until what is with a provider, by its batch interface, is back."""

    def __post_init__(self) -> None:
        if not self.candidates:
            raise InputError("no number of candidates is given", todo="Such as 30, or 10,30,100.")
        if self.choices.reranker is not None:
            return
        for option, given in (
            ("--candidates", self.candidates != _CANDIDATES),
            ("--top-k", self.choices.top_k is not None),
            ("--retry-errors", self.retry_errors),
        ):
            if given:
                raise InputError(f"{option} is for rerankers", todo="Name one with --reranker.")

    def run(self, place: Workspace) -> Tried[Done]:
        """Retrieve and score each pair; what is recorded is read.

        A pair that is with a provider, and is not waited for, fails with a PendingError.
        """
        started: dict[Any, Work] = {}
        return self._each(lambda model, task, choices: self._one(model, task, choices, place, started))

    def plan(self, place: Workspace) -> Tried[list[Estimate]]:
        """What each pair would encode, send and cost; nothing is done."""

        def one(model: str, task: str, choices: Choices) -> list[Estimate]:
            return list(estimates(resolve.work(model, resolve.task(task, place), choices, place), place))

        return self._each(one)

    def _each(self, do: Callable[[str, str, Choices], _Made]) -> Tried[_Made]:
        tried: Tried[_Made] = Tried([], [])
        # The largest number of candidates comes first: one pass scores what all of them need.
        curve = [
            replace(self.choices, candidates=number) for number in sorted(set(self.candidates), reverse=True)
        ]
        pairs = product(self.tasks, self.models, curve)
        steps = [partial(do, model, task, choices) for task, model, choices in pairs]
        for ended in until_back(steps, wait=self.wait):
            if isinstance(ended, DibsError):
                tried.failures.append(ended)
            else:
                tried.made.append(ended)
        return tried

    def _one(
        self, model: str, task: str, choices: Choices, place: Workspace, started: dict[Any, Work]
    ) -> Done:
        """One pair.

        Args:
            started: Work that is with a provider, which knows what it has paid so far.
        """
        pair = (model, task, choices)
        try:
            work = started.pop(pair, None) or self._work(*pair, place)
            try:
                return evaluate(work, place)
            except PendingError:
                started[pair] = work
                raise
        except OSError as error:  # a full disk for one pair is no reason to lose the others
            raise of_system(error) from None

    def _work(self, model: str, task: str, choices: Choices, place: Workspace) -> Work:
        found = resolve.task(task, place)
        if self.by is not None:
            found.dataset.query_field(self.by)  # refused before the work, not after
        work = resolve.work(model, found, choices, place, retry_errors=self.retry_errors)
        if choices.batch_api and not _has_batches(work):
            raise InputError("has no batch interface", where=model, todo="Run it without --batch-api.")
        return work


def _has_batches(work: Work) -> bool:
    encoder = getattr(work.retriever, "encoder", None)
    return isinstance(encoder, ApiEncoder) or any(map(_has_batches, work.parts))


def with_parts(done: Iterable[Done]) -> list[Done]:
    """Each record once, after those of the pipelines it is made of: a hybrid is read beside its parts."""

    def each(done: Iterable[Done]) -> Iterator[Done]:
        for one in done:
            yield from each(one.parts)
            yield one

    return list({one.record.name: one for one in each(done)}.values())
