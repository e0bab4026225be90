"""Many requests at a lower price, through a provider's batch interface: the one door for whoever has them.

Nothing waits in here. A call orders what is not ordered yet, gives what is done, and says that the rest is
still with the provider; the same call later goes on from there, in this process or in another.
"""

from __future__ import annotations

import uuid
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

from dibs.errors import DibsError, InputError, MissingError, ProviderError
from dibs.files import digest
from dibs.llm.batch_api import LARGEST, BatchApi, BatchState, Terms
from dibs.llm.batch_journal import Entry, Journal
from dibs.llm.batch_lines import Line, lines_of
from dibs.llm.calls import RESUME, MalformedReplyError, RefusedError, is_passing, our_error
from dibs.llm.http import Payload
from dibs.llm.parallel import Done
from dibs.llm.pending import UNREACHED, PendingError
from dibs.llm.service import Service

ROUNDS = 3
"""Batches in which a request may fail before it is given up."""
CHUNK = 1000
"""Results that are given, and can be kept, together."""
_NAME = 32
"""Hexadecimal digits of a request's hash that name it to the provider, who may take no more than 64."""
_FULL = frozenset({"token_limit_exceeded"})
"""Codes that say: the account may have no more tokens waiting."""
_CANCELLED = "batch_cancelled"
_ORDERED_AGAIN = "The same command orders what it did not do."
_TOLD = 3
"""Faults of a batch that a warning tells."""
_T = TypeVar("_T")


class _AgainError(Exception):
    """A request that another batch may answer."""


@dataclass
class Batches(Generic[_T]):
    """The batches of one model at one provider."""

    cache: Path
    """The folder of all that DIBS keeps."""
    url: str
    model: str
    terms: Terms
    connect: Callable[[], AbstractContextManager[BatchApi]]
    read: Callable[[bytes], _T]
    """Makes a value of a reply; raises MalformedReplyError, or a DibsError that no other reply will help."""
    most: int | None = None
    """Requests in a batch, where fewer than the provider's most are wanted."""
    _given_up: dict[str, DibsError] = field(default_factory=dict)
    """Requests that are not sent again by this process."""
    _rounds: dict[str, int] = field(default_factory=dict)
    """How many batches a request has failed in."""

    def results(self, requests: Mapping[str, Payload]) -> Iterator[list[Done[str, _T | DibsError]]]:
        """What came of each request, by its key, as far as it is there; each comes once.

        A batch is forgotten when what follows its last results is asked for: keep each list at once.

        Args:
            requests: Bodies as the endpoint takes them, by a hash of each and of all else that changes a
                reply. They differ in the fields alone that `terms` says are a request's own.

        Raises:
            PendingError: after what is there, if anything is still with the provider.
            MissingError: the key is missing or refused.
            InputError: the provider does not take the requests, in its own words.
            ProviderError: it failed after all retries. What was ordered stays ordered.
        """
        keys = {key[:_NAME]: key for key in requests}
        if known := [name for name in keys if name in self._given_up]:
            yield [Done(keys[name], self._given_up[name]) for name in known]
        wanted = {name: requests[key] for name, key in keys.items() if name not in self._given_up}
        if not wanted:
            return
        journal = self._journal()
        with self.connect() as api:
            again: dict[str, Payload] = {}
            waiting: dict[Entry, BatchState] = {}
            flying, held = self._ordered(api, journal, wanted)
            for entry in flying:
                state = _state_of(api, journal, entry)
                if not state.over:
                    waiting[entry] = state
                elif state.status == "failed":
                    held += self._refused(api.service, journal, entry, state)
                else:
                    for chunk in self._collected(api, journal, entry, state, wanted, again):
                        yield [Done(keys[one.item], one.result) for one in chunk]
            if again:
                flying, more = self._ordered(api, journal, again)
                waiting |= {e: BatchState(str(e.batch), "validating", total=len(e.names)) for e in flying}
                held += more
            provider = api.service.provider
        if waiting or held:
            raise PendingError(provider, list(waiting.values()), held, lambda: self._looked(journal, waiting))

    def _looked(self, journal: Journal, entries: Iterable[Entry]) -> list[BatchState]:
        with self.connect() as api:
            return [_state_of(api, journal, entry) for entry in entries]

    def _journal(self) -> Journal:
        folder = self.cache / "batches" / digest([self.url, self.terms.endpoint, self.model])[:16]
        return Journal(folder, {"url": self.url, "endpoint": self.terms.endpoint, "model": self.model})

    def _ordered(
        self, api: BatchApi, journal: Journal, wanted: Mapping[str, Payload]
    ) -> tuple[list[Entry], int]:
        """The batches that hold these requests, and how many requests the provider does not take yet."""
        placed: dict[str, Entry] = {}
        with journal.lock():
            entries = journal.entries()
            try:
                for entry in sorted(entries, key=lambda entry: entry.batch is None):
                    known = entry if entry.batch else self._recovered(api, journal, entry, wanted)
                    if known is not None:
                        placed |= {name: known for name in known.names if name in wanted}
                for names in self._parts([name for name in wanted if name not in placed], wanted):
                    entry = journal.plan(names, self._rounds.get(names[0], 0) + 1)
                    placed |= dict.fromkeys(names, self._order(api, journal, entry, wanted))
            except RefusedError:
                if not any(entry.batch for entry in journal.entries()):
                    raise
        flying = {entry.mark: entry for entry in placed.values()}
        return list(flying.values()), len(wanted.keys() - placed.keys())

    def _recovered(
        self, api: BatchApi, journal: Journal, entry: Entry, wanted: Mapping[str, Payload]
    ) -> Entry | None:
        """A batch that was planned, if it was ordered or can be; None if it is to be forgotten."""
        if found := api.find(entry.mark):
            ordered = replace(entry, batch=found.id)
            journal.write(ordered)
            return ordered
        if entry.file and wanted.keys() >= set(entry.names):
            return self._order(api, journal, entry, wanted)
        journal.remove(entry)
        return None

    def _order(self, api: BatchApi, journal: Journal, entry: Entry, wanted: Mapping[str, Payload]) -> Entry:
        try:
            if entry.file is None:
                content = b"".join(self.terms.line(name, wanted[name]) for name in entry.names)
                entry = replace(entry, file=api.upload(content))
                journal.write(entry)
            shared = self.terms.shared(wanted[entry.names[0]])
            state = api.create(self.terms, str(entry.file), entry.mark, shared)
        except InputError:  # next time with a new file; but an attempt may have ordered, its reply lost
            journal.write(replace(entry, file=None))
            raise
        entry = replace(entry, batch=state.id)
        journal.write(entry)
        return entry

    def _parts(self, names: Sequence[str], bodies: Mapping[str, Payload]) -> Iterator[list[str]]:
        """The requests of each batch: within the provider's limits, and all of one round."""
        most = min(self.most or self.terms.most, self.terms.most)
        part: list[str] = []
        size = 0
        for name in sorted(names, key=lambda name: self._rounds.get(name, 0)):
            need = len(self.terms.line(name, bodies[name]))
            other = part and self._rounds.get(name, 0) != self._rounds.get(part[0], 0)
            if part and (other or len(part) == most or size + need > LARGEST):
                yield part
                part, size = [], 0
            part.append(name)
            size += need
        if part:
            yield part

    def _refused(self, service: Service, journal: Journal, entry: Entry, state: BatchState) -> int:
        """A batch that was not begun: how many requests wait for another time.

        Raises:
            InputError: it will not be taken as it is; ProviderError: the account has no room for it.
        """
        said = service.shown(state.problem or "no reason given")
        with journal.lock():
            journal.remove(entry)
            if state.code in _FULL and any(other.batch for other in journal.entries()):
                journal.write(replace(entry, mark=uuid.uuid4().hex, batch=None))
                return len(entry.names)
        if state.code in _FULL:
            todo = f"Give the card's options a smaller batch_requests; this one had {len(entry.names):,}."
            raise ProviderError(
                f"{service.provider} has no room for a batch: {said}", where=self.model, todo=todo
            )
        todo = "Correct the model's card, or run without --batch-api."
        raise InputError(f"{service.provider} refused a batch: {said}", where=self.model, todo=todo)

    def _collected(
        self,
        api: BatchApi,
        journal: Journal,
        entry: Entry,
        state: BatchState,
        wanted: Mapping[str, Payload],
        again: dict[str, Payload],
    ) -> Iterator[list[Done[str, _T | DibsError]]]:
        """The results of a batch that is over; what another batch may answer is put into `again`."""
        mine = [name for name in entry.names if name in wanted]
        reasons = dict.fromkeys(mine, "no line of the results is of it")
        if state.status == "cancelled":
            reasons = dict.fromkeys(mine, _CANCELLED)
        faults: Counter[str] = Counter()
        chunk: list[Done[str, _T | DibsError]] = []
        for line in lines_of(api, state, {*entry.names, *entry.taken}, faults):
            if line.name not in reasons:
                continue
            try:
                chunk.append(Done(line.name, self._made(line, api.service)))
                del reasons[line.name]
            except _AgainError as failed:
                reasons[line.name] = str(failed)
            if len(chunk) == CHUNK:
                yield chunk
                chunk = []
        progressed = state.status == "expired" and len(reasons) < len(mine)
        lost = Counter(reasons.values())
        for name, reason in reasons.items():
            self._rounds[name] = entry.round - progressed
            if reason != _CANCELLED and self._rounds[name] < ROUNDS:
                again[name] = wanted[name]
                continue
            self._given_up[name] = self._failure(api.service, reason, state)
            chunk.append(Done(name, self._given_up[name]))
        self._warn(api.service, state, faults + lost)
        if chunk:
            yield chunk
        with journal.lock():
            journal.take(entry, set(mine))

    def _made(self, line: Line, service: Service) -> _T | DibsError:
        if isinstance(line.result, bytes):
            try:
                return self.read(line.result)
            except MalformedReplyError as error:
                raise _AgainError(f"a reply cannot be read: {error}") from None
            except DibsError as error:
                return self._given_up.setdefault(line.name, error)
        failed = line.result
        if failed.code == _CANCELLED:
            raise _AgainError(_CANCELLED)
        if is_passing(failed):
            raise _AgainError(service.shown(failed.message))
        return self._given_up.setdefault(line.name, our_error(failed, service, 1))

    def _failure(self, service: Service, reason: str, state: BatchState) -> DibsError:
        if reason == _CANCELLED:
            problem, todo = f"the batch {state.id} was cancelled at {service.provider}", _ORDERED_AGAIN
        else:
            problem = f"{service.provider} failed in {ROUNDS} batches, in the last because {reason}"
            todo = RESUME
        return ProviderError(problem, where=self.model, todo=todo)

    def _warn(self, service: Service, state: BatchState, faults: Counter[str]) -> None:
        if faults:
            said = "; ".join(f"{count:,} times: {fault}" for fault, count in faults.most_common(_TOLD))
            warnings.warn(f"{service.provider}, batch {state.id} ({state.status}): {said}", stacklevel=3)


def _state_of(api: BatchApi, journal: Journal, entry: Entry) -> BatchState:
    """How far a batch is, so far as it can be known.

    Raises:
        MissingError: the key is refused; InputError: the provider knows no such batch.
    """
    try:
        state = api.state(str(entry.batch))
    except MissingError:
        raise
    except InputError as error:
        todo = (
            f"Use the key that it was ordered with, or delete {journal.path(entry)}: its requests are then "
            "sent, and paid, again."
        )
        raise InputError(f"{error.problem} (batch {entry.batch})", where=error.where, todo=todo) from None
    except ProviderError:
        state = BatchState(str(entry.batch), UNREACHED)
    return replace(state, total=max(state.total, len(entry.names)))
