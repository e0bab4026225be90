"""OpenAI's embeddings, and whatever speaks the same protocol, through the `openai` package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dibs.encoders.api import ApiEncoder, Send
from dibs.encoders.base import Role
from dibs.llm.calls import FailedCallError, check_reply


class OpenAIEncoder(ApiEncoder):
    """A model behind `/v1/embeddings`, at the card's `base_url`, else $OPENAI_BASE_URL, else OpenAI's.

    The card's options:

        send_dimensions    ask for the card's dimension; text-embedding-3 models are always asked
        encoding_format    `float` for servers that refuse `base64`, which is 4 times shorter
    """

    adapter = "openai"
    provider = "OpenAI"
    own_url = "https://api.openai.com/v1"
    url_variable = "OPENAI_BASE_URL"
    key_variable = "OPENAI_API_KEY"
    cuttable = ("text-embedding-3",)
    known_options = ApiEncoder.known_options | {"encoding_format"}

    @contextmanager
    def _connect(self, key: str, role: Role) -> Iterator[Send]:
        import openai

        wanted: dict[str, Any] = {"encoding_format": self._card.options.get("encoding_format", "base64")}
        if self._sends_dimension:
            wanted["dimensions"] = self.dimension

        with openai.OpenAI(
            api_key=key, base_url=self._url, max_retries=0, timeout=self._patience.timeout
        ) as client:

            def send(texts: list[str]) -> bytes:
                try:  # the body is read by us: the package's own reading checks nothing
                    reply = client.embeddings.with_raw_response.create(
                        model=self._model, input=texts, **wanted
                    )
                except openai.APIStatusError as error:
                    check_reply(error.status_code, error.response.headers, error.response.content)
                    raise
                except openai.APIConnectionError as error:
                    raise FailedCallError(f"{error.message} {error.__cause__ or ''}") from None
                check_reply(reply.status_code, reply.headers, reply.content)
                return reply.content

            yield send
