"""What all embedding APIs share: texts cut, packed, sent side by side, and their replies checked."""

from __future__ import annotations

import os
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from functools import cached_property, partial
from typing import Any, ClassVar
from urllib.parse import urlsplit

import numpy as np

from dibs.cards.model import ModelCard
from dibs.encoders.base import (
    EncodedBatch,
    Encoder,
    EncoderContext,
    FloatArray,
    IntArray,
    Role,
    prompt_for,
    unit_length,
)
from dibs.encoders.packing import cut_texts, packed
from dibs.encoders.replies import Reply, read_reply
from dibs.errors import DibsError, InputError, MissingError, ProviderError, unknown
from dibs.files import digest
from dibs.llm.batch import Batches
from dibs.llm.batch_api import BatchApi, Terms, batches_at
from dibs.llm.calls import RESUME, Patience, call
from dibs.llm.limiter import Limiter, StoppedError
from dibs.llm.pending import PendingError
from dibs.llm.service import Service, find_service, plain_url
from dibs.llm.tokens import CHARACTERS, CharacterTokenizer, Tokenizer, make_tokenizer

Send = Callable[[list[str]], bytes]
"""Makes one request with these texts; gives the reply's body or raises FailedCallError."""
BATCHED: Role = "document"
"""What `--batch-api` is for: queries are few, and a second batch would take a second day."""

_BATCH = 50_000
"""Texts of which a batch is made, some 120 MB of pages: OpenAI takes no more, and Voyage twice as many."""


class ApiEncoder(Encoder):
    """Embeddings from a provider. An adapter says where and how to send; the rest is here.

    Texts without a visible character become zero vectors and are never sent. A text longer than
    `max_tokens`, its prompt included, is cut with the card's tokenizer. The key is looked for when
    the first text has to be sent, so a corpus whose vectors are all in the store needs none.
    """

    adapter: ClassVar[str]
    provider: ClassVar[str]
    """Its name in messages, where it is at its own address."""
    own_url: ClassVar[str]
    url_variable: ClassVar[str | None] = None
    key_variable: ClassVar[str]
    cuttable: ClassVar[tuple[str, ...]]
    """How the names of models begin that give vectors of several dimensions."""
    known_options: ClassVar[frozenset[str]] = frozenset({"send_dimensions", "batch_requests"})
    terms: ClassVar[Terms]
    """Of the provider's batch interface."""

    def __init__(
        self,
        card: ModelCard,
        context: EncoderContext,
        *,
        limiter: Limiter | None = None,
        patience: Patience | None = None,
    ) -> None:
        """The card's model, not yet connected.

        Args:
            limiter: Shared by all that use the same key; one of its own if None.
            patience: How failing requests are tried again.

        Raises:
            InputError: The card has no dimension, an unknown option, or an address that cannot be used.
        """
        self.name = card.name
        if card.dimension is None:
            raise InputError("an API model's card needs its dimension", where=card.name)
        for option in card.options.keys() - self.known_options:
            raise unknown(f"option of {card.name}", option, self.known_options)
        self.dimension = card.dimension
        self.max_tokens: int = min(card.max_tokens or context.max_tokens, context.max_tokens)
        self.billed_tokens = 0
        """Tokens that the provider said it bills, of this encoder's requests so far."""
        self._batch_tokens = 0
        self._card, self._context = card, context
        self._model = card.model or card.name
        url = card.base_url or os.environ.get(self.url_variable or "") or self.own_url
        self._url = plain_url(url, card.name)
        self._provider = self.provider if self._url == self.own_url else urlsplit(self._url).netloc
        self._limiter = limiter or Limiter()
        self._patience = patience or Patience()
        self._billing = threading.Lock()

    @abstractmethod
    def _parameters(self, role: Role) -> dict[str, Any]:
        """What is sent besides the texts."""

    @abstractmethod
    def _connect(self, key: str, role: Role) -> AbstractContextManager[Send]:
        """A connection for texts of that role; its Send is called from several threads."""

    def _address(self, key: str | None) -> str:
        """The provider's address for that key."""
        return self._url

    @property
    def usd(self) -> float | None:
        """What the requests so far cost; None where the card has no price."""
        price = self._card.usd_per_million_tokens
        saved = self._batch_tokens * (self._card.batch_discount or 0.0)
        return None if price is None else (self.billed_tokens - saved) * price / 1_000_000

    def batch_usd(self, tokens: int, role: Role) -> float | None:
        """What so many tokens cost with `--batch-api`; None where the card has no price or no discount."""
        price, discount = self._card.usd_per_million_tokens, self._card.batch_discount
        if price is None or discount is None:
            return None
        return tokens * price * (1 - discount if role == BATCHED else 1) / 1_000_000

    @property
    def window(self) -> int | None:
        return _BATCH if self._context.batch else None

    def settings(self, role: Role) -> dict[str, Any]:
        values = {
            "adapter": self.adapter,
            "model": self._model,
            "role": role,
            "prompt": self._prompt(role),
            "max_tokens": self.max_tokens,
            "dimension": self.dimension,
            "tokenizer": self._card.tokenizer or CHARACTERS,
            "normalise": self._card.normalise,
        }
        return values if self._url == self.own_url else values | {"base_url": self._url}

    def tokens_to_send(self, texts: Sequence[str], role: Role) -> int:
        try:
            tokenizer = self._tokenizer
        except MissingError:  # an estimate needs no network
            tokenizer = CharacterTokenizer()
        prompt = self._prompt(role)
        counts = tokenizer.count([prompt + text for text in texts if text.strip()])
        return sum(min(count, self.max_tokens) for count in counts)

    def stream(self, texts: Sequence[str], role: Role) -> Iterator[EncodedBatch]:
        """Encode `texts`; each request's vectors as soon as they are there.

        When a request fails for good, no more are sent; those under way are waited for and given,
        then the failure is raised.

        Raises:
            MissingError: No key, or the provider does not accept it.
            InputError: The provider refuses the texts or the model, in its own words.
            ProviderError: A request failed after all retries.
        """
        tokens, sent = cut_texts(texts, self._prompt(role), self._tokenizer, self.max_tokens)
        blank = np.array([place for place, text in enumerate(sent) if not text], dtype=np.int64)
        if len(blank):
            yield self._batch(blank, np.zeros((len(blank), self.dimension), np.float32), tokens)
        if self._context.batch and role == BATCHED:
            yield from self._by_batch(sent, tokens)
            return
        most = self._card.batch_tokens
        if most is not None and not self._tokenizer.exact:
            most //= 2  # dense texts have twice the tokens that are estimated
        packs = packed(sent, np.minimum(tokens, self.max_tokens), self._card.batch_size, most)
        if not packs:
            return
        service = self._service()
        stop = threading.Event()

        def ask(pack: IntArray) -> Reply:
            one = partial(self._asked_once, send, [sent[place] for place in pack])
            try:
                reply = call(one, service, self._limiter, self._patience, stop)
            except DibsError:
                stop.set()
                raise
            with self._billing:
                self.billed_tokens += reply.billed_tokens
            return reply

        with (
            self._connect(service.key or "none", role) as send,
            ThreadPoolExecutor(min(len(packs), self._limiter.most)) as pool,
        ):
            waiting = {pool.submit(ask, pack): pack for pack in packs}
            try:
                yield from self._finished(waiting, tokens, len(texts))
            finally:
                stop.set()
                pool.shutdown(cancel_futures=True)

    def _by_batch(self, sent: list[str], tokens: IntArray) -> Iterator[EncodedBatch]:
        """What the provider's batches have done, a text a request: whichever texts are asked for next time,
        those that are under way are found again.
        """
        fingerprint, parameters = self.fingerprint(BATCHED), self._parameters(BATCHED)
        places: dict[str, list[int]] = {}
        requests: dict[str, dict[str, Any]] = {}
        for place, text in enumerate(sent):
            if text:
                key = digest([fingerprint, text])
                places.setdefault(key, []).append(place)
                requests[key] = parameters | {"input": [text]}
        failures: list[DibsError] = []
        pending: PendingError | None = None
        try:
            for results in self._batches.results(requests):
                failures += [done.result for done in results if isinstance(done.result, DibsError)]
                good = {done.item: done.result for done in results if isinstance(done.result, Reply)}
                billed = sum(reply.billed_tokens for reply in good.values())
                self.billed_tokens += billed
                self._batch_tokens += billed
                if good:
                    there = [place for key in good for place in places[key]]
                    rows = [good[key].vectors for key in good for _ in places[key]]
                    yield self._batch(np.array(there, dtype=np.int64), np.concatenate(rows), tokens)
        except PendingError as error:
            pending = error
        if failures:
            first = failures[0]
            problem = f"{first.problem}; {len(failures):,} of {len(requests):,} texts failed"
            raise type(first)(problem, where=first.where, todo=first.todo)
        if pending:
            raise pending

    @cached_property
    def _batches(self) -> Batches[Reply]:
        options = self._card.options
        return Batches(
            cache=self._context.cache,
            url=self._url,
            model=self._model,
            terms=self.terms,
            connect=self._batch_api,
            read=lambda body: self._checked(read_reply(body, 1)),
            most=int(options["batch_requests"]) if "batch_requests" in options else None,
        )

    def _batch_api(self) -> AbstractContextManager[BatchApi]:
        service = self._service()
        return batches_at(self._address(service.key), service, self._limiter, self._patience)

    def _service(self) -> Service:
        return find_service(self.name, self._provider, self._url, self._card.key, self.key_variable)

    def _finished(
        self, waiting: dict[Future[Reply], IntArray], tokens: IntArray, total: int
    ) -> Iterator[EncodedBatch]:
        failure: DibsError | None = None
        lacking = sum(map(len, waiting.values()))
        for future in as_completed(waiting):
            pack = waiting.pop(future)  # whose vectors are let go as soon as they are given
            try:
                reply = future.result()
            except StoppedError:
                continue
            except DibsError as error:
                failure = failure or error
                continue
            lacking -= len(pack)
            yield self._batch(pack, reply.vectors, tokens)
        if isinstance(failure, ProviderError):
            problem = f"{failure.problem}; {total - lacking:,} of {total:,} texts were done"
            raise ProviderError(problem, where=failure.where, todo=failure.todo or RESUME)
        if failure is not None:
            raise failure

    def _batch(self, places: IntArray, vectors: FloatArray, tokens: IntArray) -> EncodedBatch:
        return EncodedBatch(places, vectors, tokens[places] if self._tokenizer.exact else None)

    def _asked_once(self, send: Send, texts: list[str]) -> Reply:
        return self._checked(read_reply(send(texts), len(texts)))

    def _checked(self, reply: Reply) -> Reply:
        width = reply.vectors.shape[1]
        if width != self.dimension:
            raise InputError(
                f"{self._provider} gives vectors of dimension {width}, the card says {self.dimension}",
                where=self.name,
                todo="Correct `dimension` in the model's card.",
            )
        return Reply(unit_length(reply.vectors), reply.billed_tokens) if self._card.normalise else reply

    def _prompt(self, role: Role) -> str:
        return prompt_for(self._card, role, self._context.instruction)

    @property
    def _sends_dimension(self) -> bool:
        return bool(self._card.options.get("send_dimensions", self._model.startswith(self.cuttable)))

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return make_tokenizer(self._card.tokenizer)
