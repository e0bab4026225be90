"""What a worker does: it encodes the batches that it is given, as the single process would."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dibs.cards.model import ModelCard
from dibs.distributed.cluster import Seat
from dibs.encoders.base import EncodedBatch, EncoderContext, FloatArray, Role, make_encoder
from dibs.encoders.batches import Batch, concurrently
from dibs.encoders.check import TEXTS
from dibs.encoders.local import LocalEncoder
from dibs.errors import InputError
from dibs.provenance import hardware, versions


@dataclass(frozen=True)
class Order:
    """What a worker needs to make the encoder that the command has."""

    card: ModelCard
    cache: Path
    instruction: str
    max_tokens: int
    trust_remote_code: bool
    fingerprints: dict[Role, str]
    """Those of the command's own encoder."""
    threads: int | None = None
    """That torch divides its products among; None is all of a worker's cores."""


@dataclass(frozen=True)
class Hello:
    """What a worker says of itself when it is ready."""

    process: int
    threads: int
    gpus: int
    hardware: dict[str, Any]
    versions: dict[str, str]
    dimension: int
    parallel: int
    """Batches that it wants at once."""
    about: dict[str, Any]
    probe: FloatArray
    """(n, dimension) its vectors of a few fixed texts."""


class EncodeWorker:
    """An encoder in a process of its own."""

    def __init__(self, order: Order, seat: Seat) -> None:
        self._order, self._seat = order, seat

    def start(self) -> Hello:
        """Load the model.

        Raises:
            InputError: it is not the model of the command; what the encoder raises.
        """
        share_cores(self._seat)
        order = self._order
        context = EncoderContext(
            usable(order.cache), order.instruction, order.max_tokens, order.trust_remote_code
        )
        made = make_encoder(order.card, context)
        assert isinstance(made, LocalEncoder)
        self._encoder = made
        for role, expected in order.fingerprints.items():
            if made.fingerprint(role) != expected:
                raise InputError(
                    "the model of a worker is not that of this machine: its files or settings differ",
                    where=made.name,
                    todo="Put the same files on every machine of the cluster.",
                )
        made.ready()
        if order.threads:
            import torch

            torch.set_num_threads(order.threads)
        return Hello(
            process=os.getpid(),
            threads=order.threads or self._seat.threads,
            gpus=self._seat.gpus,
            hardware=hardware(),
            versions=versions(),
            dimension=made.dimension,
            parallel=made.parallel,
            about=made.about,
            probe=made.encode(TEXTS, "document"),
        )

    def plan(self, texts: Sequence[str], role: Role) -> list[Batch]:
        """The batches of a window of texts."""
        return [batch for window in self._encoder.plan(texts, role) for batch in window]

    def encode(self, batches: Sequence[Batch], role: Role) -> list[EncodedBatch]:
        """The vectors of batches, as many at once as suit the encoder."""
        encode = partial(self._encoder.encode_batch, role=role)
        return list(concurrently(encode, batches, self._encoder.parallel))


def share_cores(seat: Seat) -> None:
    """Take a seat's cores, and no others: libraries make as many threads as a process has cores.

    Called before any of them is loaded. Where cores cannot be bound, only what heeds OMP_NUM_THREADS does.
    """
    os.environ["OMP_NUM_THREADS"] = str(seat.threads)
    if not hasattr(os, "sched_setaffinity"):
        return
    allowed = sorted(os.sched_getaffinity(0))
    own = allowed[seat.place * seat.threads : (seat.place + 1) * seat.threads]
    if len(own) < seat.threads:  # more workers than cores, or the machine is not as it was said to be
        return
    for thread in Path("/proc/self/task").iterdir():  # each has cores of its own, and hands them down
        try:
            os.sched_setaffinity(int(thread.name), own)
        except OSError:  # it has ended
            continue


def usable(cache: Path) -> Path:
    """That folder if this machine has it, else this machine's own."""
    from dibs.workspace import Workspace

    return cache if cache.is_dir() else Workspace.find(None).cache
