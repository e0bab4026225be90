"""Requests through workers, by a cluster that only seems to be one: what a relay does of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dibs.cards.model import LLMCard
from dibs.distributed.generate import AskWorker
from dibs.llm.calls import FailedCallError
from tests.rag.helpers import mock_card

pytest.importorskip("ray")


def body(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 10}


def card(folder: Path, **options: Any) -> LLMCard:
    return mock_card(folder, **options)


def test_a_worker_sends_and_keeps_nothing(tmp_path: Path) -> None:
    worker = AskWorker(card(tmp_path, mode="echo"), tmp_path)
    assert b"net sales" in worker.ask(body("net sales"))
    assert "processor" in worker.start()
    assert not list(tmp_path.rglob("replies.sqlite"))


def test_a_failure_is_told_with_its_status(tmp_path: Path) -> None:
    worker = AskWorker(card(tmp_path, fault="refused"), tmp_path)
    with pytest.raises(FailedCallError, match="scripted") as failed:
        worker.ask(body("net sales"))
    assert failed.value.status == 429
