"""Encoders of a server on this machine, for the tests of the API encoders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tenacity import wait_none

from dibs.cards.model import ModelCard
from dibs.encoders.api import ApiEncoder
from dibs.encoders.base import EncoderContext
from dibs.llm.calls import Patience
from dibs.llm.limiter import Limiter
from tests.encoders.api_encoders import ENCODERS, KEY, Make
from tests.encoders.api_server import ApiServer, serving


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with serving() as api:
        yield api


@pytest.fixture(params=ENCODERS)
def make(
    request: pytest.FixtureRequest, server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Make:
    """Makes an encoder of the server's model; words are card fields, `max_tokens` is the task's limit."""
    monkeypatch.setenv("DIBS_TEST_API_KEY", KEY)

    def made(
        patience: Patience | None = None, most: int = 32, task_limit: int = 2048, **card: Any
    ) -> ApiEncoder:
        fields: dict[str, Any] = {
            "dimension": 8,
            "base_url": server.url,
            "key": "DIBS_TEST_API_KEY",
            "batch_size": 4,
        } | card
        return ENCODERS[request.param](
            ModelCard(name="toy", adapter=request.param, **fields),
            EncoderContext(cache=tmp_path / "cache", instruction="Find it", max_tokens=task_limit),
            limiter=Limiter(most=most),
            patience=patience or Patience(wait=wait_none()),
        )

    return made
