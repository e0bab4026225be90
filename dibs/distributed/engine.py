"""`--engine ray`: what encoders and chat models are handed to, to be run by workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dibs.cards.model import LLMCard, ModelCard
from dibs.distributed.cluster import Cluster
from dibs.distributed.encode import SpreadEncoder
from dibs.distributed.generate import Relay
from dibs.distributed.pool import Pool
from dibs.distributed.worker import EncodeWorker, Order
from dibs.encoders.base import Encoder, EncoderContext, Role
from dibs.encoders.local import LocalEncoder
from dibs.errors import InputError
from dibs.llm.chat import ChatModel
from dibs.llm.engine import ChatClient

_ROLES: tuple[Role, ...] = ("query", "document")


class RayEngine:
    """Workers of a Ray cluster. They hold one model at a time: that of the last one asked for."""

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        """See `Cluster`; nothing is begun before there is something to encode."""
        self.cluster = Cluster(address, workers)
        self._order: Order | None = None
        self._pool: Pool | None = None

    def spread(self, encoder: Encoder, card: ModelCard, context: EncoderContext) -> Encoder:
        """The encoder, on workers; one that runs elsewhere, or needs no batches, stays as it is."""
        if not isinstance(encoder, LocalEncoder):
            return encoder
        order = Order(
            card,
            context.cache,
            context.instruction,
            context.max_tokens,
            context.trust_remote_code,
            {role: encoder.fingerprint(role) for role in _ROLES},
            _threads() if card.backend == "torch" else None,
        )
        return SpreadEncoder(encoder, order, self)

    def pool(self, order: Order) -> Pool:
        """The workers with that order's model."""
        if self._pool is None or self._pool.closed or self._order != order:
            if self._pool is not None:
                self._pool.close()
            self._order = order
            self._pool = Pool(
                lambda seat: self.cluster.actor(EncodeWorker, seat, order, seat), self.cluster.seats()
            )
        return self._pool

    def relay(self, model: ChatModel, card: LLMCard, cache: Path) -> None:
        """From now on, have the model's requests sent by workers, if it is one of ours."""
        if isinstance(model, ChatClient):
            model.relay = Relay(self.cluster, card, cache)

    def stop(self) -> None:
        """End the workers, and what of Ray was begun for them."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None
        self.cluster.stop()


_engines: dict[tuple[str | None, int | None], RayEngine] = {}
"""Those of this process, by their address and workers."""


def find_engine(name: str | None, address: str | None, workers: int | None) -> RayEngine | None:
    """The engine of that name; None is this process.

    Raises:
        InputError: an option is given that only an engine has; MissingError: Ray is not installed.
    """
    if name is not None:
        if (address, workers) not in _engines:
            _engines[address, workers] = RayEngine(address, workers)
        return _engines[address, workers]
    for option, given in (("--address", address), ("--workers", workers)):
        if given is not None:
            raise InputError(f"{option} is for an engine", todo="Name it with --engine ray.")
    return None


@contextmanager
def using_engine(name: str | None, address: str | None, workers: int | None) -> Iterator[RayEngine | None]:
    """The engine of that name while the block runs; with it ends all that it has begun.

    Raises:
        InputError, MissingError: see `find_engine`.
    """
    try:
        yield find_engine(name, address, workers)
    finally:
        if name is not None and (engine := _engines.pop((address, workers), None)):
            engine.stop()


def _threads() -> int:
    """How many threads torch has in one process: by their number it divides a product, and so rounds it.

    A worker has as many, whatever its cores. With 1 and with 2 threads a third of some 60 vectors differ in
    their last bits.
    """
    import torch

    return torch.get_num_threads()
