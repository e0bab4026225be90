"""Cards: the TOML files that say what a task, a model or a reranker is. A card says what; code says how."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from dibs.errors import InputError
from dibs.files import digest
from dibs.toml import read_toml, validated

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
MeasureName = Annotated[str, StringConstraints(pattern=r"^[a-z]+@[1-9][0-9]*$")]
"""As `recall@10`; which kinds there are, `dibs.scoring` knows."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]

DEFAULT_MEASURES = (
    *(f"recall@{k}" for k in (1, 3, 5, 10, 20, 30, 100)),
    "success@10",
    "ndcg@10",
    "mrr@10",
)


_KEY_OPTION = re.compile(r"api_?key$|secret$|password$|\.(?:api_|auth_|access_)?token$", re.IGNORECASE)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Variable = Annotated[str, StringConstraints(pattern=r"^[A-Z_][A-Z0-9_]*$", max_length=100)]
"""Of the environment."""
Address = Annotated[str, StringConstraints(pattern=r"^https?://\S*[^/\s]$")]


class Repository(_Frozen):
    """A public repository at one commit, and what its licence asks to be said."""

    name: str
    """`owner/name`."""
    revision: Commit
    licence: str
    attribution: str


class Source(_Frozen):
    """Where a task's data comes from."""

    kind: str
    """The source that reads it: `beir`, `hub`, `financebench`, or a plugin's."""
    path: str | None = None
    """A folder or file on disk, relative to the card's own folder."""
    repository: str | None = None
    """`owner/name` of a code or data repository."""
    revision: str | None = None
    """The pinned commit of that repository."""
    repositories: dict[Name, Repository] = Field(default_factory=dict)
    """Where a source is made of several repositories, or reads whole archives: each by a name of its own."""
    subset: str | None = None
    """The configuration of a hub dataset that is meant."""
    split: str = "test"
    files: dict[str, Sha256] = Field(default_factory=dict)
    """SHA-256 of files whose content is pinned, by their path in the source."""
    api: Address = "https://api.github.com"
    """For a mirror: where GitHub's list of a repository's files is asked for."""
    raw: Address = "https://raw.githubusercontent.com"
    """For a mirror: where the files are, below `OWNER/NAME/REVISION/`. None of these ends with a slash."""
    archives: Address = "https://codeload.github.com"
    """For a mirror: where archives are, as `OWNER/NAME/tar.gz/REVISION`."""


class Expect(_Frozen):
    """Counts that the whole data has; what is at hand is compared with them and said."""

    queries: int | None = None
    documents: int | None = None
    sha256: Sha256 | None = None
    """Of the whole data's content. Data of this content is current, however it was brought."""
    tolerance: int = 0
    """By how many documents a whole corpus may differ from that count."""


class Subset(_Frozen):
    """The queries whose field `field` reads `value`."""

    field: str
    value: str


class Documents(_Frozen):
    """How a document's fields become the text that is indexed."""

    template: str = "{title} {text}"
    """A format text over the corpus's columns; the result is stripped."""
    variants: dict[Name, str] = Field(default_factory=dict)
    """Other templates, chosen by name."""


class Answers(_Frozen):
    """How a task's questions are answered and graded; retrieval knows nothing of it."""

    prompt: Name = "general"
    """The prompt that a generator is asked with."""
    field: str = "answer"
    """The query field that holds the gold answer."""
    from_document: bool = False
    """The gold answer is the text of the gold document, as in a forum."""


class TaskCard(_Frozen):
    """What a retrieval task is: its data, its measures, and what may be said of it."""

    name: Name
    description: str
    source: Source
    expect: Expect = Expect()
    documents: Documents = Documents()
    answers: Answers = Answers()
    redistributable: bool = True
    """Whether texts of the data may be passed on. If not, what generators wrote, which may quote them, is a
    file of its own in a record, and the record is whole without it."""
    query_prompt: str | None = None
    """The instruction that models with an `{instruction}` in their prompt are given."""
    max_tokens: int = Field(default=2048, gt=0)
    """Documents are cut to this many tokens of each model's own tokenizer (the study's limit)."""
    measures: tuple[MeasureName, ...] = DEFAULT_MEASURES
    main_measure: MeasureName = "recall@10"
    cluster: str | None = None
    """The query field whose equal values are drawn together when intervals are made."""
    subsets: dict[Name, Subset] = Field(default_factory=dict)
    split_by: str | None = None
    """A query field to show results by, such as the question type."""
    levels: tuple[Name, ...] = ()
    """What runs are scored by, the coarsest first, such as document, page, chunk. The last is what the
    corpus holds; each other is its column with the id of what a document of it is part of."""
    synthetic: str | None = None
    """What made the queries, where no person asked them."""
    stand_in_for: str | None = None
    """The unreleased task that this open one resembles; it is never shown under that name."""
    sample: bool = False
    """A small task to try things on, which is no part of the benchmark."""
    released: bool = True
    """Whether the data can be had by anyone."""
    language: str = "eng-Latn"
    domains: tuple[str, ...] = ()
    reference: str | None = None
    licence: str
    citation: str
    date: tuple[str, str] | None = None
    """When the texts were written, from and to, as ISO dates."""

    @model_validator(mode="after")
    def _main_is_measured(self) -> Self:
        if self.main_measure not in self.measures:
            raise ValueError(f"main_measure {self.main_measure!r} is not among measures")
        if "all" in self.subsets:
            raise ValueError("the subset 'all' is every query and cannot be defined")
        if len(self.levels) == 1 or len(set(self.levels)) < len(self.levels):
            raise ValueError("levels name two or more, each once, the coarsest first")
        return self

    def template(self, variant: str | None) -> str:
        """The document template of that name; None is the default one."""
        if variant is None:
            return self.documents.template
        if variant not in self.documents.variants:
            known = ", ".join(sorted(self.documents.variants)) or "none"
            raise InputError(f"{self.name} has no document template {variant!r}", todo=f"Declared: {known}.")
        return self.documents.variants[variant]


def mteb_task_name(card_name: str) -> str:
    """What the task of that card is called in MTEB: `DIBS` and the card's name without hyphens."""
    return f"DIBS{card_name.replace('-', '')}"


class MtebData(NamedTuple):
    """What MTEB's results call the data of a task, and all else that scores depend on but the model."""

    revision: str
    """The data's hash, and one of the rest."""
    subset: str
    """MTEB's result cache compares subsets, and revisions only where a subset is missing (mteb 2.26.24):
    so what has changed has another subset, else the old score would be given back."""


def mteb_data(task: TaskCard, data: str, template: str | None = None) -> MtebData:
    """The names of the data with that identity (the content's SHA-256), as the task now uses them.

    Args:
        template: The name of the document template; None is the default one.
    """
    parts = [data, task.template(template), task.query_prompt, task.max_tokens, task.main_measure]
    name = digest([*parts, *task.measures])[:12]
    return MtebData(f"{data}-{name}", f"dibs-{name}")


Pooling = Literal["mean", "cls", "last"]
Backend = Literal["torch", "onnxruntime", "openvino"]
Precision = Literal["float32", "bfloat16"]
Stored = Literal["float32", "int8", "binary"]
Index = Literal["exact", "hnsw", "ivf"]
SEARCH_OPTIONS = frozenset({"rescore", "hnsw_m", "ef_construction", "ef_search", "nlist", "nprobe"})
"""Options of a card that are the search's, see `dibs.retrieval.approximate`; no encoder is shown them."""


class AdapterCard(_Frozen):
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
        label = f"{self.name}-{digest(suffix)[:6]}"
        # Who mistakes it types the key itself.
        where = "--set key" if "key" in settings else f"--set {suffix}"
        return _validated(type(self), values | {"name": label, "description": suffix}, where)


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
        return _validated(ModelCard, self.model_dump() | changed, "--precision")


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


AnyCard = TypeVar("AnyCard", TaskCard, ModelCard, RerankerCard, LLMCard)
_Kind = TypeVar("_Kind", bound=_Frozen)


def _validated(kind: type[_Kind], values: dict[str, Any], where: str) -> _Kind:
    todo = f"Correct the {kind.__name__} there."
    if strange := sorted(set(values) - set(kind.model_fields)):
        near = get_close_matches(strange[0].lower(), kind.model_fields, n=1)
        meant = f" For {strange[0]!r}, did you mean {near[0]}?" if near else ""
        todo += f"{meant} The fields are: {', '.join(kind.model_fields)}."
    return validated(kind, values, where, todo)


def read_card(kind: type[AnyCard], path: Path) -> AnyCard:
    """Read one card from a TOML file.

    Raises:
        InputError: not readable, not TOML (with its line), or a field is wrong (with its name).
    """
    values = read_toml(
        path,
        absent="Check the path; `dibs tasks` and `dibs models` list the cards there are.",
        malformed='Correct it there: a card has lines such as name = "value".',
    )
    if (
        kind is TaskCard
        and isinstance(values.get("source"), dict)
        and isinstance(values["source"].get("path"), str)
    ):
        values["source"]["path"] = str(path.parent / values["source"]["path"])
    return _validated(kind, values, str(path))
