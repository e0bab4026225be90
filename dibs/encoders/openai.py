"""OpenAI's embeddings, and whatever speaks the same protocol, through the `openai` package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from dibs.encoders.api import ApiEncoder, Send
from dibs.encoders.base import Role
from dibs.llm.batch_api import Terms
from dibs.llm.calls import FailedCallError, check_reply
from dibs.retry import connected


class OpenAIEncoder(ApiEncoder):
    """A model behind `/v1/embeddings`, at the card's `base_url`, else $OPENAI_BASE_URL, else OpenAI's.

    The card's options:

        send_dimensions    ask for the card's dimension; text-embedding-3 models are always asked
        encoding_format    `float` for servers that refuse `base64`, which is 4 times shorter
        batch_requests     texts in one batch of `--batch-api`, at most (50,000)
    """

    adapter = "openai"
    provider = "OpenAI"
    own_url = "https://api.openai.com/v1"
    url_variable = "OPENAI_BASE_URL"
    key_variable = "OPENAI_API_KEY"
    cuttable = ("text-embedding-3",)
    known_options = ApiEncoder.known_options | {"encoding_format"}
    terms = Terms("/v1/embeddings", "24h", 50_000)

    def _parameters(self, role: Role) -> dict[str, Any]:
        wanted: dict[str, Any] = {
            "model": self._model,
            "encoding_format": self._card.options.get("encoding_format", "base64"),
        }
        return wanted | ({"dimensions": self.dimension} if self._sends_dimension else {})

    @contextmanager
    def _connect(self, key: str, role: Role) -> Iterator[Send]:
        import openai

        wanted = self._parameters(role)
        make = partial(openai.OpenAI, max_retries=0, timeout=self._patience.timeout)
        with connected(lambda: make(api_key=key, base_url=self._url)) as client:

            def send(texts: list[str]) -> bytes:
                try:  # the body is read by us: the package's own reading checks nothing
                    reply = client.embeddings.with_raw_response.create(input=texts, **wanted)
                except openai.APIStatusError as error:
                    check_reply(error.status_code, error.response.headers, error.response.content)
                    raise
                except openai.APIConnectionError as error:
                    raise FailedCallError(f"{error.message} {error.__cause__ or ''}") from None
                check_reply(reply.status_code, reply.headers, reply.content)
                return reply.content

            yield send
