"""An encoder whose batches are encoded by workers: the same batches, so the same vectors."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from dibs.distributed.pool import Pool, Task
from dibs.distributed.worker import Hello, Order
from dibs.encoders.base import EncodedBatch, Encoder, Role
from dibs.encoders.batches import WINDOW, Batch
from dibs.encoders.local import LocalEncoder
from dibs.files import canonical_json
from dibs.progress import say
from dibs.provenance import versions

if TYPE_CHECKING:
    from dibs.distributed.engine import RayEngine


class SpreadEncoder(Encoder):
    """A local encoder on workers.

    A window of texts is cut into batches as the encoder itself would cut it, by a worker, and each
    batch is encoded whole by one: what a vector depends on besides its text, its neighbours and the
    padding, is as in one process. The model is not loaded in this one.
    """

    nests = LocalEncoder.nests

    def __init__(self, encoder: LocalEncoder, order: Order, engine: RayEngine) -> None:
        self.name, self.max_tokens = encoder.name, encoder.max_tokens
        self._encoder, self._order, self._engine = encoder, order, engine
        self._pool: Pool | None = None
        self._greeted = 0

    @cached_property
    def dimension(self) -> int:  # type: ignore[override]
        return self._order.card.dimension or self._started().dimension

    def settings(self, role: Role) -> dict[str, Any]:
        return self._encoder.settings(role)

    def ready(self) -> None:
        self._started()

    @property
    def about(self) -> dict[str, Any]:
        if self._pool is None or not self._pool.hellos:  # all was in the store
            return self._encoder.about
        hello: Hello = self._pool.hellos[0]
        return hello.about | {"engine": _engine(self._pool)}

    def stream(self, texts: Sequence[str], role: Role) -> Iterator[EncodedBatch]:
        if not texts:
            return
        hello = self._started()
        assert self._pool is not None
        encoding: deque[Task] = deque()
        for task, result in self._pool.work(encoding, _plans(texts, role)):
            if task.call == "plan":
                encoding.extend(_shares(result, role, hello.parallel, task.start))
                continue
            for batch in result:
                yield replace(batch, positions=batch.positions + task.start)
        for later in self._pool.hellos[self._greeted :]:
            _compare(later, hello, self.name)
        self._greeted = len(self._pool.hellos)

    def _started(self) -> Hello:
        """What the first worker says; one is started if none is there."""
        pool = self._engine.pool(self._order)
        if pool is not self._pool:
            self._pool, self._greeted = pool, 0
        hello: Hello = pool.ready()
        return hello


def _plans(texts: Sequence[str], role: Role) -> Iterator[Task]:
    for start in range(0, len(texts), WINDOW):
        window = list(texts[start : start + WINDOW])
        yield Task("plan", (window, role), f"the lengths of {len(window):,} texts", start)


def _shares(batches: Sequence[Batch], role: Role, parallel: int, window: int) -> Iterator[Task]:
    for start in range(0, len(batches), parallel):
        share = batches[start : start + parallel]
        yield Task("encode", (share, role), _named(share), window)


def _named(batches: Sequence[Batch]) -> str:
    texts = [text for batch in batches for text in batch.texts]
    longest = max(len(ids) for batch in batches for ids in batch.ids)
    return f"a batch of {len(texts):,} texts of up to {longest:,} tokens that begins {texts[0][:60]!r}"


def _engine(pool: Pool) -> dict[str, Any]:
    """What a record says of the workers; nothing that names a machine."""
    hellos: list[Hello] = pool.hellos
    machines = Counter(canonical_json(hello.hardware) for hello in hellos)
    first = {canonical_json(hello.hardware): hello.hardware for hello in hellos}
    return {
        "name": "ray",
        "workers": pool.size,
        "started_again": pool.restarts,
        "threads": sorted({hello.threads for hello in hellos}),
        "gpus": max(hello.gpus for hello in hellos),
        "hardware": [first[name] | {"workers_started": count} for name, count in machines.items()],
        "largest_difference": max(_difference(hello, hellos[0]) for hello in hellos),
    }


def _difference(one: Hello, other: Hello) -> float:
    """Of any value of the vectors of the same texts; 0 is equal to the last bit."""
    return float(np.abs(one.probe - other.probe).max())


def _compare(hello: Hello, first: Hello, name: str) -> None:
    """Say what keeps workers' vectors from being the same to the last bit."""
    if difference := _difference(hello, first):
        say(f"{name}: vectors of two workers differ by up to {difference:.1e}: their processors differ")
    own = versions()
    others = {package: have for package, have in hello.versions.items() if own.get(package) != have}
    if others:
        listed = ", ".join(f"{package} {have}" for package, have in others.items())
        say(f"{name}: a worker has other packages than this machine: {listed}")
