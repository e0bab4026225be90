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

from dibs.cards import ModelCard
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
from dibs.encoders.replies import Reply, read_reply
from dibs.errors import DibsError, InputError, MissingError, ProviderError, unknown
from dibs.llm.calls import RESUME, Patience, call
from dibs.llm.limiter import Limiter, StoppedError
from dibs.llm.service import find_service, plain_url
from dibs.llm.tokens import CHARACTERS, CharacterTokenizer, Tokenizer, make_tokenizer

Send = Callable[[list[str]], bytes]
"""Makes one request with these texts; gives the reply's body or raises FailedCallError."""


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
    known_options: ClassVar[frozenset[str]] = frozenset({"send_dimensions"})

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
        self._card, self._context = card, context
        self._model = card.model or card.name
        url = card.base_url or os.environ.get(self.url_variable or "") or self.own_url
        self._url = plain_url(url, card.name)
        self._provider = self.provider if self._url == self.own_url else urlsplit(self._url).netloc
        self._limiter = limiter or Limiter()
        self._patience = patience or Patience()
        self._billing = threading.Lock()

    @abstractmethod
    def _connect(self, key: str, role: Role) -> AbstractContextManager[Send]:
        """A connection for texts of that role; its Send is called from several threads."""

    @property
    def usd(self) -> float | None:
        """What the requests so far cost; None where the card has no price."""
        price = self._card.usd_per_million_tokens
        return None if price is None else self.billed_tokens * price / 1_000_000

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
        tokens, sent = self._prepared(texts, role)
        blank = np.array([place for place, text in enumerate(sent) if not text], dtype=np.int64)
        if len(blank):
            yield self._batch(blank, np.zeros((len(blank), self.dimension), np.float32), tokens)
        packs = self._packs(sent, np.minimum(tokens, self.max_tokens))
        if not packs:
            return
        variable = self._card.key or self.key_variable
        service = find_service(self.name, self._provider, self._url, variable)
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

    def _prepared(self, texts: Sequence[str], role: Role) -> tuple[IntArray, list[str]]:
        """(n,) tokens of whole texts, and what is sent of each: cut, and empty if nothing is."""
        prompt = self._prompt(role)
        whole = [prompt + text if text.strip() else "" for text in texts]
        counts = self._tokenizer.count(whole)
        tokens = np.array(
            [count if text else 0 for count, text in zip(counts, whole, strict=True)], dtype=np.int64
        )
        sent = [
            text if count <= self.max_tokens else self._tokenizer.cut(text, self.max_tokens)
            for text, count in zip(whole, tokens, strict=True)
        ]
        return tokens, [text if text.strip() else "" for text in sent]

    def _packs(self, sent: list[str], tokens: IntArray) -> list[IntArray]:
        """Places of the texts of each request, in order, within the card's limits."""
        most = self._card.batch_tokens
        if most is not None and not self._tokenizer.exact:
            most //= 2  # dense texts have twice the tokens that are estimated
        packs: list[list[int]] = []
        room = 0
        for place in (place for place, text in enumerate(sent) if text):
            need = int(tokens[place])
            if not packs or len(packs[-1]) == self._card.batch_size or (most is not None and need > room):
                packs.append([])
                room = most or 0
            packs[-1].append(place)
            room -= need
        return [np.array(pack, dtype=np.int64) for pack in packs]

    def _asked_once(self, send: Send, texts: list[str]) -> Reply:
        reply = read_reply(send(texts), len(texts))
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
