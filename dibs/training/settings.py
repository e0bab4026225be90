"""What a finetuning is done with: every choice that changes the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from dibs.cards.model import ModelCard, Pooling
from dibs.errors import InputError, unknown
from dibs.scoring.statistics import SEED


@dataclass(frozen=True)
class Settings:
    """How a model is trained; errors name the field.

    Raises:
        InputError: a value is out of its range, or two do not go together.
    """

    learning_rate: float = 2e-5
    batch_size: int = 32
    """Pairs in a batch; each query's negatives are the documents of the others."""
    mini_batch: int | None = None
    """Texts that are in memory at once; batches may then be as large as one likes (GradCache, Gao et al.,
    RepL4NLP 2021, 316-321), for a second forward pass."""
    temperature: float = 0.05
    """Cosines are divided by it before the softmax."""
    epochs: int = 1
    warmup: float = 0.1
    """The share of the steps in which the learning rate rises; then it falls to 0, both linearly."""
    max_tokens: int = 2048
    """Texts are cut to this many tokens in training, or to the model's own limit."""
    pooling: Pooling | None = None
    """None is the base's."""
    query_prompt: str | None = None
    """None is the base's."""
    negatives: int = 0
    """Hard negatives of each pair, mined from a run."""
    miner: str | None = None
    """The model whose run they are mined from; None is the base."""
    margin: float = 0.05
    """A document is no negative if it scores above the positive's score less this share of it."""
    matryoshka: tuple[int, ...] = ()
    """Smaller dimensions that are trained too, so that vectors can be cut to them (Kusupati et al., NeurIPS
    2022)."""
    lora: int = 0
    """The rank of the adapters that are trained in place of the weights, which they are merged into (Hu et
    al., ICLR 2022); 0 trains all weights."""
    bf16: bool = False
    """Compute in bfloat16; the weights that are trained stay in float32."""
    gradient_checkpointing: bool = False
    """Compute activations twice rather than keep them."""
    evaluations: int = 4
    """On the development pairs, in each epoch; each leaves a checkpoint."""
    patience: int = 4
    """Training stops after so many evaluations that are no better than the best; 0 never stops it."""
    others: int = 2000
    """Documents of training pairs that the development queries are searched among, besides their own."""
    seed: int = SEED

    def __post_init__(self) -> None:
        positive = ("learning_rate", "temperature", "batch_size", "epochs", "max_tokens", "evaluations")
        for name in positive:
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name} is {getattr(self, name)}", todo="It has to be above 0.")
        for name in ("negatives", "lora", "patience", "others", "seed"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)}", todo="It cannot be below 0.")
        if self.seed >= 2**32:
            raise InputError(f"seed is {self.seed}", todo="It has to be below 2 ** 32.")
        for name in ("warmup", "margin"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}", todo="It is a share, from 0 to below 1.")
        if self.batch_size < 2:
            raise InputError("a batch of one pair has no negatives", todo="Give a batch_size of 2 or more.")
        if self.mini_batch is not None and self.mini_batch < 1:
            raise InputError(f"mini_batch is {self.mini_batch}", todo="It has to be above 0.")
        if self.mini_batch is not None and self.gradient_checkpointing:
            todo = "The first alone bounds the memory: leave out gradient checkpointing."
            raise InputError("mini_batch and gradient_checkpointing do the same work twice each", todo=todo)
        if any(dimension < 1 for dimension in self.matryoshka):
            raise InputError(f"a matryoshka dimension is {min(self.matryoshka)}", todo="Such as 256,128,64.")

    def changed(self, values: Mapping[str, Any]) -> Settings:
        """These settings with some set anew.

        Raises:
            InputError: there is no such setting, or it cannot have that value.
        """
        known = [field.name for field in fields(self)]
        if strange := [name for name in values if name not in known]:
            raise unknown("setting", strange[0], known)
        try:
            return TypeAdapter(Settings).validate_python(asdict(self) | dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            raise InputError(f"{first['loc'][0]} is {first['input']!r}: {first['msg']}") from None

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "matryoshka": list(self.matryoshka)}

    def applied(self, base: ModelCard) -> ModelCard:
        """The base's card with the pooling and the query prompt of these settings."""
        changed = {"pooling": self.pooling, "query_prompt": self.query_prompt}
        return base.model_copy(update={name: value for name, value in changed.items() if value is not None})
