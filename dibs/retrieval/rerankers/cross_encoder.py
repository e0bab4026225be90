"""Cross-encoders through sentence-transformers: query and document are read together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from dibs.cards.model import RerankerCard
from dibs.encoders.base import EncoderContext, IntArray
from dibs.encoders.batches import by_budget
from dibs.encoders.folder import read_fields
from dibs.errors import InputError
from dibs.retrieval.rerankers.base import Pair, ScoredPairs
from dibs.retrieval.rerankers.local import LocalReranker

_COUNTED = 256
"""Texts whose tokens are held at once while they are counted."""


class CrossEncoderReranker(LocalReranker):
    """A folder of a cross-encoder with one output: from a package, the disk or the hub.

    All pairs are sorted by length, whatever their query, and scored in batches of `batch_size` pairs
    of full length, or more where they are shorter. A pair is cut at the least of the model's limit,
    the card's and the task's; of its two texts the longer one loses. The score is the model's output
    before any sigmoid, which keeps apart what a sigmoid in float32 rounds to 1.
    """

    adapter = "cross-encoder"

    def __init__(self, card: RerankerCard, context: EncoderContext) -> None:
        super().__init__(card, context)
        own = read_fields(self._folder / "config_sentence_transformers.json").get("model_type")
        heads = read_fields(self._folder / "config.json").get("architectures") or []
        if own != "CrossEncoder" and not any("SequenceClassification" in head for head in heads):
            # It would be given a head of random numbers, and rank by chance.
            raise InputError(
                "is no cross-encoder: it has no head that scores a pair",
                where=str(self._folder),
                todo="For an embedding model, use the adapter late-interaction.",
            )

    def stream(self, pairs: Sequence[Pair]) -> Iterator[ScoredPairs]:
        if not pairs:
            return
        from torch.nn import Identity

        limit = self._model.max_seq_length
        lengths = np.minimum(self._lengths(pairs), limit)
        budget = self._card.batch_tokens or self._batch_size * limit
        for places in by_budget(lengths, budget):
            scores = self._model.predict(
                [(pairs[place].query, pairs[place].document) for place in places],
                batch_size=len(places),
                show_progress_bar=False,
                activation_fn=Identity(),
            )
            yield ScoredPairs(places, scores.astype(np.float32))

    @cached_property
    def _model(self) -> Any:
        model = self._load()
        if model.num_labels != 1:
            problem = f"gives {model.num_labels} scores for a pair, not 1"
            raise InputError(problem, where=str(self._folder), todo="Choose a model made for ranking.")
        limits = (model.max_seq_length, self._card.max_tokens, self._context.max_tokens)
        model.max_seq_length = min(filter(None, limits))
        return model

    def _kind(self) -> type[Any]:
        from sentence_transformers import CrossEncoder

        kind: type[Any] = CrossEncoder
        return kind

    def _lengths(self, pairs: Sequence[Pair]) -> IntArray:
        """(n,) tokens of both texts of each pair; each text is counted once."""
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))
        counts: dict[str, int] = {}
        for start in range(0, len(texts), _COUNTED):
            some = texts[start : start + _COUNTED]
            tokenised = self._model.tokenizer(some, truncation=False, padding=False, verbose=False)
            counts |= {text: len(ids) for text, ids in zip(some, tokenised["input_ids"], strict=True)}
        return np.array([counts[pair.query] + counts[pair.document] for pair in pairs], dtype=np.int64)
