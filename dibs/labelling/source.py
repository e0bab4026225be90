"""The task that is labelled, as its own folder has it: every query, whether its gold is known or not."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from dibs.cards.task import TaskCard
from dibs.data.content import content_of
from dibs.data.dataset import QRELS_SCHEMA, DatasetInfo
from dibs.data.qrels import judgements
from dibs.data.rows import rows, texts_table
from dibs.data.sources.beir import find_qrels, find_table
from dibs.data.sources.hub import is_mteb_folder
from dibs.errors import InputError
from dibs.files import slug
from dibs.labelling.journal import Label, Pair, Written, read_journal
from dibs.training.roundtrip import Asked
from dibs.workspace import Workspace


@dataclass(frozen=True)
class Labelled:
    """A task, its data, and where its labels are."""

    card: TaskCard
    dataset: Asked
    qrels: Path
    """The file that is written."""
    labels: Path
    """The folder of the journals."""

    def journal(self, labeller: str) -> Path:
        """Where a labeller's journal is."""
        return self.labels / f"{slug(labeller)}.jsonl"

    def journals(self) -> dict[Path, Written]:
        """Every labeller's journal.

        Raises:
            DamagedError: a line in one is no judgement.
        """
        return {path: read_journal(path) for path in sorted(self.labels.glob("*.jsonl"))}

    def by_people(self) -> list[Label]:
        """Every journal's lines."""
        return [label for written in self.journals().values() for label in written.labels]

    @cached_property
    def in_qrels(self) -> dict[Pair, int]:
        """The grades in the task's qrels as they are now, those of earlier labels among them."""
        path = find_qrels(self.qrels.parents[1], self.card.source.split)
        if path is None:
            return {}
        return {Pair(one.query, one.document): one.relevance for one in judgements(path)}

    @cached_property
    def answers(self) -> dict[str, str]:
        """Gold answers by query id; empty where there are none."""
        field = self.card.answers.field
        if field not in self.dataset.queries.column_names:
            return {}
        return dict(zip(self.dataset.query_ids, self.dataset.query_field(field), strict=True))


def labelled(name: str, workspace: Workspace) -> Labelled:
    """The task of that name, which has to be one of the workspace's own folders.

    Raises:
        InputError: nobody knows it, it is not a folder in BEIR's layout here, or a file is malformed.
    """
    card = workspace.card(TaskCard, name)
    home = workspace.root / "tasks"
    folder = Path(card.source.path or "")
    problem = None
    if not (home / f"{card.name}.toml").is_file():
        problem = "comes with DIBS and is labelled"
    elif card.source.kind != "beir" or card.source.path is None or is_mteb_folder(folder):
        problem = "is not a folder of this workspace in BEIR's layout"
    elif any(pinned.startswith("qrels") for pinned in card.source.files):
        problem = "has qrels whose hash its card pins"
    if problem:
        raise InputError(problem, where=card.name, todo="A task of your own: dibs task new --help")
    found = [find_table(folder, kind) for kind in ("corpus", "queries")]
    corpus, queries = (
        texts_table(rows(path), kind, str(path), titles=kind == "document")
        for path, kind in zip(found, ("document", "query"), strict=True)
    )
    nothing = pa.table({name: [] for name in QRELS_SCHEMA.names}, schema=QRELS_SCHEMA)
    content = content_of(corpus, queries, nothing)._asdict()
    dataset = Asked(Path(), DatasetInfo(card.name, **content), corpus, queries, nothing)
    qrels = folder / "qrels" / f"{card.source.split}.tsv"
    return Labelled(card, dataset, qrels, home / "labels" / card.name)
