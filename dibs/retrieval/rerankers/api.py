"""What all reranking APIs share: requests side by side, each query's failure its own."""

from __future__ import annotations

import os
import threading
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

import numpy as np

from dibs.cards.model import RerankerCard
from dibs.encoders.base import EncoderContext, IntArray
from dibs.errors import DibsError, InputError, MissingError, unknown
from dibs.llm.calls import Patience, call
from dibs.llm.http import Payload, posting
from dibs.llm.limiter import Limiter
from dibs.llm.service import find_service, plain_url
from dibs.llm.tokens import CharacterTokenizer
from dibs.retrieval.rerankers.base import Pair, Reranker, ScoredPairs
from dibs.retrieval.rerankers.replies import Reply, read_reply
from dibs.retrieval.rerankers.requests import answers, pair_tokens, requests_for

NOTHING = np.float32(-1e9)
"""The score of a document without a visible character: below all others, and never sent."""
HOPELESS = 10
"""So many failures in a row, and the rest is not tried: the server is down, or refuses them all."""

_REQUEST = "request."
_SHOWN = 80


class ApiReranker(Reranker):
    """Scores from a provider. An adapter says what is sent and how a reply reads; the rest is here.

    A query's documents go in one request, or in several where the card's limits (`batch_size`
    documents, `batch_tokens` tokens) ask for it. Documents are cut to the task's limit or the card's,
    whichever is less, at 4 characters a token; what is too long for the model even so is the
    provider's to cut. Options of the card that begin with `request.` are put into every request.
    The key is looked for when the first pair has to be sent.
    """

    adapter: ClassVar[str]
    provider: ClassVar[str]
    """Its name in messages, where it is at its own address."""
    own_url: ClassVar[str | None] = None
    url_variable: ClassVar[str | None] = None
    key_variable: ClassVar[str]
    known_options: ClassVar[frozenset[str]] = frozenset()
    patience: ClassVar[Patience] = Patience()
    prompt_tokens = 0
    """Sent with each pair besides its texts."""

    def __init__(
        self,
        card: RerankerCard,
        context: EncoderContext,
        *,
        limiter: Limiter | None = None,
        patience: Patience | None = None,
    ) -> None:
        """The card's model, not yet connected.

        Args:
            limiter: Shared by all that use the same key; one of its own if None.
            patience: How failing requests are tried again; the adapter's own way if None.

        Raises:
            InputError: The card has no address or one that cannot be used, or an option nobody knows.
        """
        self.name = card.name
        url = card.base_url or os.environ.get(self.url_variable or "") or self.own_url
        if url is None:
            raise InputError(
                "the card does not say where the server is",
                where=card.name,
                todo="Add base_url to it, such as http://127.0.0.1:8000.",
            )
        for option in card.options:
            if option not in self.known_options and not option.startswith(_REQUEST):
                known = [*self.known_options, f"{_REQUEST}NAME"]
                raise unknown(f"option of the adapter {self.adapter}", option, known)
        self._url = plain_url(url, card.name)
        self._card = card
        self._model = card.model or card.name
        self._max_tokens = min(filter(None, (card.max_tokens, context.max_tokens)))
        self._limiter = limiter or Limiter()
        self._patience = patience or self.patience
        self._billed = 0
        self._failures: dict[int, str] = {}

    @abstractmethod
    def _body(self, query: str, documents: list[str]) -> Payload:
        """What is sent."""

    def _address(self, key: str | None) -> str:
        """Where it is sent to, with that key."""
        return self._url

    def _read(self, body: bytes, count: int) -> Reply:
        return read_reply(body, count)

    def tokens_to_send(self, pairs: Sequence[Pair]) -> int:
        visible = [pair for pair in pairs if _is_visible(pair)]
        return sum(pair_tokens(visible, self._max_tokens)) + len(visible) * self.prompt_tokens

    @property
    def failures(self) -> list[str]:
        return [line for _, line in sorted(self._failures.items())]

    @property
    def billed_tokens(self) -> int:
        return self._billed

    @property
    def usd(self) -> float | None:
        price = self._card.usd_per_million_tokens
        return None if price is None else self._billed * price / 1_000_000

    def settings(self) -> dict[str, Any]:
        values = {
            "adapter": self.adapter,
            "model": self._model,
            "max_tokens": self._max_tokens,
            "request": self._extra,
        }
        return values if self._url == self.own_url else values | {"base_url": self._url}

    def stream(self, pairs: Sequence[Pair]) -> Iterator[ScoredPairs]:
        """Score `pairs`; each request's as soon as they are there.

        A request that fails after all retries is noted in `failures`, and the others go on. When
        HOPELESS requests fail in a row, or the key is refused, no more are sent; those under way are
        waited for and given, then the failure is raised.

        Raises:
            MissingError: No key, or the provider does not accept it.
            InputError: The provider refuses one request after the other, in its own words.
            ProviderError: One request after the other failed after all retries.
        """
        self._failures = {}
        visible = [place for place, pair in enumerate(pairs) if _is_visible(pair)]
        blank = np.setdiff1d(np.arange(len(pairs)), visible)
        if len(blank):
            yield ScoredPairs(blank, np.full(len(blank), NOTHING, np.float32))
        requests = requests_for(
            pairs,
            visible,
            longest=self._max_tokens,
            documents=self._card.batch_size,
            tokens=self._card.batch_tokens,
        )
        if not requests:
            return
        service = find_service(self.name, self._provider, self._url, self._card.key, self.key_variable)
        with posting(
            self._address(service.key),
            service.key,
            timeout=self._patience.timeout,
            connections=self._limiter.most,
        ) as post:
            cut = CharacterTokenizer().cut
            stop = threading.Event()

            def ask(request: IntArray) -> Reply:
                documents = [cut(pairs[place].document, self._max_tokens) for place in request]
                body = self._body(pairs[request[0]].query, documents) | self._extra
                return call(
                    lambda: self._read(post(body), len(request)), service, self._limiter, self._patience, stop
                )

            fatal: DibsError | None = None
            in_a_row = 0
            most = min(len(requests), self._limiter.most)
            for request, result in answers(requests, ask, most, stop):
                if isinstance(result, DibsError):
                    in_a_row += 1
                    self._failures[int(request[0])] = _line(pairs[request[0]].query, result)
                    if isinstance(result, MissingError) or in_a_row == HOPELESS:
                        fatal = fatal or _fatal(result, in_a_row)
                        stop.set()
                    continue
                in_a_row = 0
                self._billed += result.billed_tokens
                yield ScoredPairs(request, result.scores)
        if fatal is not None:
            raise fatal

    @property
    def _extra(self) -> Payload:
        """What the card's options add to a request."""
        options = self._card.options.items()
        return {name.removeprefix(_REQUEST): value for name, value in options if name.startswith(_REQUEST)}

    @property
    def _provider(self) -> str:
        return self.provider if self._url == self.own_url else urlsplit(self._url).netloc


def _is_visible(pair: Pair) -> bool:
    return bool(pair.query.strip() and pair.document.strip())


def _line(query: str, error: DibsError) -> str:
    shown = query if len(query) <= _SHOWN else query[:_SHOWN] + "..."
    return f"{shown!r}: {error.problem}"


def _fatal(error: DibsError, in_a_row: int) -> DibsError:
    if isinstance(error, MissingError):
        return error
    problem = f"{in_a_row} requests in a row failed, the last of them because {error.problem}"
    return type(error)(problem, where=error.where, todo=error.todo)
