from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from huggingface_hub import constants

from dibs import plugins


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here reaches a hub."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def words_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The adapter `words`, found as a plugin's."""
    entry = EntryPoint("encoder.words", "tests.mteb.helpers:WordsEncoder", plugins.GROUP)
    known = plugins._registered() | {entry.name: entry}
    monkeypatch.setattr(plugins, "_registered", lambda: known)


@pytest.fixture
def registries() -> Iterator[Any]:
    """MTEB's registries, which are afterwards as they were."""
    from dibs.mteb.register import _registries

    found = _registries()
    tasks, models, listed = dict(found.tasks), dict(found.models), found.tasks_module.TASK_LIST
    yield found
    for registry, old in ((found.tasks, tasks), (found.models, models)):
        registry.clear()
        registry.update(old)
    found.tasks_module.TASK_LIST = listed
    if hasattr(found.benchmarks, "DIBS"):
        del found.benchmarks.DIBS
    for forget in found.forget_benchmarks:
        forget()
