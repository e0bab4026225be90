"""Their tasks here: MTEB's text retrieval tasks as cards and data sets of DIBS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import mteb
import pyarrow as pa
from mteb.abstasks import AbsTaskRetrieval

from dibs.cards.task import DEFAULT_MEASURES, Documents, Source, TaskCard
from dibs.data.dataset import QRELS_SCHEMA, Dataset
from dibs.data.prepare import prepared
from dibs.data.write import write_dataset
from dibs.errors import DamagedError, InputError, MissingError, unknown
from dibs.mteb.register import task_names
from dibs.mteb.tables import TEMPLATE, corpus_table, queries_table
from dibs.retrieval.base import Retrieved, Retriever, Search
from dibs.retrieval.run import Ranking, Run
from dibs.scoring.measures import KINDS
from dibs.workspace import Workspace

if TYPE_CHECKING:
    from mteb.abstasks import AbsTask
    from mteb.abstasks.task_metadata import TaskMetadata

_TYPES = ("Retrieval", "InstructionRetrieval")
_MAIN = re.compile(r"(.+)_at_([1-9][0-9]*)")


class TaskFromMteb(NamedTuple):
    """An MTEB task as DIBS has tasks."""

    card: TaskCard
    dataset: Dataset
    own_ids: int
    """Queries whose id a document has too, where MTEB leaves that document out: use WithoutOwnIds."""


@dataclass(frozen=True)
class WithoutOwnIds:
    """A retriever that leaves out a document with the query's own id, as MTEB's ArguAna or FiQA want."""

    retriever: Retriever

    @property
    def name(self) -> str:
        return self.retriever.name

    def settings(self) -> dict[str, Any]:
        return {"without": "the query's own id", **self.retriever.settings()}

    def search(self, search: Search, k: int) -> Retrieved:
        found = self.retriever.search(search, k + 1)
        rankings = {query: _without(ranking, query) for query, ranking in found.run.rankings.items()}
        return Retrieved(Run(rankings).top(k), found.cost, found.about)


def has_task(name: str) -> bool:
    """Whether MTEB has a task of that name."""
    return name in task_names()


def task_from_mteb(
    task: str | AbsTask, workspace: Workspace, *, subset: str | None = None, split: str | None = None
) -> TaskFromMteb:
    """A text retrieval task of MTEB, its data written as a data set of the workspace.

    Data of MTEB's own tasks are written once for each revision. Judgements of absent documents are
    kept, since MTEB counts them.

    Args:
        task: A name in MTEB's registry, or a task that somebody made.
        subset: One of the task's subsets, such as a language; None if there is only one.
        split: One of the task's splits; None if there is only one.

    Raises:
        InputError: no such task; not text retrieval; which subset or split is not said.
        MissingError: the data are not here and cannot be fetched.
    """
    found = _find(task) if isinstance(task, str) else task
    metadata = found.metadata
    if (
        not isinstance(found, AbsTaskRetrieval)
        or metadata.type not in _TYPES
        or metadata.modalities != ["text"]
    ):
        raise InputError(f"the MTEB task {metadata.name} is {metadata.type}, not text retrieval")
    subset = _only("subset", subset, list(found.hf_subsets), metadata.name)
    split = _only("split", split, list(found.eval_splits), metadata.name)
    card = _card(metadata, subset, split)
    theirs = type(found).__module__.startswith("mteb.")  # others may change data and not the revision
    dataset = (_on_disk(card, workspace) if theirs else None) or _write(found, card, subset, split, workspace)
    own = len(set(dataset.query_ids) & set(dataset.document_ids)) if found.ignore_identical_ids else 0
    return TaskFromMteb(card, dataset, own)


def _find(name: str) -> AbsTask:
    known = task_names()
    if name not in known:
        raise unknown("MTEB task", name, known)
    return mteb.get_task(name)


def _only(what: str, wanted: str | None, known: list[str], task: str) -> str:
    if wanted is None and len(known) == 1:
        return known[0]
    if wanted is not None and wanted in known:
        return wanted
    listed = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
    problem = f"has {len(known)} {what}s" if wanted is None else f"has no {what} {wanted!r}"
    raise InputError(f"the MTEB task {task} {problem}", todo=f"Name one of: {listed}.")


def _card(metadata: TaskMetadata, subset: str, split: str) -> TaskCard:
    parts = [metadata.name, *([subset] if subset != "default" else []), *([split] if split != "test" else [])]
    main = _MAIN.fullmatch(metadata.main_score)
    kinds = {kind.mteb: name for name, kind in KINDS.items()}
    measure = f"{kinds[main[1]]}@{main[2]}" if main and main[1] in kinds else "recall@10"
    prompt = metadata.prompt
    return TaskCard(
        name=re.sub(r"[^A-Za-z0-9._]+", "-", "-".join(parts)).strip("._-")[:100],
        description=metadata.description,
        source=Source(
            kind="mteb",
            repository=metadata.dataset["path"],
            revision=metadata.dataset["revision"],
            subset=None if subset == "default" else subset,
            split=split,
        ),
        documents=Documents(template=TEMPLATE),
        query_prompt=(prompt.get("query") if isinstance(prompt, dict) else prompt) or None,
        measures=tuple(dict.fromkeys([*DEFAULT_MEASURES, measure])),
        main_measure=measure,
        released=metadata.is_public,
        language=metadata.hf_subsets_to_langscripts[subset][0],
        domains=tuple(metadata.domains or ()),
        reference=metadata.reference,
        licence=metadata.license or "not specified",
        citation=metadata.bibtex_citation or "",
        date=metadata.date,
    )


def _on_disk(card: TaskCard, workspace: Workspace) -> Dataset | None:
    try:
        return prepared(card, workspace)
    except DamagedError:
        return None


def _write(found: AbsTaskRetrieval, card: TaskCard, subset: str, split: str, workspace: Workspace) -> Dataset:
    loaded_here = not found.data_loaded
    try:
        found.load_data()
    except (OSError, ValueError, httpx.HTTPError) as error:
        raise MissingError(
            f"the data of this MTEB task cannot be had: {error}",
            where=found.metadata.name,
            todo="Go online once to fetch them; for a private task, set HF_TOKEN.",
        ) from error
    found.convert_v1_dataset_format_to_v2(num_proc=None)
    data = found.dataset[subset][split]
    if data["top_ranked"] is not None:
        raise InputError(f"the MTEB task {found.metadata.name} reranks given documents; it is not retrieval")
    notes = [f"from MTEB {mteb.__version__}"]
    corpus = _last_of_each(corpus_table(data["corpus"]), notes)
    queries = queries_table(data["queries"])
    qrels = {query: grades for query, grades in data["relevant_docs"].items() if grades}
    queries = queries.filter(pa.array([name in qrels for name in queries["id"].to_pylist()], pa.bool_()))
    judged = _qrels_table(qrels, queries)
    absent = len(set(judged["doc_id"].to_pylist()) - set(corpus["id"].to_pylist()))
    if absent:
        notes.append(f"{absent} documents that are judged are not in the corpus; they count as not found")
    if found.ignore_identical_ids:
        notes.append("MTEB leaves out a document that has the query's own id")
    source = card.source.model_dump(mode="json", exclude_defaults=True)
    if loaded_here:
        found.unload_data()
    return write_dataset(
        workspace.data / card.name, card.name, corpus, queries, judged, source=source, notes=notes
    )


def _last_of_each(corpus: pa.Table, notes: list[str]) -> pa.Table:
    """The corpus with each id once; of several documents MTEB scores, the last one stays."""
    places = {name: place for place, name in enumerate(corpus["id"].to_pylist())}
    if len(places) < corpus.num_rows:
        notes.append(f"{corpus.num_rows - len(places)} documents had the id of a later one and were left out")
        return corpus.take(pa.array(sorted(places.values())))
    return corpus


def _qrels_table(qrels: Mapping[str, Mapping[str, int]], queries: pa.Table) -> pa.Table:
    rows = [
        (query, str(document), int(grade))
        for query in queries["id"].to_pylist()
        for document, grade in qrels[query].items()
    ]
    columns = zip(*rows, strict=True) if rows else ([], [], [])
    return pa.table([list(column) for column in columns], schema=QRELS_SCHEMA)


def _without(ranking: Ranking, name: str) -> Ranking:
    if name not in ranking.documents:
        return ranking
    place = ranking.documents.index(name)
    kept = [row for row in range(len(ranking.documents)) if row != place]
    return Ranking([ranking.documents[row] for row in kept], ranking.scores[kept])
