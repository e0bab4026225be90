"""What the tests of the door to MTEB share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import mteb
import pytest

from dibs.cards.model import ModelCard
from dibs.cards.task import TaskCard
from dibs.data.prepare import ensure
from dibs.encoders.base import EncodedBatch, EncoderContext, Role, prompt_for
from dibs.evaluate import Work, evaluate
from dibs.records import Record
from dibs.retrieval.base import Retriever
from dibs.workspace import Workspace
from tests.toys import HashEncoder

GROUP = pytest.mark.xdist_group("mteb")
"""One worker imports MTEB, once."""

BM25 = ModelCard(name="bm25", adapter="bm25")
WORDS = ModelCard(name="words", adapter="words")


class WordsEncoder(HashEncoder):
    """A bag of words that takes prompts, cuts texts at spaces, and whose weights are a file."""

    log: ClassVar[list[str]] = []
    """Every text that any of them encoded, prompt and cut included."""

    def __init__(self, card: ModelCard, context: EncoderContext) -> None:
        limit = min(filter(None, (card.max_tokens, context.max_tokens)))
        super().__init__(card.name, card.dimension or 16, max_tokens=limit, batch_size=8)
        self._prompts = {role: prompt_for(card, role, context.instruction) for role in ("query", "document")}
        self._weights = Path(card.model).read_text() if card.model else ""

    def settings(self, role: Role) -> dict[str, Any]:
        settings = {"prompt": self._prompts[role], "limit": self.max_tokens, "weights": self._weights}
        return super().settings(role) | settings

    def stream(self, texts: Sequence[str], role: Role) -> Iterator[EncodedBatch]:
        cut = [" ".join(text.split()[: self.max_tokens]) for text in texts]
        given = [self._prompts[role] + text + self._weights for text in cut]
        type(self).log += given
        return super().stream(given, role)


def tiny(workspace: Workspace) -> TaskCard:
    """The card of the task Tiny."""
    return workspace.card(TaskCard, "Tiny")


def mteb_scores(model: Any, task: Any, cache: Any = None, **options: Any) -> dict[str, Any]:
    """What MTEB says of a model on a task, by its names of measures."""
    result = mteb.evaluate(model, task, cache=cache, show_progress_bar=False, **options)
    (row,) = result.task_results[0].scores["test"]
    return dict(row)


def dibs_record(
    retriever: Retriever, card: TaskCard, workspace: Workspace, model: ModelCard = BM25
) -> Record:
    """The record of a pipeline on a task."""
    return evaluate(Work(card, ensure(card, workspace), retriever, model), workspace).record


def dibs_scores(record: Record) -> dict[str, float]:
    """A record's means, by MTEB's names of measures."""
    from dibs.scoring.measures import Measure

    measures = record.scores["subsets"]["all"]["measures"]
    return {Measure.parse(name).mteb_name: float(found["value"]) for name, found in measures.items()}
