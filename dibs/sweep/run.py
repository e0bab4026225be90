"""The stage of a sweep: encode once, score every configuration, choose, and leave one record of it all."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dibs.encoders.base import Encoder, Role
from dibs.encoders.embed import embed_together
from dibs.encoders.pooled import passes
from dibs.evaluate import Work, evaluate, how_made, stated
from dibs.files import digest
from dibs.progress import track
from dibs.records import QUERIES, RUN, SCORES, Record, making, record_folder, table_bytes, write_record
from dibs.retrieval.base import Cost, Retriever, Search
from dibs.retrieval.dense import DenseRetriever
from dibs.retrieval.run import read_run
from dibs.scoring.levels import score_main
from dibs.scoring.measures import Measure, Values
from dibs.scoring.split import Split, split
from dibs.scoring.statistics import SEED
from dibs.sweep.choose import Choice, choose
from dibs.sweep.grid import Changes
from dibs.workspace import Workspace


@dataclass(frozen=True)
class Configuration:
    """One way to run the model."""

    changes: Changes
    retriever: Retriever
    distance: float
    """From the model's own card: of equally good configurations the nearest is chosen."""
    command: str
    """The command that gives it a record of its own."""


@dataclass(frozen=True)
class Sweep:
    """Configurations of one model on one task, and how its queries are split."""

    name: str
    """The model's, as the user wrote it."""
    base: Work
    """The model as its card says: the first configuration."""
    configurations: tuple[Configuration, ...]
    share: float = 0.5
    """Of the clusters of queries: those that choose."""
    seed: int = SEED
    command: str = ""
    """The command that does this sweep again."""

    @cached_property
    def clusters(self) -> list[str] | None:
        field = self.base.task.cluster
        return self.base.dataset.query_field(field) if field else None

    @cached_property
    def split(self) -> Split:
        """Which queries choose.

        Raises:
            InputError: the share is not one, or the queries cannot be split.
        """
        return split(self.base.dataset.query_ids, self.clusters, self.share, self.seed)

    def inputs(self) -> dict[str, Any]:
        """Everything that the sweep depends on; its hash is the record's name."""
        return {
            "kind": "sweep",
            **self.base.inputs(),
            "measures": [str(measure) for measure in self.base.measures],
            "main_measure": self.base.task.main_measure,
            "split": {"share": self.share, "seed": self.seed, "cluster": self.base.task.cluster},
            "configurations": [
                {"changes": one.changes, "settings_sha256": digest(one.retriever.settings())}
                for one in self.configurations
            ],
        }


@dataclass(frozen=True)
class Swept:
    """A sweep's record, and whether it was there already."""

    record: Record
    reused: bool


def sweep(work: Sweep, workspace: Workspace) -> Swept:
    """The record of `work`: the one on disk if it is whole, else a new one.

    The vectors that all configurations need are made first, each pass over the texts once. The
    configurations have no records of their own; a part of a hybrid has.
    """
    inputs = work.inputs()
    for weakness in work.split.weaknesses():
        warnings.warn(weakness, stacklevel=2)
    pipeline = f"sweep {work.name}"
    record = Record(record_folder(workspace.results, work.base.task.name, pipeline, inputs))
    if record.finished:
        if not (faults := record.faults()):
            return Swept(record, True)
        warnings.warn(f"{record.name}: {'; '.join(faults)}; it is made anew", stacklevel=2)
    with making(record.folder, workspace.cache):
        found = Record(record.folder)  # another process may have made it, while this one waited
        if found.finished and not found.faults():
            return Swept(found, True)
        return Swept(_made(work, workspace, record, inputs), False)


def _made(work: Sweep, workspace: Workspace, record: Record, inputs: dict[str, Any]) -> Record:
    cost = _encode(work, workspace)
    values = list(_scored(work, workspace))
    main = Measure.parse(work.base.task.main_measure)
    table = np.column_stack([found[main] for found in values])
    distances = [one.distance for one in work.configurations]
    choice = choose(table, work.split.development, work.clusters, distances)
    manifest = how_made(work.base, inputs, cost, {}) | stated(work.base)
    manifest |= {"kind": "sweep", "pipeline": f"sweep {work.name}", "command": work.command}
    files = {
        SCORES: (json.dumps(_scores(work, values, choice), indent=2) + "\n").encode(),
        QUERIES: table_bytes(_columns(work, table)),
    }
    return write_record(record.folder, manifest, files)


def _encode(work: Sweep, workspace: Workspace) -> Cost:
    """Put all vectors into the store, those of one pass together."""
    found = (_encoder(one.retriever) for one in work.configurations)
    encoders = [encoder for encoder in found if encoder is not None]
    dataset, template = work.base.dataset, work.base.task.template(work.base.template)
    encoded: dict[Role, int] = {"document": 0, "query": 0}
    seconds: dict[Role, float] = {"document": 0.0, "query": 0.0}
    for role in encoded:
        for together in passes(encoders, role):
            texts = dataset.document_texts(template) if role == "document" else dataset.query_texts()
            total = dataset.info.documents if role == "document" else dataset.info.queries
            done = embed_together(together, role, texts, total, workspace.vectors)[0]
            encoded[role] += done.encoded
            seconds[role] += done.seconds
    return Cost(
        encode_documents=seconds["document"],
        encode_queries=seconds["query"],
        documents_encoded=encoded["document"],
        queries_encoded=encoded["query"],
        documents_cut=None,
        queries_cut=None,
        billed_tokens=sum(getattr(encoder, "billed_tokens", None) or 0 for encoder in encoders) or None,
        usd=sum(getattr(encoder, "usd", None) or 0 for encoder in encoders) or None,
    )


def _encoder(retriever: Retriever) -> Encoder | None:
    inner = getattr(retriever, "retriever", retriever)  # MTEB's tasks wrap it
    return inner.encoder if isinstance(inner, DenseRetriever) else None


def _scored(work: Sweep, workspace: Workspace) -> Iterator[dict[Measure, Values]]:
    """Each configuration's measures of every query."""
    base, dataset = work.base, work.base.dataset
    parts = [evaluate(part, workspace).record for part in base.parts]
    runs = [read_run(part.folder / RUN, dataset.query_ids) for part in parts]
    search = Search(dataset, base.task.template(base.template), workspace.cache, runs)
    with track("Sweeping", len(work.configurations), "configurations") as advance:
        for one in work.configurations:
            run = one.retriever.search(search, base.depth).run
            yield score_main(run, base.task, dataset, base.measures)
            advance(1)


def _scores(work: Sweep, values: list[dict[Measure, Values]], choice: Choice) -> dict[str, Any]:
    development, ids = work.split.development, np.array(work.base.dataset.query_ids)
    return {
        "split": {
            **work.inputs()["split"],
            "development": {"queries": work.split.queries[0], "clusters": work.split.clusters[0]},
            "held_out": {"queries": work.split.queries[1], "clusters": work.split.clusters[1]},
            "development_sha256": digest(sorted(ids[development].tolist())),
        },
        "default": 0,
        "chosen": choice.chosen,
        "hindsight": choice.hindsight,
        "optimism": choice.optimism,
        "chosen_less_default": asdict(choice.against_default),
        "interval": work.base.scoring()["interval"] | {"cluster": work.base.task.cluster},
        "configurations": [
            {
                "changes": one.changes,
                "command": one.command,
                "development": _means(found, development),
                "held_out": _means(found, ~development),
                "held_out_interval": estimate.as_dict(),
            }
            for one, found, estimate in zip(work.configurations, values, choice.held_out, strict=True)
        ],
    }


def _means(values: dict[Measure, Values], chosen: np.ndarray) -> dict[str, float]:
    return {str(measure): float(column[chosen].mean()) for measure, column in values.items()}


def _columns(work: Sweep, table: Values) -> dict[str, Any]:
    """One row a query: its cluster, its half, and each configuration's main measure under its number."""
    columns: dict[str, Any] = {"query_id": work.base.dataset.query_ids}
    if work.clusters is not None:
        columns["cluster"] = work.clusters
    columns["development"] = work.split.development.tolist()
    return columns | {str(place): table[:, place].tolist() for place in range(table.shape[1])}
