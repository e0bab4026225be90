"""One pipeline on one task: retrieve, score, and leave a record; what is recorded is not done again."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from dibs.cards.model import ModelCard, RerankerCard
from dibs.cards.mteb_names import mteb_data, mteb_task_name
from dibs.cards.task import TaskCard
from dibs.data.dataset import Dataset, check_files
from dibs.data.prepare import shortfall
from dibs.files import digest, slug
from dibs.provenance import git, hardware, versions
from dibs.records import (
    MTEB,
    QUERIES,
    RUN,
    SCORES,
    Record,
    making,
    record_folder,
    table_bytes,
    write_record,
    writing,
)
from dibs.retrieval.base import Cost, Retriever, Search
from dibs.retrieval.run import Run, read_run, write_run
from dibs.scoring.levels import Level, levels_of, main_level
from dibs.scoring.measures import Measure, Values, parse_measures, score
from dibs.scoring.statistics import LEVEL, RESAMPLES, SEED, estimate
from dibs.workspace import Workspace

DEPTH = 100
"""Documents kept for each query, or more where a measure asks for it."""
_UNSEEN: dict[str, Any] = {"source": {"path"}, "answers": True, "redistributable": True}
"""Fields of a task's card that a retrieval does not depend on."""


@dataclass(frozen=True)
class Work:
    """A pipeline and the task it is to be measured on."""

    task: TaskCard
    dataset: Dataset
    retriever: Retriever
    model: ModelCard | RerankerCard
    template: str | None = None
    """The name of one of the task's document templates; None is the default one."""
    parts: tuple[Work, ...] = ()
    """The pipelines whose stored runs this one works on: those it fuses, or the one it reranks."""
    command: str = ""
    """The command that does this work again."""
    retry_errors: bool = False
    """Do again what failed for some queries; what was scored is kept."""
    seen: frozenset[str] = frozenset()
    """Queries of which a gold document was trained on; they are scored apart, and so are the others."""

    @property
    def pipeline(self) -> str:
        return f"{self.retriever.name} ({self.template})" if self.template else self.retriever.name

    @property
    def measures(self) -> list[Measure]:
        return parse_measures(self.task.measures)

    @property
    def depth(self) -> int:
        return max(DEPTH, *(measure.k for measure in self.measures))

    def inputs(self) -> dict[str, Any]:
        """Everything that the run depends on; its hash is the record's name."""
        return {
            "task": self.task.name,
            "data": self.dataset.info.sha256,
            "template": self.task.template(self.template),
            "pipeline": self.retriever.settings(),
            "depth": self.depth,
        }

    def scoring(self) -> dict[str, Any]:
        """Everything that the scores depend on besides the run."""
        seen = {"seen": digest(sorted(self.seen))} if self.seen else {}
        levels = {"levels": list(self.task.levels)} if self.task.levels else {}
        return {
            **seen,
            **levels,
            "measures": [str(measure) for measure in self.measures],
            "main_measure": self.task.main_measure,
            "cluster": self.task.cluster,
            "split_by": self.task.split_by,
            "subsets": {name: subset.model_dump() for name, subset in self.task.subsets.items()},
            "interval": {"method": "cluster bootstrap", "level": LEVEL, "resamples": RESAMPLES, "seed": SEED},
        }


@dataclass(frozen=True)
class Done:
    """A record, and whether it was there already."""

    record: Record
    reused: bool
    parts: tuple[Done, ...] = ()
    """The records of the pipelines that this one is made of."""


def evaluate(work: Work, workspace: Workspace) -> Done:
    """The record of `work`: the one on disk if it is whole, else a new one.

    The pipelines it is made of come first, each with a record of its own. A record whose run is whole
    and whose scores were made by other rules is scored anew from its run.
    """
    parts = tuple(evaluate(part, workspace) for part in work.parts)
    inputs = work.inputs()
    folder = record_folder(workspace.results, work.task.name, work.pipeline, inputs)
    if _stands(work, Record(folder)):
        return Done(Record(folder), True, parts)
    with making(folder, workspace.cache):
        return _made(work, workspace, Record(folder), parts)


def _stands(work: Work, record: Record) -> bool:
    """Whether the record is there, whole, and says what it would say now."""
    if not record.finished or record.faults():
        return False
    manifest = record.manifest
    again = work.retry_errors and manifest["about"].get("failed")
    return not again and all(manifest.get(key) == value for key, value in stated(work).items())


def _made(work: Work, workspace: Workspace, record: Record, parts: tuple[Done, ...]) -> Done:
    """The record, made by this process or, while it waited, by another."""
    if _stands(work, record):
        return Done(record, True, parts)
    if record.finished:
        if faults := record.faults():
            warnings.warn(f"{record.name}: {'; '.join(faults)}; it is made anew", stacklevel=2)
        elif work.retry_errors and record.manifest["about"].get("failed"):
            pass
        else:
            run = read_run(record.folder / RUN, work.dataset.query_ids)
            return Done(_write(work, record, run, record.manifest), True, parts)
    check_files(work.dataset)
    _subsets(work)  # a card that does not fit the queries is said before the work, not after
    runs = [read_run(part.record.folder / RUN, work.dataset.query_ids) for part in parts]
    template = work.task.template(work.template)
    retrieved = work.retriever.search(Search(work.dataset, template, workspace.cache, runs), work.depth)
    with writing(record.folder):
        write_run(retrieved.run, record.folder / RUN, slug(work.pipeline))
    manifest = how_made(work, work.inputs(), retrieved.cost, retrieved.about)
    return Done(_write(work, record, retrieved.run, manifest), False, parts)


def _write(work: Work, record: Record, run: Run, manifest: dict[str, Any]) -> Record:
    dataset, task = work.dataset, work.task
    if not dataset.info.qrels:  # nothing to score by; answers can still be made of the run
        return write_record(record.folder, manifest | stated(work) | {"kind": "run"}, {})
    levels = levels_of(run, task, dataset, work.depth) if task.levels else {}
    main = main_level(levels, dataset.info.queries) if levels else None
    scored, qrels = (run, dataset.qrels) if main is None else (main.run, main.qrels)
    values = score(scored, {query: qrels[query] for query in dataset.query_ids}, work.measures)
    subsets = _subsets(work)
    clusters = np.array(dataset.query_field(task.cluster)) if task.cluster else None
    scores = {
        "subsets": {name: _subset(values, chosen, clusters) for name, chosen in subsets.items()},
        "interval": work.scoring()["interval"] | {"cluster": task.cluster},
    }
    if main is not None:
        told = {name: _level(work, level, clusters) for name, level in levels.items()}
        scores |= {"level": main.name, "levels": told}
    columns: dict[str, Any] = {"query_id": dataset.query_ids}
    if clusters is not None:
        columns["cluster"] = clusters.tolist()
    if task.split_by:
        columns["split"] = dataset.query_field(task.split_by)
    columns |= {f"in:{name}": chosen.tolist() for name, chosen in subsets.items() if name != "all"}
    columns |= {str(measure): column.tolist() for measure, column in values.items()}
    files = {
        SCORES: (json.dumps(scores, indent=2) + "\n").encode(),
        QUERIES: table_bytes(columns),
        MTEB: (json.dumps(_mteb(work, values, manifest), indent=2) + "\n").encode(),
    }
    return write_record(record.folder, manifest | stated(work), files)


def stated(work: Work) -> dict[str, Any]:
    """What a manifest says of the task as its card and data now are, whatever the run was made with."""
    info = work.dataset.info
    return {
        "task": work.task.model_dump(mode="json", exclude_defaults=True, exclude=_UNSEEN),
        "data": {
            "sha256": info.sha256,
            "queries": info.queries,
            "documents": info.documents,
            "empty_documents": info.empty_documents,
            "duplicate_documents": info.duplicate_documents,
            "lacking": shortfall(work.task, work.dataset),
            "notes": info.notes,
        },
        "scoring": work.scoring(),
    }


def _subsets(work: Work) -> dict[str, np.ndarray]:
    """Which queries each subset has, (n,) truth values.

    Raises:
        InputError: the card names a field that the queries lack.
    """
    dataset, task = work.dataset, work.task
    for field in filter(None, (task.cluster, task.split_by)):
        dataset.query_field(field)
    subsets = {"all": np.ones(dataset.info.queries, dtype=bool)}
    for name, subset in task.subsets.items():
        chosen = np.array([found == subset.value for found in dataset.query_field(subset.field)])
        if chosen.any():
            subsets[name] = chosen
        else:
            lacking = f"no query has {subset.field} = {subset.value!r}"
            warnings.warn(f"{task.name}: the subset {name!r} is left out: {lacking}", stacklevel=3)
    if work.seen:
        seen = np.array([query in work.seen for query in dataset.query_ids])
        subsets |= {name: part for name, part in (("seen", seen), ("unseen", ~seen)) if part.any()}
    return subsets


def _subset(values: dict[Measure, Values], chosen: np.ndarray, clusters: np.ndarray | None) -> dict[str, Any]:
    table = np.column_stack([column[chosen] for column in values.values()])
    estimates = estimate(table, None if clusters is None else clusters[chosen].tolist())
    measures = {str(measure): found.as_dict() for measure, found in zip(values, estimates, strict=True)}
    return {"n_queries": int(chosen.sum()), "measures": measures}


def _level(work: Work, level: Level, clusters: np.ndarray | None) -> dict[str, Any]:
    """A level's measures, of the queries that have gold there; None where none has."""
    measures, short = None, {}
    if level.qrels:
        chosen = np.array([query in level.qrels for query in work.dataset.query_ids])
        values = score(level.run, level.qrels, work.measures)
        table = np.column_stack(list(values.values()))
        estimates = estimate(table, None if clusters is None else clusters[chosen].tolist())
        measures = {str(name): found.as_dict() for name, found in zip(values, estimates, strict=True)}
        short = {str(name): count for name in values if (count := level.short(name.k))}
    return {"units": level.units, "n_queries": len(level.qrels), "measures": measures, "short": short}


def how_made(work: Work, inputs: dict[str, Any], cost: Cost, about: dict[str, Any]) -> dict[str, Any]:
    """How the run was made; what is said of the task and its scores is added when they are written."""
    return {
        "pipeline": work.pipeline,
        "inputs": inputs,
        "model": _without_folder(work.model).model_dump(mode="json", exclude_defaults=True),
        "cost": asdict(cost),
        "about": about,
        "command": work.command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "hardware": hardware(),
        "git": git(),
    }


def _without_folder(model: ModelCard | RerankerCard) -> ModelCard | RerankerCard:
    """The card without where on this machine its weights lie; the inputs have their hash."""
    if model.model is None or not Path(model.model).is_absolute():
        return model
    return model.model_copy(update={"model": Path(model.model).name})


def _mteb(work: Work, values: dict[Measure, Values], manifest: dict[str, Any]) -> dict[str, Any]:
    """The scores in the layout of MTEB's result files, which `mteb.ResultCache` loads."""
    means = {measure.mteb_name: round(float(column.mean()), 6) for measure, column in values.items()}
    main = Measure.parse(work.task.main_measure).mteb_name
    mteb_version = version("mteb")
    data = mteb_data(work.task, work.dataset.info.sha256, work.template)
    scores = means | {
        "main_score": means[main],
        "hf_subset": data.subset,
        "languages": [work.task.language],
        "mteb_version": mteb_version,
    }
    cost = manifest["cost"]
    seconds = sum(cost[part] for part in ("encode_documents", "encode_queries", "index", "search"))
    return {
        "dataset_revision": data.revision,
        "task_name": mteb_task_name(work.task.name),
        "mteb_version": mteb_version,
        "scores": {"test": [scores]},
        "evaluation_time": seconds,
        "kg_co2_emissions": None,
    }
