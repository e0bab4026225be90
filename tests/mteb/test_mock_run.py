"""MTEB's own check of a model, on its invented tasks of retrieval."""

from __future__ import annotations

from typing import Any

import mteb
import mteb.mocks.mock_run as mock_run
import pytest
from mteb.results import TaskResult

import dibs.mteb as door
from dibs.cards.model import ModelCard
from dibs.workspace import Workspace
from tests.mteb.helpers import BM25, GROUP, WORDS

pytestmark = [GROUP, pytest.mark.usefixtures("words_adapter")]

RETRIEVAL = {
    "MockRetrievalTask",
    "MockRetrievalDialogTask",
    "MockMultilingualRetrievalTask",
    "MockInstructionRetrieval",
    "MockMultilingualInstructionRetrieval",
    "MockRerankingTask",
    "MockMultilingualRerankingTask",
    "MockInstructionReranking",
    "MockMultilingualInstructionReranking",
}
OTHERS = {"MockSTSTask", "MockPairClassificationTask"}
"""Of the tasks where texts are neither queries nor documents, two; all of them take half a minute."""


@pytest.mark.parametrize(
    ("card", "wanted"), [(BM25, RETRIEVAL), (WORDS, RETRIEVAL | OTHERS)], ids=["bm25", "words"]
)
def test_our_models_pass(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, card: ModelCard, wanted: set[str]
) -> None:
    compatible = mock_run.get_compatible_mock_tasks

    def chosen(model: Any) -> list[Any]:
        return [task for task in compatible(model) if task.metadata.name in wanted]

    monkeypatch.setattr(mock_run, "get_compatible_mock_tasks", chosen)
    results = mteb.mock_run(door.mteb_model(card, workspace))
    ran = {name: status for name, status in results.items() if status is not None}
    assert {name for name, status in ran.items() if isinstance(status, TaskResult)} == wanted, ran
