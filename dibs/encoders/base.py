"""What an encoder is: texts in, float32 vectors out, and a fingerprint of all that shaped them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt

from dibs import plugins
from dibs.cards.model import SEARCH_OPTIONS, ModelCard
from dibs.errors import InputError, MissingError
from dibs.files import digest

Role = Literal["query", "document"]
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class EncoderContext:
    """What the task and the user say to an encoder; a card says the rest."""

    cache: Path
    """A folder for what an encoder wants to remember, such as hashes of weights."""
    instruction: str = ""
    """The task's query prompt, for models with `{instruction}` in theirs."""
    max_tokens: int = 2048
    """The task's limit; the smaller of it and the model's own holds."""
    trust_remote_code: bool = False
    """The user's word that code from the model's repository may run."""
    batch: bool = False
    """Documents go through a provider's batch interface, if the model has one."""
    loaded: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What local encoders of this context have loaded: those of one model share it."""
    engine: Engine | None = field(default=None, compare=False, repr=False)
    """What has encoders run by other processes; None runs them in this one."""


@dataclass(frozen=True)
class EncodedBatch:
    """Some of the texts that were asked for, done."""

    positions: IntArray
    """(n,) where in the request they stand."""
    vectors: FloatArray
    """(n, dimension)"""
    tokens: IntArray | None = None
    """(n,) tokens of each text before it was cut; None where nobody counted."""


class Encoder(ABC):
    """Texts to vectors. An adapter knows its provider and nothing of tasks."""

    name: str
    dimension: int
    precisions: ClassVar[tuple[str, ...]] = ("float32",)
    """The card's `precision` may be one of these."""
    backends: ClassVar[tuple[str, ...]] = ("torch",)
    """The card's `backend` may be one of these; torch, the default, says nothing to those that do without."""
    nests: ClassVar[bool] = False
    """Whether a smaller dimension is the leading components of a greater one, and scaling comes last."""
    max_tokens: int | None
    """Texts are cut after so many tokens; None is no limit."""

    @abstractmethod
    def settings(self, role: Role) -> dict[str, Any]:
        """Everything that changes a vector of that role, as JSON values."""

    @abstractmethod
    def stream(self, texts: Sequence[str], role: Role) -> Iterator[EncodedBatch]:
        """Encode `texts` in whatever order and batches suit; each batch as soon as it is done.

        Raises:
            ProviderError: the provider failed, after retries; what was yielded stays good.
            PendingError: at the end, if texts are still with a provider.
        """

    @property
    def window(self) -> int | None:
        """Texts that `stream` would have at a time; None is whatever suits."""
        return None

    def ready(self) -> None:  # noqa: B027 - most load nothing
        """Load what encoding needs, which the first text would have loaded.

        Raises:
            MissingError: a package is not here.
            InputError: this machine cannot run the model as the card says.
        """

    def tokens_to_send(self, texts: Sequence[str], role: Role) -> int | None:
        """Tokens that a provider would be sent for these texts; None for what runs here."""
        return None

    @property
    def about(self) -> dict[str, Any]:
        """What a reader of a record has to know of how the vectors were made."""
        return {}

    def fingerprint(self, role: Role) -> str:
        """SHA-256 of the settings: equal fingerprints give equal vectors."""
        return digest(self.settings(role))

    def encode(self, texts: Sequence[str], role: Role) -> FloatArray:
        """The vectors of `texts`, (n, dimension), in their order."""
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for batch in self.stream(texts, role):
            vectors[batch.positions] = batch.vectors
        return vectors


class Engine(Protocol):
    """Other processes, perhaps on other machines, that encoders can run in."""

    def spread(self, encoder: Encoder, card: ModelCard, context: EncoderContext) -> Encoder:
        """An encoder of the same vectors that runs there; `encoder` itself if it gains nothing."""


def make_encoder(card: ModelCard, context: EncoderContext) -> Encoder:
    """The card's adapter, ready to encode; weights are loaded when the first text comes.

    Raises:
        InputError: no such adapter, or the card does not suit it.
        MissingError: a package, key or model is not here.
    """
    adapter = plugins.adapter("encoder", card)
    if card.precision not in getattr(adapter, "precisions", ("float32",)):
        raise InputError(f"the adapter {card.adapter} has no precision {card.precision}", where=card.name)
    if card.backend not in getattr(adapter, "backends", ("torch",)):
        raise InputError(f"the adapter {card.adapter} has no backend {card.backend}", where=card.name)
    options = {name: value for name, value in card.options.items() if name not in SEARCH_OPTIONS}
    made: Encoder = adapter(card.model_copy(update={"options": options}), context)
    return made if context.engine is None else context.engine.spread(made, card, context)


def prompt_for(card: ModelCard, role: Role, instruction: str, own: str | None = None) -> str:
    """What is put before a text: the card's prompt, else the model's own; the instruction filled in."""
    prompt = card.query_prompt if role == "query" else card.document_prompt
    return (own or "" if prompt is None else prompt).replace("{instruction}", instruction)


def unit_length(vectors: npt.NDArray[Any]) -> FloatArray:
    """Rows scaled to length 1 in float32; a row of zeros stays."""
    rows = np.asarray(vectors, dtype=np.float32)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: FloatArray = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
    return scaled


def needs(extra: str, *modules: str) -> None:
    """Refuse at once, importing nothing, when a package that `dibs[extra]` installs is not here.

    Raises:
        MissingError: it says how to install it.
    """
    for module in modules:
        if find_spec(module) is None:
            raise MissingError(
                f"the package {module!r} is not installed", todo=f'Run: pip install "dibs[{extra}]"'
            )
