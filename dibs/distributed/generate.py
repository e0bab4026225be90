"""Chat requests sent by workers, one on each machine of a cluster, to the server that each machine has."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dibs.cards.model import LLMCard
from dibs.distributed.cluster import Cluster, Seat
from dibs.distributed.worker import usable
from dibs.errors import DibsError
from dibs.llm.calls import FailedCallError
from dibs.llm.chat import make_llm
from dibs.llm.engine import ChatClient
from dibs.llm.http import Payload
from dibs.llm.line import Line
from dibs.progress import say
from dibs.provenance import hardware

_DIED = "the worker that sent it died"


class AskWorker:
    """A chat model's adapter in a process of its own; it sends, and keeps nothing."""

    def __init__(self, card: LLMCard, cache: Path) -> None:
        self._card, self._cache = card, cache
        self._open = ExitStack()
        self._line: Line | None = None
        self._opening = threading.Lock()

    def start(self) -> dict[str, Any]:
        """Connect, and say what machine this is.

        Raises:
            DibsError: what the adapter raises, such as for a key that is missing here.
        """
        self._connected()
        return hardware()

    def ask(self, body: Payload) -> bytes:
        """The reply's body.

        Raises:
            FailedCallError: none came; no key is in its words.
        """
        line = self._connected()
        try:
            return line.post(body)
        except FailedCallError as failed:
            shown = line.service.shown(failed.message)
            raise FailedCallError(
                shown, status=failed.status, retry_after=failed.retry_after, code=failed.code
            ) from None

    def _connected(self) -> Line:
        with self._opening:  # requests come in many threads
            if self._line is None:
                client = make_llm(self._card, usable(self._cache))
                assert isinstance(client, ChatClient)
                self._line = self._open.enter_context(client.line())
            return self._line


class Relay:
    """The way to a chat model through workers; replies are kept, and failures retried, by the command."""

    def __init__(self, cluster: Cluster, card: LLMCard, cache: Path) -> None:
        self._cluster, self._card, self._cache = cluster, card, cache
        self._workers: dict[Seat, Any] = {}
        self._busy: Counter[Seat] = Counter()
        self._changing = threading.Lock()
        self._most = 1
        self.about: dict[str, Any] = {}
        """What a record says of the workers; empty until something is asked."""

    @contextmanager
    def line(self, own: Line, most: int) -> Iterator[Line]:
        """The way while the block runs.

        Args:
            own: The command's own way, whose words for the service are used.
            most: Requests under way at once.
        """
        import ray

        self._most = most
        seats = self._seats()
        self._workers = {seat: self._made(seat) for seat in seats}
        try:
            machines = ray.get([worker.start.remote() for worker in self._workers.values()])
            self.about |= {"name": "ray", "workers": len(seats), "hardware": machines, "started_again": 0}
            yield Line(own.service, self._post)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, DibsError):
                raise error.cause from None
            raise
        finally:
            for worker in self._workers.values():
                ray.kill(worker)
            self._workers = {}

    def _post(self, body: Payload) -> bytes:
        """Send by the worker that has least to do; its death is one failed attempt of the request."""
        import ray

        with self._changing:
            seat = min(self._workers, key=lambda seat: self._busy[seat])
            worker = self._workers[seat]
            self._busy[seat] += 1
        try:
            reply: bytes = ray.get(worker.ask.remote(body))
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayError:
            self._again(seat, worker)
            raise FailedCallError(_DIED) from None
        finally:
            with self._changing:
                self._busy[seat] -= 1
        return reply

    def _again(self, seat: Seat, died: Any) -> None:
        """Another worker in that seat, once for all requests that the dead one had."""
        with self._changing:
            if self._workers.get(seat) is not died:
                return
            self._workers[seat] = self._made(seat)
            self.about["started_again"] += 1
        say("a worker died and is started again; what it had asked is asked again")

    def _made(self, seat: Seat) -> Any:
        return self._cluster.actor(AskWorker, seat, self._card, self._cache, shares=self._most)

    def _seats(self) -> list[Seat]:
        """One on each machine, or as many as the user wants, on the machines in turn."""
        nodes = self._cluster.nodes
        wanted = self._cluster.workers or len(nodes)
        return [Seat(nodes[n % len(nodes)].id, n // len(nodes), 1, 0, 0) for n in range(wanted)]
