"""Our tasks there: MTEB retrieval tasks over the data sets of DIBS."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, get_args

import datasets
from mteb.abstasks import AbsTaskRetrieval
from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
from mteb.abstasks.task_metadata import TaskDomain, TaskMetadata
from mteb.types import Licenses
from pydantic import Field, ValidationError

from dibs.cards.mteb_names import MtebData, mteb_data, mteb_task_name
from dibs.cards.task import TaskCard
from dibs.data.dataset import Dataset
from dibs.data.prepare import ensure, prepared
from dibs.errors import DibsError, InputError
from dibs.scoring.measures import Measure, parse_measures
from dibs.workspace import Workspace

SPLIT = "test"
_DOMAINS = frozenset(get_args(TaskDomain))
_LICENCES = frozenset(get_args(Licenses)) - {"not specified", "multiple"}


class DibsMetadata(TaskMetadata):
    """MTEB's metadata of a task of ours, with what MTEB has no field for."""

    max_tokens: int
    """Models of DIBS cut documents to so many tokens."""
    statistics: Path = Field(exclude=True)

    @property
    def descriptive_stat_path(self) -> Path:
        """With the data; MTEB writes the statistics of its own tasks into its installed package."""
        return self.statistics


class DibsTask(AbsTaskRetrieval):
    """A task card as a task of MTEB; `mteb_task_class` makes a class for each card.

    An object is bound to the data that was at hand when it was made. Its one subset is named after
    that data and whatever else the scores depend on, see `dibs.cards.mteb_names`.
    """

    card: ClassVar[TaskCard]
    workspace: ClassVar[Workspace]
    template: ClassVar[str | None]

    def __init__(self, **kwargs: Any) -> None:
        self._data = _at_hand(self.card, self.workspace)
        self.metadata = _metadata(self.card, self.workspace, self.template, self._data)
        super().__init__(**kwargs)

    def load_data(self, num_proc: int | None = None, *, timer: Any = None, **kwargs: Any) -> None:
        """Read the data set, which is built first if its card names all it takes.

        Raises:
            MissingError: it has to be prepared first; the message has the command.
        """
        if self.data_loaded:
            return
        if self._data is None:
            self._data = ensure(self.card, self.workspace)
            named = mteb_data(self.card, self._data.info.sha256, self.template)
            source = {"path": self.metadata.dataset["path"], "revision": named.revision}
            self.metadata = self.metadata.model_copy(update={"dataset": source})
        data = self._data
        gold = {name for grades in data.qrels.values() for name in grades}
        if self.card.levels and gold - set(data.document_ids):
            raise InputError(
                f"the gold of {self.card.name} is not of what its corpus holds ({self.card.levels[-1]})",
                todo="MTEB scores what is retrieved itself; dibs run scores it by page and document too.",
            )
        # The text is whole: with a column `title`, MTEB would put the title before it once more.
        texts = list(data.document_texts(self.card.template(self.template)))
        split = RetrievalSplitData(
            corpus=datasets.Dataset.from_dict({"id": data.document_ids, "text": texts}),
            queries=datasets.Dataset.from_dict({"id": data.query_ids, "text": data.query_texts()}),
            relevant_docs={query: dict(data.qrels[query]) for query in data.query_ids},
            top_ranked=None,
        )
        self.dataset = {self.metadata.hf_subsets[0]: {SPLIT: split}}
        self.data_loaded = True

    def unload_data(self) -> None:
        """Forget the data, and keep the metadata that describe it, which MTEB would throw away too."""
        metadata = self.metadata
        super().unload_data()
        self.metadata = metadata


def mteb_task(card: TaskCard, workspace: Workspace, template: str | None = None) -> DibsTask:
    """The card's task, for `mteb.evaluate`.

    Args:
        template: The name of one of the card's document templates; None is the default one.

    Raises:
        InputError: MTEB does not accept what the card says.
    """
    return mteb_task_class(card, workspace, template)()


def mteb_task_class(card: TaskCard, workspace: Workspace, template: str | None = None) -> type[DibsTask]:
    """The card's task as a class, which is what MTEB's registry holds.

    Raises:
        InputError: MTEB does not accept what the card says.
    """
    name = mteb_task_name(card.name)
    values = {
        "__doc__": card.description,
        "card": card,
        "workspace": workspace,
        "template": template,
        # MTEB's scoring fails without recall at 1, which it calls accuracy.
        "k_values": tuple(sorted({1, *(measure.k for measure in parse_measures(card.measures))})),
        "metadata": _metadata(card, workspace, template, _on_disk(card, workspace)),
    }
    return type(name, (DibsTask,), values)


def _metadata(
    card: TaskCard, workspace: Workspace, template: str | None, data: Dataset | None
) -> DibsMetadata:
    name = mteb_task_name(card.name)
    if data is None:
        # Data that nobody has seen and nothing pins has no identity: its name is never met again.
        pinned = card.source.revision
        subset = mteb_data(card, pinned or os.urandom(8).hex(), template).subset
        named = MtebData(pinned or "not prepared", subset)
        statistics = workspace.cache / "mteb" / f"{name}.json"
    else:
        named = mteb_data(card, data.info.sha256, template)
        statistics = data.folder / f"mteb-{named.subset}.json"
    domains: Any = [domain for domain in card.domains if domain in _DOMAINS]
    prompt: Any = {"query": card.query_prompt} if card.query_prompt else None
    try:
        return DibsMetadata(
            name=name,
            description=card.description,
            dataset={"path": f"dibs/{card.name}", "revision": named.revision},
            type="Retrieval",
            category="t2t",
            eval_splits=[SPLIT],
            eval_langs={named.subset: [card.language]},
            main_score=Measure.parse(card.main_measure).mteb_name,
            prompt=prompt,
            reference=card.reference,
            date=card.date,
            domains=domains,
            task_subtypes=["Question answering"],
            license=_licence(card.licence),
            # What the data links, such as a question and the page of its answer, is the judgement.
            annotations_creators="derived",
            dialect=[],
            sample_creation="found" if card.reference else "created",
            bibtex_citation=card.citation if card.citation.lstrip().startswith("@") else "",
            is_public=card.released,
            max_tokens=card.max_tokens,
            statistics=statistics,
        )
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"MTEB does not accept its {field}: {first['msg']}", where=card.name, todo="Correct the card."
        ) from None


def _at_hand(card: TaskCard, workspace: Workspace) -> Dataset | None:
    """The card's data, built now if it lies beside the card; None if there is none."""
    if card.source.path is None:
        return _on_disk(card, workspace)
    try:
        return ensure(card, workspace)
    except DibsError:  # load_data says it, to who asks for the data
        return None


def _on_disk(card: TaskCard, workspace: Workspace) -> Dataset | None:
    try:
        return prepared(card, workspace)
    except DibsError:
        return None


def _licence(text: str) -> str:
    """The licence as MTEB writes it; several are `multiple`."""
    words: Sequence[str] = re.split(r"[\s,;()]+", text.lower())
    found = {word for word in words if word in _LICENCES}
    return "multiple" if len(found) > 1 else found.pop() if found else "not specified"
