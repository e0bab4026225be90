"""What local rerankers share: where the weights are, what is hashed, how they are loaded."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from dibs.cards.model import RerankerCard
from dibs.encoders.base import EncoderContext
from dibs.encoders.weights import locate, weights_sha256
from dibs.errors import InputError, MissingError, unknown
from dibs.retrieval.rerankers.base import Reranker

BATCH_SIZE = 32


class LocalReranker(Reranker):
    """A model run here by sentence-transformers. Loaded when the first pair comes."""

    adapter: ClassVar[str]
    known_options: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, card: RerankerCard, context: EncoderContext) -> None:
        """The card's model, found and hashed.

        Raises:
            InputError: The card has an option nobody knows.
            MissingError: The model is not here, or brings code that the user did not allow.
        """
        self.name = card.name
        self._card, self._context = card, context
        for option in card.options.keys() - self.known_options:
            raise unknown(f"option of the adapter {self.adapter}", option, self.known_options)
        if card.remote_code and not context.trust_remote_code:
            raise MissingError(
                "the model brings code of its own that has to be run",
                where=card.name,
                todo="If you trust it, add --trust-remote-code.",
            )
        self._folder = locate(card)
        self._weights = weights_sha256(self._folder, context.cache / "weights.json")
        self._batch_size = card.batch_size or BATCH_SIZE

    def settings(self) -> dict[str, Any]:
        return {
            "adapter": self.adapter,
            "weights": self._weights,
            "max_tokens": self._card.max_tokens or "as in the model's files",
            "task_max_tokens": self._context.max_tokens,
            "precision": self._card.precision,
            "remote_code": self._card.remote_code,
            "options": dict(self._card.options),
        }

    @abstractmethod
    def _kind(self) -> type[Any]:
        """The class of sentence-transformers that runs the model."""

    def _load(self) -> Any:
        import torch
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # its bar over the weights would stand on our standard error
        try:
            return self._kind()(
                str(self._folder),
                trust_remote_code=self._card.remote_code,
                local_files_only=not self._card.remote_code,
                model_kwargs={"dtype": getattr(torch, self._card.precision), "use_safetensors": True},
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise InputError(
                f"is no model that sentence-transformers can load: {error}", where=str(self._folder)
            ) from error
