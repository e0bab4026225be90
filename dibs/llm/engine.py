"""What all chat models share: the cache, requests side by side, and what they cost."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from dibs.cards.model import LLMCard
from dibs.errors import DibsError, InputError, MissingError, ProviderError
from dibs.llm.batch import Batches
from dibs.llm.batch_api import BatchApi, Terms
from dibs.llm.cache import ReplyCache
from dibs.llm.calls import RESUME, Patience, call
from dibs.llm.chat import Asked, Estimate, Reply, Request, Spent
from dibs.llm.cost import batch_price, price, prompt_tokens, tokenizer_of
from dibs.llm.dialect import Dialect
from dibs.llm.http import Payload
from dibs.llm.limiter import Limiter
from dibs.llm.line import Line, Relay
from dibs.llm.options import read_options
from dibs.llm.parallel import Done, side_by_side
from dibs.llm.protocol import body_of, read_reply
from dibs.llm.tokens import Tokenizer
from dibs.llm.wanted import Wanted, wanted
from dibs.progress import track

HOPELESS = 10
"""So many requests in a row without a reply, and the rest is not tried: the server is down."""

_Done: TypeAlias = Done[str, Reply | DibsError]


class ChatClient(ABC):
    """A chat model that speaks the protocol of `/chat/completions`; an adapter says how it is reached.

    A reply is kept under the SHA-256 of `settings` and of the whole request, as a server that takes
    everything would get it: what is found out about a server changes no key.
    """

    adapter: ClassVar[str]
    options: ClassVar[Mapping[str, type]] = {}
    """Options of the adapter's own, besides those of `ChatOptions`, and their types."""
    quiet_options: ClassVar[frozenset[str]] = frozenset()
    """Those of them that change no reply."""
    patience: ClassVar[Patience] = Patience()
    terms: ClassVar[Terms | None] = None
    """Of the provider's batch interface; None where there is none."""

    def __init__(
        self, card: LLMCard, cache: Path, *, limiter: Limiter | None = None, patience: Patience | None = None
    ) -> None:
        """The card's model, not yet connected.

        Args:
            cache: The folder of all that DIBS keeps; replies are in `llm` below it.
            limiter: Shared by all that use the same key; by default those of this process are.
            patience: How failing requests are tried again.

        Raises:
            InputError: an option is unknown or wrong, or the address cannot be used.
            MissingError: a variable of the address is not set.
        """
        self.name = card.name
        self.spent = Spent(usd=price(card, 0, 0))
        self._card = card
        self._options = read_options(card, self.options, self.quiet_options)
        self._model = card.model or card.name
        self._url = self._address()
        self._spending = threading.Lock()
        self._cache = ReplyCache(cache / "llm")
        timeout = self._options.timeout or self.patience.timeout
        self._patience = patience or replace(self.patience, timeout=timeout)
        self._limiter = limiter or _limiter(self._url, card.key, self._options.concurrency)
        self._dialect = _dialect(self._url, self._model, self._options.refused)
        self._folder = cache
        self._batches: Batches[Reply] | None = None
        self.relay: Relay | None = None
        """What sends the requests, if not this process."""

    def use_batches(self) -> None:
        """From now on, have what has to be asked asked through the provider's batch interface.

        Raises:
            InputError: there is none.
        """
        if self.terms is None:
            problem = f"the adapter {self.adapter} has no batch interface"
            raise InputError(problem, where=self.name, todo="Run without --batch-api.")
        self._batches = Batches(
            cache=self._folder,
            url=self._url,
            model=self._model,
            terms=self.terms,
            connect=self._batch_api,
            read=read_reply,
            most=self._options.batch_requests,
        )

    @abstractmethod
    def _address(self) -> str:
        """Where the model is; nothing secret."""

    @abstractmethod
    def _connected(self) -> AbstractContextManager[Line]:
        """The way to the model while the block runs.

        Raises:
            MissingError: there is no key.
        """

    @contextmanager
    def line(self) -> Iterator[Line]:
        """The way that requests take while the block runs: the adapter's own, or the relay's.

        Raises:
            MissingError: there is no key.
        """
        with self._connected() as own:
            if self.relay is None:
                yield own
                return
            with self.relay.line(own, self._limiter.most) as line:
                yield line

    def _batch_api(self) -> AbstractContextManager[BatchApi]:
        """The way to the provider's batches; an adapter that has `terms` has one.

        Raises:
            MissingError: there is no key.
        """
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        return {
            "adapter": self.adapter,
            "base_url": self._url,
            "model": self._model,
            "revision": self._card.revision,
            "temperature": self._card.temperature,
            "options": self._options.telling,
        }

    def ask(self, requests: Sequence[Request], label: str = "") -> Iterator[Asked]:
        """Each reply as soon as it is there, the cached ones first; as `ChatModel.ask`.

        When HOPELESS requests in a row end without a reply, the others are not sent and come as errors.
        An iterator that is closed, or ended by Ctrl-C, gives requests under way a few seconds to end.
        """
        bar = track(label, len(requests), "requests") if label else nullcontext(lambda count: None)
        with closing(self._cache), bar as advance, closing(self._asked(requests)) as each:
            for asked in each:
                advance(1)
                yield asked

    def estimate(self, requests: Sequence[Request]) -> Estimate:
        needed = self._wanted(requests)
        with closing(self._cache) as cache:
            sent = [requests[places[0]] for key, places in needed.positions.items() if not cache.get(key)]
        read = prompt_tokens(sent, self._tokenizer)
        written = sum(request.max_tokens for request in sent)
        return Estimate(
            requests=len(sent),
            cached=len(requests) - len(needed.faulty) - len(sent),
            prompt_tokens=read,
            completion_tokens=written,
            usd=price(self._card, read, written),
            batch_usd=batch_price(self._card, read, written) if self.terms else None,
            exact=self._tokenizer.exact,
        )

    def _asked(self, requests: Sequence[Request]) -> Generator[Asked, None, None]:
        needed = self._wanted(requests)
        self.spent.failed += len(needed.faulty)
        yield from needed.faulty
        missing = []
        for key, places in needed.positions.items():
            kept = self._cache.get(key)
            if kept is None:
                missing.append(key)
                continue
            self.spent.cached += len(places)
            yield from (Asked(place, kept) for place in places)
        if not missing:
            return
        send = self._by_batch if self._batches else self._sent
        with closing(send(missing, needed.bodies)) as each:
            for key, result in each:
                first, *others = needed.positions[key]
                yield Asked(first, result)
                if isinstance(result, Reply):
                    self.spent.cached += len(others)
                    result = replace(result, cached=True)
                yield from (Asked(place, result) for place in others)

    def _wanted(self, requests: Sequence[Request]) -> Wanted:
        card, options = self._card, self._options
        bodies = (body_of(request, self._model, card.temperature, options.extra) for request in requests)
        return wanted(bodies, self.settings(), self.name)

    def _sent(self, keys: Sequence[str], bodies: Mapping[str, Payload]) -> Generator[_Done, None, None]:
        """What came of each request; every key comes once."""
        stop, left, in_a_row, last = threading.Event(), dict.fromkeys(keys), 0, ""
        with self.line() as line:

            def one(key: str) -> Reply | DibsError:
                return self._bought(key, bodies[key], line, stop)

            with closing(side_by_side(keys, one, self._limiter.most, stop)) as each:
                for done in each:
                    del left[done.item]
                    if isinstance(done.result, ProviderError):
                        in_a_row, last = in_a_row + 1, done.result.problem
                    else:
                        in_a_row = 0
                    if in_a_row == HOPELESS:
                        stop.set()
                    yield done
        self.spent.failed += len(left)
        problem = f"was not asked, since {HOPELESS} requests in a row failed, the last because {last}"
        for key in left:
            yield Done(key, ProviderError(problem, where=self.name, todo=RESUME))

    def _by_batch(self, keys: Sequence[str], bodies: Mapping[str, Payload]) -> Generator[_Done, None, None]:
        """What came of each request that is not still with the provider.

        Raises:
            PendingError: at the end, if any is.
            MissingError: the key is refused.
        """
        assert self._batches is not None
        requests = {key: self._dialect.spoken(bodies[key]) for key in keys}
        for results in self._batches.results(requests):
            for done in results:  # all are kept before any is looked at
                if isinstance(done.result, Reply):
                    self._charge(done.result)
                    self._cache.put(done.item, done.result)
                    continue
                self.spent.requests += 1
                self.spent.failed += 1
                if isinstance(done.result, MissingError):
                    raise done.result
            yield from results

    def _bought(self, key: str, body: Payload, line: Line, stop: threading.Event) -> Reply | DibsError:
        """The reply, charged and kept; what concerns all requests is raised.

        Raises:
            MissingError: the key is refused.
            InputError: the reply cannot be kept, so no more should be paid for.
        """

        def send() -> Reply:
            return read_reply(self._dialect.send(line.post, body, line.service.shown))

        try:
            reply = call(send, line.service, self._limiter, self._patience, stop)
        except DibsError as error:
            with self._spending:
                self.spent.requests += 1
                self.spent.failed += 1
            if isinstance(error, MissingError):
                raise
            return error
        self._charge(reply)
        self._cache.put(key, reply)
        return reply

    def _charge(self, reply: Reply) -> None:
        charge = batch_price if self._batches else price
        usd = charge(self._card, reply.prompt_tokens, reply.completion_tokens)
        with self._spending:
            spent = self.spent
            spent.requests += 1
            spent.prompt_tokens += reply.prompt_tokens or 0
            spent.completion_tokens += reply.completion_tokens or 0
            spent.usd = None if spent.usd is None or usd is None else spent.usd + usd

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return tokenizer_of(self._card)


@cache
def _limiter(url: str, key: str | None, most: int) -> Limiter:
    """The one limiter of this process for a server, and the variable of the key."""
    return Limiter(most=most)


@cache
def _dialect(url: str, model: str, refused: frozenset[str]) -> Dialect:
    """What this process knows about a server's model."""
    return Dialect(f"{model} at {url}", refused)
