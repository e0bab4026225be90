"""What encoders that run here have in common: prompts, tokens, batches, pooling and length one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from dibs.cards.model import ModelCard, Pooling
from dibs.encoders.base import (
    EncodedBatch,
    EncoderContext,
    FloatArray,
    IntArray,
    Role,
    prompt_for,
    unit_length,
)
from dibs.encoders.batches import Batch, Tokeniser, ahead, concurrently
from dibs.encoders.pooled import PoolingEncoder, Shape
from dibs.encoders.runtimes import Runtime
from dibs.errors import InputError
from dibs.files import canonical_json, digest

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Loaded = TypeVar("Loaded")

BATCH_TOKENS = 4096
"""Tokens in a batch, with padding, unless the card says another number. MiniLM on two cores with AVX-512:
OpenVINO does 5 % more texts with 4,096 than with 8,192, and no more with 2,048 or 1,024."""


class LocalEncoder(PoolingEncoder):
    """A transformer on this machine's processor.

    A batch has at most `batch_tokens` of the card, by default 4,096, and never more tokens than
    `batch_size` of the longest texts have. One window of texts is tokenised while another is encoded.
    """

    nests = True
    max_tokens: int

    def __init__(
        self, card: ModelCard, context: EncoderContext, max_tokens: int, pooling: Pooling | None
    ) -> None:
        """Keep what an adapter found out; nothing is loaded.

        Args:
            pooling: How the vectors of tokens become one; None where the model's own code does it.
        """
        self.name = card.name
        self.max_tokens = max_tokens
        self._card = card
        self._context = context
        self._pooling = pooling
        self._prompts: dict[str, str] = {}
        """The model's own prompt for each role."""

    @property
    def shape(self) -> Shape:
        return Shape(self._pooling, self.dimension, self._card.normalise)

    def forward(self, role: Role) -> str | None:
        open_ = ("pooling", "dimension", "normalise")
        settings = {name: value for name, value in self.settings(role).items() if name not in open_}
        return digest(settings) if self._pools_here else None

    def stream_shapes(
        self, shapes: Sequence[Shape], texts: Sequence[str], role: Role
    ) -> Iterator[tuple[EncodedBatch, ...]]:
        if texts:
            yield from self._run(texts, role, self._runtime, shapes)

    def count_tokens(self, texts: Sequence[str]) -> IntArray:
        """(n,) tokens of whole texts, special ones included."""
        return self._tokeniser.count(texts)

    @property
    def parallel(self) -> int:
        """Batches that are best encoded at once."""
        return self._runtime.parallel

    def plan(self, texts: Sequence[str], role: Role) -> Iterator[list[Batch]]:
        """The batches that `stream` makes of `texts`, window by window: no window depends on another."""
        budget = min(self._card.batch_tokens or BATCH_TOKENS, self._card.batch_size * self.max_tokens)
        return self._tokeniser.windows(texts, self._prompt(role), budget)

    def encode_batch(self, batch: Batch, role: Role) -> EncodedBatch:
        """The vectors of one of the batches of `plan`, as `stream` makes them."""
        (encoded,) = self._encoded(batch, role, self._runtime, (self.shape,))
        return encoded

    @property
    @abstractmethod
    def _runtime(self) -> Runtime:
        """Loaded when it is first asked for."""

    @property
    @abstractmethod
    def _tokeniser(self) -> Tokeniser: ...

    def _prompt(self, role: Role) -> str:
        return prompt_for(self._card, role, self._context.instruction, self._prompts.get(role))

    @property
    def _pools_here(self) -> bool:
        """Whether a text's vector is made here, from those of its tokens."""
        return self._pooling is not None

    def _run(
        self, texts: Sequence[str], role: Role, runtime: Runtime, shapes: Sequence[Shape]
    ) -> Iterator[tuple[EncodedBatch, ...]]:
        windows = ahead(self.plan(texts, role))
        encoded = partial(self._encoded, role=role, runtime=runtime, shapes=shapes)
        yield from concurrently(encoded, chain.from_iterable(windows), runtime.parallel)

    def _encoded(
        self, batch: Batch, role: Role, runtime: Runtime, shapes: Sequence[Shape]
    ) -> tuple[EncodedBatch, ...]:
        if batch.tokens.min() > 0:
            tables = self._vectors(batch, role, runtime, shapes)
        else:  # attention over no token at all is NaN
            tables = [np.zeros((len(batch.texts), shape.dimension), np.float32) for shape in shapes]
            if (some := np.flatnonzero(batch.tokens)).size:
                found = self._vectors(batch.only(some), role, runtime, shapes)
                for table, rows in zip(tables, found, strict=True):
                    table[some] = rows
        return tuple(
            EncodedBatch(batch.positions, unit_length(rows) if shape.normalise else rows, batch.tokens)
            for rows, shape in zip(tables, shapes, strict=True)
        )

    def _vectors(
        self, batch: Batch, role: Role, runtime: Runtime, shapes: Sequence[Shape]
    ) -> list[FloatArray]:
        """(n, dimension) of each shape, not scaled."""
        ids, mask = batch.padded(self._tokeniser.pad)
        vectors = runtime.run(ids, mask)
        return [
            (vectors if shape.pooling is None else pool(vectors, mask, shape.pooling))[:, : shape.dimension]
            for shape in shapes
        ]

    def _shared(self, make: Callable[[], Loaded], *of: Any) -> Loaded:
        """What `make` loads, once for all encoders of this context that ask for the same."""
        key = canonical_json([type(self).__name__, *of])
        if key not in self._context.loaded:
            self._context.loaded[key] = make()
        loaded: Loaded = self._context.loaded[key]
        return loaded


def pool(vectors: FloatArray, mask: npt.NDArray[Any], pooling: Pooling) -> FloatArray:
    """Token vectors, (n, tokens, d), to text vectors, (n, d).

    Args:
        mask: (n, tokens), 1 for a text's own tokens, which come first, and 0 for padding.
    """
    lengths = mask.sum(axis=1)
    pooled: FloatArray
    if pooling == "cls":
        pooled = vectors[:, 0]
    elif pooling == "last":
        pooled = vectors[np.arange(len(vectors)), lengths - 1]
    else:
        pooled = np.einsum("ntd,nt->nd", vectors, (mask / lengths[:, None]).astype(np.float32))
    return pooled


def read_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer in a `tokenizer.json`.

    Raises:
        InputError: there is none in that file.
    """
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing more special
        raise InputError(f"is no tokenizer: {error}", where=str(path)) from error


def tokeniser(tokenizer: Tokenizer, limit: int, pad: int) -> Tokeniser:
    """A fast tokenizer of its own, without the truncation and padding that its file may say."""
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def tokenise(texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts))]

    return Tokeniser(tokenise, limit, pad)
