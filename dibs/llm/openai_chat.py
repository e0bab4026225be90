"""Any server with OpenAI's `/chat/completions`: OpenAI, Databricks, vLLM, Ollama, llama.cpp."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlsplit

from dibs.llm.address import filled_in
from dibs.llm.batch_api import BatchApi, Terms, batches_at
from dibs.llm.engine import ChatClient
from dibs.llm.http import posting
from dibs.llm.line import Line
from dibs.llm.service import Service, find_service, plain_url

_OWN = "https://api.openai.com/v1"
_KEY = "OPENAI_API_KEY"


class OpenAIChat(ChatClient):
    """A chat model at the card's `base_url`, else at $OPENAI_BASE_URL, else at OpenAI.

    `${NAME}` in `base_url` is a variable of the environment, for servers that each user has an address
    of their own for. The key is looked for when the first request is sent, in the variable that the
    card's `key` names; a card with a `base_url` and no `key` sends none, so that OpenAI's never goes to
    another server unasked.
    """

    adapter = "openai"
    terms = Terms("/v1/chat/completions", "24h", 50_000)

    def _address(self) -> str:
        card = self._card
        url = filled_in(card.base_url, card.name) if card.base_url else os.environ.get("OPENAI_BASE_URL")
        return plain_url(url or _OWN, card.name)

    @contextmanager
    def _connected(self) -> Iterator[Line]:
        service = self._service()
        address, most = f"{self._url}/chat/completions", self._limiter.most
        with posting(address, service.key, timeout=self._patience.timeout, connections=most) as post:
            yield Line(service, post)

    def _batch_api(self) -> AbstractContextManager[BatchApi]:
        return batches_at(self._url, self._service(), self._limiter, self._patience)

    def _service(self) -> Service:
        card, provider = self._card, "OpenAI" if self._url == _OWN else urlsplit(self._url).netloc
        if card.base_url and not card.key:
            return Service(card.name, provider, "the variable that `key` in the card names", None)
        return find_service(card.name, provider, self._url, card.key, _KEY)
