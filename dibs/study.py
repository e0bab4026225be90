"""A study: one file that says which models, rerankers and generators are measured on which tasks."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from dibs.errors import InputError
from dibs.toml import read_toml, validated


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Retrieval(_Strict):
    """Every model on every task, without a reranker and with each."""

    tasks: tuple[str, ...] = Field(min_length=1)
    models: tuple[str, ...] = Field(min_length=1)
    """As `dibs run --model` takes them: base and finetuned ones, hybrids with `+`."""
    rerankers: tuple[str, ...] = ()
    candidates: str | None = None
    """Of the rerankers; several, such as `10,30,100`, give a curve."""
    options: str = ""
    """Further options of `dibs run`."""


class Answers(_Strict):
    """Every generator on the runs of some pipelines, each judged."""

    tasks: tuple[str, ...] = Field(min_length=1)
    pipelines: tuple[str, ...] = Field(min_length=1)
    """As the folders in `results/TASK/` are called."""
    generators: tuple[str, ...] = Field(min_length=1)
    judge: str = "rules"
    options: str = ""
    """Further options of `dibs rag`, such as `--controls --queries 30`."""


class Study(_Strict):
    """What a study file says."""

    name: str
    retrieval: tuple[Retrieval, ...] = ()
    answers: tuple[Answers, ...] = ()


@dataclass(frozen=True)
class Step:
    """One command of a study, without `dibs` before it."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(("dibs", *self.words))


def read_study(path: Path) -> Study:
    """The study in a TOML file.

    Raises:
        InputError: not readable, not TOML, or a field is wrong; file and field are named.
    """
    todo = "A study has a name, and parts [[retrieval]] and [[answers]]; see the guide."
    study = validated(Study, read_toml(path), str(path), todo)
    try:
        list(steps(study))
    except ValueError as error:  # of shlex
        raise InputError(f"options: {error}", where=str(path), todo="Close the quotation.") from None
    if not study.retrieval and not study.answers:
        raise InputError("the study has no part", where=str(path), todo="Add [[retrieval]] or [[answers]].")
    return study


def steps(study: Study) -> Iterator[Step]:
    """The study's commands in an order that each finds what it needs: runs first, then answers from them.

    Commands that would be equal come once.
    """
    yield from dict.fromkeys([*_runs(study), *_answers(study)])


def _runs(study: Study) -> Iterator[Step]:
    for part in study.retrieval:
        for task in part.tasks:
            for model in part.models:
                base = ("run", "--model", model, "--task", task, *shlex.split(part.options))
                yield Step(base)
                for reranker in part.rerankers:
                    chosen = ("--candidates", part.candidates) if part.candidates else ()
                    yield Step((*base, "--reranker", reranker, *chosen))


def _answers(study: Study) -> Iterator[Step]:
    for part in study.answers:
        for task in part.tasks:
            runs = [word for pipeline in part.pipelines for word in ("--retrieval", f"{task}/{pipeline}")]
            for generator in part.generators:
                judged = ("--generator", generator, "--judge", part.judge)
                yield Step(("rag", *runs, *judged, *shlex.split(part.options)))
