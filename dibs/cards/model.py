"""What a model or a reranker is: the adapter that runs it and everything it runs with."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from dibs.cards.common import Frozen, Name, filled
from dibs.errors import InputError
from dibs.files import digest

Variable = Annotated[str, StringConstraints(pattern=r"^[A-Z_][A-Z0-9_]*$", max_length=100)]
"""Of the environment."""
_KEY_OPTION = re.compile(r"api_?key$|secret$|password$|\.(?:api_|auth_|access_)?token$", re.IGNORECASE)
_READABLE = re.compile(r"[A-Za-z0-9._-]{1,40}")
"""Settings that a name can show; others are hashed."""
Pooling = Literal["mean", "cls", "last"]
Backend = Literal["torch", "onnxruntime", "openvino"]
Precision = Literal["float32", "bfloat16"]
Stored = Literal["float32", "int8", "binary"]
Index = Literal["exact", "hnsw", "ivf"]
SEARCH_OPTIONS = frozenset({"rescore", "hnsw_m", "ef_construction", "ef_search", "nlist", "nprobe"})
"""Options of a card that are the search's, see `dibs.retrieval.approximate`; no encoder is shown them."""


class AdapterCard(Frozen):
    """What an adapter runs: a model, where it is, and what running it takes."""

    name: Name
    adapter: str
    """The adapter that runs it: `bm25`, `sentence-transformers`, `cross-encoder`, `voyage`, ..."""
    description: str = ""
    model: str | None = None
    """The weights: a hub name, a folder, or the provider's name of the model."""
    revision: str | None = None
    """The pinned commit of a hub model."""
    package: str | None = None
    """A Python distribution that ships the weights, so that no hub is needed."""
    package_path: str | None = None
    """Where in that distribution's import package the weights are: `module/folder`."""
    precision: Precision = "float32"
    batch_tokens: int | None = Field(default=None, gt=0)
    """Tokens in one batch, padding included (local), or sent in one request (API), at most."""
    base_url: str | None = None
    key: Variable | None = None
    """The environment variable that holds the API key; the key itself is never in a card."""
    usd_per_million_tokens: float | None = Field(default=None, ge=0)
    batch_discount: float | None = Field(default=None, ge=0, lt=1)
    """The share by which the provider's batch interface is cheaper; 0.5 is half price."""
    remote_code: bool = False
    """Whether the model's repository brings code that must be run; only with the user's word."""
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Settings of one adapter alone, such as BM25's k1 and b."""
    requires: str | None = None
    """The extra of DIBS that installs what the adapter needs."""
    parameters: int | None = Field(default=None, gt=0)
    licence: str | None = None
    reference: str | None = None

    @model_validator(mode="after")
    def _holds_no_key(self) -> Self:
        for name, value in self.options.items():
            if isinstance(value, str) and _KEY_OPTION.search(name):
                raise ValueError(f"option {name} looks like a key; a key belongs into the environment")
        return self

    def with_settings(self, settings: dict[str, Any]) -> Self:
        """This card with some fields set anew, named after them; errors name the field."""
        if not settings:
            return self
        if "name" in settings:
            raise InputError(
                "--set cannot change a card's name", where=self.name, todo="Write a card of that name."
            )
        suffix = ",".join(f"{key}={value}" for key, value in sorted(settings.items()))
        values = self.model_dump() | settings
        readable = re.sub("[=,]", "-", suffix)
        label = f"{self.name}-{readable if _READABLE.fullmatch(readable) else digest(suffix)[:6]}"
        # Who mistakes it types the key itself.
        where = "--set key" if "key" in settings else f"--set {suffix}"
        return filled(type(self), values | {"name": label, "description": suffix}, where)


class RerankerCard(AdapterCard):
    """What a reranker is: the adapter that runs it and everything it runs with."""

    max_tokens: int | None = Field(default=None, gt=0)
    """The longest pair of a query and a document that the model takes; longer documents are cut."""
    batch_size: int | None = Field(default=None, gt=0)
    """Pairs scored together (local; None is 32) or documents sent in one request (API; None is no limit)."""


class ModelCard(AdapterCard):
    """What a retrieval model is: the adapter that runs it and everything it runs with."""

    base: str | None = None
    """The card that it was finetuned from."""
    dimension: int | None = Field(default=None, gt=0)
    max_tokens: int | None = Field(default=None, gt=0)
    """The longest text the model takes; longer texts are cut, and counted as cut."""
    pooling: Pooling | None = None
    """None is what the model's own files say."""
    normalise: bool = True
    """Scale vectors to length 1, so that the inner product is the cosine."""
    query_prompt: str | None = None
    """Put before each query; `{instruction}` becomes the task's query prompt."""
    document_prompt: str | None = None
    """Put before each document. None (here and above) is what the model's own files say."""
    backend: Backend = "torch"
    """The library that runs a local model."""
    batch_size: int = Field(default=32, gt=0)
    """Texts of full length encoded together (local), or texts sent in one request (API), at most."""
    tokenizer: str | None = None
    """For API models, what counts and cuts tokens: `tiktoken:NAME`, a hub name, or `characters`."""
    stored: Stored = "float32"
    """What documents' vectors are searched as; other than float32, the best are scored again in float32."""
    index: Index = "exact"
    """How vectors are searched; other than exact loses some documents, which the record measures."""

    def running(self, backend: Backend | None, precision: Precision | None) -> ModelCard:
        """This card on another backend or in another precision; None leaves what it says.

        Another precision is named, since it changes vectors; backends differ by rounding alone.
        """
        changed: dict[str, str] = {"backend": backend} if backend else {}
        if precision and precision != self.precision:
            changed |= {"precision": precision, "name": f"{self.name}-{precision}"}
        return filled(ModelCard, self.model_dump() | changed, "--precision")


class LLMCard(AdapterCard):
    """What writes answers or grades them: a chat model, where it is, and what it costs.

    `usd_per_million_tokens` is of the tokens it reads.
    """

    usd_per_million_output_tokens: float | None = Field(default=None, ge=0)
    context_tokens: int | None = Field(default=None, gt=0)
    """The longest prompt and answer together that it takes."""
    tokenizer: str | None = None
    """What counts its tokens before a run: `tiktoken:NAME`, a hub name, or `characters`."""
    temperature: float = Field(default=0.0, ge=0)
