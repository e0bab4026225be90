"""What a retrieval task is: its data, its measures, and what may be said of it."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from dibs.cards.common import Address, Frozen, Name, Sha256
from dibs.errors import InputError

MeasureName = Annotated[str, StringConstraints(pattern=r"^[a-z]+@[1-9][0-9]*$")]
"""As `recall@10`; which kinds there are, `dibs.scoring` knows."""
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]

DEFAULT_MEASURES = (
    *(f"recall@{k}" for k in (1, 3, 5, 10, 20, 30, 100)),
    "success@10",
    "ndcg@10",
    "mrr@10",
)


class Repository(Frozen):
    """A public repository at one commit, and what its licence asks to be said."""

    name: str
    """`owner/name`."""
    revision: Commit
    licence: str
    attribution: str


class Source(Frozen):
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


class Expect(Frozen):
    """Counts that the whole data has; what is at hand is compared with them and said."""

    queries: int | None = None
    documents: int | None = None
    sha256: Sha256 | None = None
    """Of the whole data's content. Data of this content is current, however it was brought."""
    tolerance: int = 0
    """By how many documents a whole corpus may differ from that count."""


class Subset(Frozen):
    """The queries whose field `field` reads `value`."""

    field: str
    value: str


class Documents(Frozen):
    """How a document's fields become the text that is indexed."""

    template: str = "{title} {text}"
    """A format text over the corpus's columns; the result is stripped."""
    variants: dict[Name, str] = Field(default_factory=dict)
    """Other templates, chosen by name."""


class Answers(Frozen):
    """How a task's questions are answered and graded; retrieval knows nothing of it."""

    prompt: Name = "general"
    """The prompt that a generator is asked with."""
    field: str = "answer"
    """The query field that holds the gold answer."""
    from_document: bool = False
    """The gold answer is the text of the gold document, as in a forum."""


class TaskCard(Frozen):
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
