"""Ray's processes: begun for one command on this machine, or a cluster that is there already."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dibs.encoders.base import needs
from dibs.errors import InputError, ProviderError

_OBJECTS = 256 * 2**20
"""Bytes of shared memory of a local cluster: some batches under way, of 100 KB each."""

_ENDING = 10.0
"""Seconds that killed processes have to end in."""
_ATTEMPTS = 3
"""Times that a local cluster is begun: Ray gives it 30 seconds, which are few for a busy machine."""


@dataclass(frozen=True)
class Node:
    """A machine of the cluster."""

    id: str
    cpus: int
    gpus: int


@dataclass(frozen=True)
class Seat:
    """Where one worker runs, and what it has there."""

    node: str
    place: int
    """Its number among the workers of its node."""
    threads: int
    gpus: int
    """1 or 0."""
    cores: float
    """Of the node, that Ray reckons with: less than 1 where there are more workers than cores."""


def seats_of(nodes: Sequence[Node], workers: int | None) -> tuple[Seat, ...]:
    """A worker for each GPU, or for each node where no node has any; a node's cores are divided.

    Args:
        workers: So many instead, on the nodes in turn.

    Raises:
        InputError: more workers than GPUs.
    """
    gpus = sum(node.gpus for node in nodes)
    if gpus and (workers or 0) > gpus:
        raise InputError(
            f"--workers {workers}: the cluster has {gpus} GPUs", todo="A worker takes one; ask for fewer."
        )
    wanted = workers or gpus or len(nodes)
    places = [node for turn in range(wanted) for node in nodes if not gpus or turn < node.gpus][:wanted]
    seats, taken = [], dict.fromkeys((node.id for node in nodes), 0)
    for node in places:
        share = node.cpus / places.count(node)
        cores = int(share) or round(share - 5e-5, 4)  # Ray's unit, rounded down
        seats.append(Seat(node.id, taken[node.id], max(1, int(share)), min(1, gpus), cores))
        taken[node.id] += 1
    return tuple(seats)


class Cluster:
    """Ray, begun when the first worker is wanted."""

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        """Nothing is begun yet.

        Args:
            address: Of a cluster that this machine belongs to, or `auto`; None begins one here.
            workers: How many, if not one for each GPU or node.

        Raises:
            MissingError: Ray is not installed.
            InputError: the address is one of Ray's client, which is not spoken here.
        """
        needs("ray", "ray")
        if address and "://" in address:
            raise InputError(
                f"--address {address}: is no address of a cluster that this machine belongs to",
                todo="Run this on a machine of the cluster, with --address auto or HOST:PORT.",
            )
        self.workers = workers
        self._address = address
        self._folder: str | None = None
        self._nodes: list[Node] = []

    @property
    def local(self) -> bool:
        """Whether it is this command's own."""
        return self._address is None

    @property
    def nodes(self) -> list[Node]:
        """The machines that are there now; Ray is begun."""
        self._begin()
        return self._nodes

    def actor(self, kind: type, seat: Seat, *arguments: Any, shares: int = 0) -> Any:
        """A worker of that class, made in a process of its own.

        Args:
            shares: 0 for one that takes its seat's cores and GPU; else so many calls at once, and neither.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        options: dict[str, Any] = {"num_cpus": 0, "max_concurrency": shares}
        if not shares:
            options = {"num_cpus": seat.cores, "num_gpus": seat.gpus}
            options["concurrency_groups"] = {"plan": 1, "encode": 1}
        # Soft: when a machine is gone, its workers may find room on another.
        options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(seat.node, soft=True)
        remote: Any = ray.remote(**options)
        return remote(kind).remote(*arguments)

    def seats(self) -> tuple[Seat, ...]:
        """One for each worker that encodes."""
        return seats_of(self.nodes, self.workers)

    def stop(self) -> None:
        """End what was begun; a cluster that was there before stays."""
        if not (self._nodes or self._folder):
            return
        self._nodes = []
        self._clear()
        atexit.unregister(self.stop)

    def _begin(self) -> None:
        if self._nodes:
            return
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # both are read when Ray begins
        os.environ.setdefault("RAY_worker_niceness", "0")  # 15 would put workers behind all else here
        import ray

        _quiet()
        atexit.register(self.stop)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                ray.init(log_to_driver=False, logging_level=logging.ERROR, **self._settings())
                break
            except Exception as error:  # noqa: BLE001 - Ray's errors have no parent of their own
                self._clear()
                if self.local and attempt < _ATTEMPTS:
                    continue
                where = "on this machine" if self.local else f"at {self._address}"
                raise ProviderError(
                    f"Ray cannot be begun {where}: {str(error).strip().splitlines()[0]}",
                    todo="Run this on a machine of the cluster (ray status); without --address, one "
                    "begins here.",
                ) from None
        found: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        self._nodes = [_node(one["NodeID"], one["Resources"]) for one in found if one["Alive"]]

    def _settings(self) -> dict[str, Any]:
        if not self.local:
            return {"address": self._address}
        self._folder = tempfile.mkdtemp(prefix="dibs-ray-")
        return {
            "address": "local",
            "include_dashboard": False,
            "object_store_memory": _OBJECTS,
            "_temp_dir": self._folder,
        }

    def _clear(self) -> None:
        """End Ray, or what is half begun of it."""
        import ray

        with suppress(Exception):
            ray.shutdown()
        if self._folder:
            _kill_those_of(self._folder)
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _node(name: str, resources: dict[str, float]) -> Node:
    return Node(name, int(resources.get("CPU", 0)) or 1, int(resources.get("GPU", 0)))


def _kill_those_of(folder: str) -> None:
    """Kill processes that this one has begun for a cluster in that folder; those of a start in vain go on."""
    try:
        import psutil  # type: ignore[import-untyped,unused-ignore]
    except ImportError:  # then they end with this process
        return
    begun = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if any(folder in word for word in child.cmdline()):
                child.kill()
                begun.append(child)
    psutil.wait_procs(begun, timeout=_ENDING)


def _quiet() -> None:
    """Without what Ray prints of dead workers: on standard output, where `--json` stands, and we say it."""
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_, **__: None
