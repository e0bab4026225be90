"""The transformer of a sentence-transformers model, run by torch: the others are held to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dibs.encoders.base import FloatArray, IntArray
from dibs.errors import InputError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class TorchRuntime:
    """The first module of a sentence-transformers model."""

    parallel = 1  # torch itself uses all cores

    def __init__(self, model: SentenceTransformer) -> None:
        self._transformer: Any = model.eval()[0]
        self._device = model.device
        self._places = _places(self._transformer)

    def run(self, ids: IntArray, mask: IntArray) -> FloatArray:
        import torch

        if self._places is not None and ids.shape[1] > self._places:
            raise InputError(
                f"the model takes {self._places} tokens at most, and a text has {ids.shape[1]}",
                todo="Lower max_tokens in the model's card.",
            )
        with torch.inference_mode():
            features = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
            features = {name: tensor.to(self._device) for name, tensor in features.items()}
            vectors: FloatArray = self._transformer(features)["token_embeddings"].float().cpu().numpy()
        return vectors


def _places(transformer: Any) -> int | None:
    """The tokens a model has learned places for; None where places are computed."""
    from torch.nn import Embedding

    for name, module in transformer.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, Embedding):
            # RoBERTa's first places are those of padding.
            return module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
    return None
