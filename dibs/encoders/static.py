"""Static models: a text's vector is the mean of its tokens' vectors, read from a table."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dibs.cards.model import ModelCard
from dibs.encoders.base import (
    EncodedBatch,
    Encoder,
    EncoderContext,
    FloatArray,
    Role,
    needs,
    prompt_for,
    unit_length,
)
from dibs.encoders.weights import locate, packaged, weights_sha256
from dibs.errors import InputError, MissingError
from dibs.files import sha256_file

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_WORDLLAMA_WEIGHTS = "wordllama/weights/l2_supercat_256.safetensors"


@dataclass(frozen=True)
class _Table:
    tokenizer: Tokenizer
    """Without truncation and padding."""
    vectors: FloatArray
    """(vocabulary, dimension); the row of a token's number is its vector, weighted."""
    unknown: int | None = None
    """The token that is left out of the mean."""


class _StaticEncoder(Encoder):
    """What static models have in common; an adapter says where its table is and how it is read.

    The mean is taken over one text at a time: a padded batch of 1,024 pages would need gigabytes,
    and a vector must not depend on its neighbours.
    """

    nests = True

    def __init__(self, card: ModelCard, context: EncoderContext) -> None:
        self.name = card.name
        self.max_tokens = min(filter(None, (card.max_tokens, context.max_tokens)))
        self._card = card
        self._context = context

    @cached_property
    def dimension(self) -> int:  # type: ignore[override]
        return self._card.dimension or int(self._table.vectors.shape[1])

    def settings(self, role: Role) -> dict[str, Any]:
        return {
            "adapter": self._card.adapter,
            **self._content(),
            "role": role,
            "prompt": prompt_for(self._card, role, self._context.instruction),
            "max_tokens": self.max_tokens,
            "dimension": self._card.dimension,
            "normalise": self._card.normalise,
        }

    def stream(self, texts: Sequence[str], role: Role) -> Iterator[EncodedBatch]:
        prompt = prompt_for(self._card, role, self._context.instruction)
        for start in range(0, len(texts), self._card.batch_size):
            batch = [prompt + text for text in texts[start : start + self._card.batch_size]]
            encodings = self._table.tokenizer.encode_batch_fast(batch, add_special_tokens=False)
            numbers = [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]
            rows = np.stack([self._mean(tokens) for tokens in numbers])
            yield EncodedBatch(
                np.arange(start, start + len(batch)),
                unit_length(rows) if self._card.normalise else rows,
                np.array([len(tokens) for tokens in numbers], dtype=np.int64),
            )

    def _mean(self, tokens: npt.NDArray[np.int64]) -> FloatArray:
        """(dimension,) the mean vector of the first `max_tokens` tokens; zeros if none counts."""
        kept = tokens[: self.max_tokens]
        if self._table.unknown is not None:
            kept = kept[kept != self._table.unknown]
        vectors = self._table.vectors[kept]
        mean: FloatArray = vectors.mean(axis=0) if len(kept) else np.zeros(vectors.shape[1], np.float32)
        return mean

    @cached_property
    def _table(self) -> _Table:
        where = str(self._place())
        try:
            table = self._read()
        except Exception as error:  # the libraries raise whatever a damaged file makes them stumble on
            raise InputError(f"is no static model that can be loaded: {error}", where=where) from error
        words, width = table.vectors.shape
        if table.tokenizer.get_vocab_size() > words:
            raise InputError(
                f"the tokenizer has {table.tokenizer.get_vocab_size()} tokens and the table {words} rows",
                where=where,
            )
        if self._card.dimension and self._card.dimension > width:
            raise InputError(
                f"the model has {width} dimensions, not {self._card.dimension}",
                where=self.name,
                todo="Correct the dimension in the model's card.",
            )
        table.tokenizer.no_truncation()
        table.tokenizer.no_padding()
        vectors = np.ascontiguousarray(table.vectors[:, : self._card.dimension], dtype=np.float32)
        return _Table(table.tokenizer, vectors, table.unknown)

    @abstractmethod
    def _place(self) -> Path: ...

    @abstractmethod
    def _content(self) -> dict[str, str]:
        """Hashes of the model's files."""

    @abstractmethod
    def _read(self) -> _Table: ...


class Model2VecEncoder(_StaticEncoder):
    """A model2vec model: from a package, the disk or the hub.

    model2vec's own `encode` cuts at 512 tokens unless told otherwise, and first at six or so letters
    for each token; here the card's and the task's limit holds, in tokens.
    """

    def __init__(self, card: ModelCard, context: EncoderContext) -> None:
        super().__init__(card, context)
        needs("static", "model2vec")
        self._folder = locate(card)
        self._weights = weights_sha256(self._folder, context.cache / "weights.json")

    def _place(self) -> Path:
        return self._folder

    def _content(self) -> dict[str, str]:
        return {"weights": self._weights}

    def _read(self) -> _Table:
        from model2vec import StaticModel

        model = StaticModel.from_pretrained(self._folder)
        vectors = model.embedding
        if model.token_mapping is not None:  # several tokens share a row
            vectors = vectors[model.token_mapping]
        if model.weights is not None:
            vectors = vectors * model.weights[:, None]
        return _Table(model.tokenizer, vectors, model.unk_token_id)


class WordLlamaEncoder(_StaticEncoder):
    """A WordLlama model from the package's own files, by default its 256 dimensions.

    The files are read and the package is not imported: importing it sets the root logger to INFO.
    `package_path` names another file of weights; the tokenizer is looked for where WordLlama keeps it.
    """

    def __init__(self, card: ModelCard, context: EncoderContext) -> None:
        super().__init__(card, context)
        path = card.package_path or _WORDLLAMA_WEIGHTS
        weights = packaged(path)
        if weights is None:
            raise MissingError(
                f"the weights are not here: {path}", where=card.name, todo='Run: pip install "dibs[static]"'
            )
        self._weights = weights
        configuration = weights.stem.rpartition("_")[0]
        self._tokenizer = weights.parent.parent / "tokenizers" / f"{configuration}_tokenizer_config.json"
        if not self._tokenizer.is_file():
            raise InputError("the weights' tokenizer is not there", where=str(self._tokenizer))
        self._hashes = {"weights": sha256_file(self._weights), "tokenizer": sha256_file(self._tokenizer)}

    def _place(self) -> Path:
        return self._weights

    def _content(self) -> dict[str, str]:
        return self._hashes

    def _read(self) -> _Table:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        vectors = load_file(self._weights)["embedding.weight"]
        return _Table(Tokenizer.from_file(str(self._tokenizer)), vectors)
