"""Voyage's embeddings, by HTTP.

Not through the `voyageai` package: it keeps a connection for each thread that it never closes,
repeats requests by itself, and fails on a Retry-After that is a date.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dibs.encoders.api import ApiEncoder, Send
from dibs.encoders.base import Role
from dibs.llm.batch_api import Terms
from dibs.llm.http import posting

OWN_URL = "https://api.voyageai.com/v1"
_ATLAS_KEY, _ATLAS_URL = "al-", "https://ai.mongodb.com/v1"


class VoyageEncoder(ApiEncoder):
    """A model behind Voyage's `/v1/embeddings`; `input_type` says to it what a prompt says to others.

    Keys of MongoDB Atlas (they begin with `al-`) are sent to its address for the same models. The
    card's options:

        send_dimensions    ask for the card's dimension; asked by itself where a model has several
        batch_requests     texts in one batch of `--batch-api`, at most (50,000)
    """

    adapter = "voyage"
    provider = "Voyage"
    own_url = OWN_URL
    key_variable = "VOYAGE_API_KEY"
    cuttable = ("voyage-3-large", "voyage-3.5", "voyage-4", "voyage-code-3")

    terms = Terms("/v1/embeddings", "12h", 100_000, own=frozenset({"input"}))

    def settings(self, role: Role) -> dict[str, Any]:
        return super().settings(role) | {"input_type": role}

    def _address(self, key: str | None) -> str:
        return url_for(self._url, self.own_url, key)

    def _parameters(self, role: Role) -> dict[str, Any]:
        wanted: dict[str, Any] = {
            "model": self._model,
            "input_type": role,
            "truncation": False,  # texts are cut before, by the card's limit
            "encoding_format": "base64",
        }
        return wanted | ({"output_dimension": self.dimension} if self._sends_dimension else {})

    @contextmanager
    def _connect(self, key: str, role: Role) -> Iterator[Send]:
        wanted = self._parameters(role)
        timeout, connections = self._patience.timeout, self._limiter.most
        with posting(
            f"{self._address(key)}/embeddings", key, timeout=timeout, connections=connections
        ) as post:
            yield lambda texts: post(wanted | {"input": texts})


def url_for(url: str, own: str, key: str | None) -> str:
    """`url`; but where that is Voyage's `own` and the key is one of MongoDB Atlas, the address of Atlas."""
    return _ATLAS_URL if url == own and (key or "").startswith(_ATLAS_KEY) else url
