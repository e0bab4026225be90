"""Several poolings of one pass: a model's forward pass costs the same however its tokens are pooled."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dibs.cards.model import Pooling
from dibs.encoders.base import EncodedBatch, Encoder, Role
from dibs.encoders.derived import gives


@dataclass(frozen=True)
class Shape:
    """How the vectors of a text's tokens become the one of the text."""

    pooling: Pooling | None
    """None where the model's own code pools."""
    dimension: int
    """So many leading components are kept."""
    normalise: bool
    """Whether what is kept is scaled to length 1."""


class PoolingEncoder(Encoder):
    """An encoder whose vectors can be made in several shapes of one pass over the texts."""

    @property
    @abstractmethod
    def shape(self) -> Shape:
        """What the card asks for."""

    @abstractmethod
    def forward(self, role: Role) -> str | None:
        """What the vectors of tokens depend on, as a hash; None where the model's own code pools them."""

    @abstractmethod
    def stream_shapes(
        self, shapes: Sequence[Shape], texts: Sequence[str], role: Role
    ) -> Iterator[tuple[EncodedBatch, ...]]:
        """As `stream`, each batch in all of `shapes`. They have a pooling, unless there is only one."""

    def stream(self, texts: Sequence[str], role: Role) -> Iterator[EncodedBatch]:
        for (batch,) in self.stream_shapes((self.shape,), texts, role):
            yield batch


def passes(encoders: Sequence[Encoder], role: Role) -> list[list[Encoder]]:
    """The encoders that have to run for all to have their vectors, those of one pass together.

    Left out are encoders of equal settings but one, and those whose vectors another's give by cutting
    and scaling.
    """
    distinct = {encoder.fingerprint(role): encoder for encoder in reversed(encoders)}
    settings = {name: encoder.settings(role) for name, encoder in distinct.items() if encoder.nests}
    groups: dict[str, list[Encoder]] = {}
    for name, encoder in reversed(distinct.items()):
        if name in settings and any(gives(wide, settings[name]) for wide in settings.values()):
            continue
        shared = encoder.forward(role) if isinstance(encoder, PoolingEncoder) else None
        groups.setdefault(shared or name, []).append(encoder)
    return list(groups.values())
