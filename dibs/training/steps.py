"""What keeps a pair out of a training set: leakage, near-duplicates, the round trip, an LLM's judgement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dibs.data.dataset import Dataset
from dibs.encoders.base import Encoder, FloatArray
from dibs.encoders.embed import embed
from dibs.evaluate import Work
from dibs.llm.chat import ChatModel, Estimate, Spent
from dibs.training.ask import ask_each
from dibs.training.duplicates import near_duplicates
from dibs.training.leakage import COSINE, GRAM, SHORT, Test, guard
from dibs.training.pairs import Pair
from dibs.training.prompt import Prompt, load_prompt, shortened
from dibs.training.roundtrip import asked_of, ranks, recalls, search


@dataclass(frozen=True)
class Found:
    """What a step says of some pairs, each by its place among them."""

    rejected: dict[int, str]
    """Why it is left out."""
    unsure: dict[int, str] = field(default_factory=dict)
    """Why nothing could be said of it; it is left out too, and is in no rate."""
    about: dict[str, Any] = field(default_factory=dict)
    """What else a reader has to know."""


class Step(Protocol):
    """One filter."""

    @property
    def name(self) -> str:
        """What reports call it."""

    def settings(self) -> dict[str, Any]:
        """Everything that changes what it says of the same pairs."""

    def look(self, pairs: Sequence[Pair]) -> Found:
        """What it says of the pairs."""


@dataclass(frozen=True)
class LeakageStep:
    """No training query equal or close to a query of a test."""

    test: Test
    encoder: Encoder | None
    """Makes the vectors; None compares texts alone."""
    cache: Path
    name: str = "leakage"

    def settings(self) -> dict[str, Any]:
        encoder = None if self.encoder is None else self.encoder.settings("query")
        rules = {"gram": GRAM, "short": SHORT, "cosine": COSINE}
        return {
            "filter": self.name,
            "task": self.test.task,
            "data": self.test.data,
            "encoder": encoder,
            **rules,
        }

    def look(self, pairs: Sequence[Pair]) -> Found:
        name = None if self.encoder is None else self.encoder.name
        found = guard(pairs, self.test, self._vectors if name else None, name)
        said = {leak.place: f"{leak.reason} with {leak.query_id}" for leak in found.leaks}
        return Found(said, about=found.as_dict())

    def _vectors(self, queries: Sequence[str]) -> FloatArray:
        assert self.encoder is not None
        vectors = embed(self.encoder, "query", queries, len(queries), self.cache / "vectors").vectors()
        lengths = (vectors**2).sum(axis=1, keepdims=True) ** 0.5
        scaled: FloatArray = vectors / lengths.clip(min=1e-12)
        return scaled


@dataclass(frozen=True)
class DuplicatesStep:
    """No query close to one that is kept."""

    threshold: float = 0.9
    name: str = "near-duplicates"

    def settings(self) -> dict[str, Any]:
        return {"filter": self.name, "jaccard": self.threshold, "version": 1}

    def look(self, pairs: Sequence[Pair]) -> Found:
        near = near_duplicates([pair.query for pair in pairs], self.threshold)
        return Found({place: f"close to: {pairs[other].query}" for place, other in near.items()})


@dataclass(frozen=True)
class RoundTripStep:
    """The document is among the first k that a retriever finds by its query."""

    work: Work
    """The pipeline. Its task says how a document is read; its data may be other than the pairs'."""
    dataset: Dataset | None
    """The corpus to search; None is the pairs' own documents."""
    k: int
    cache: Path
    name: str = "round-trip"

    def settings(self) -> dict[str, Any]:
        data = None if self.dataset is None else self.dataset.info.sha256
        template = self.work.task.template(self.work.template)
        pipeline = self.work.retriever.settings()
        return {"filter": self.name, "pipeline": pipeline, "k": self.k, "data": data, "template": template}

    def look(self, pairs: Sequence[Pair]) -> Found:
        asked = asked_of(pairs, self.dataset)
        found = ranks(search(self.work, asked, self.cache), pairs)
        said = {
            place: f"its document is {'not found' if place not in found else f'at rank {found[place]}'}"
            for place in range(len(pairs))
            if found.get(place, self.k + 1) > self.k
        }
        corpus = asked.info.task if self.dataset is not None else "the pairs' own documents"
        about = {"pipeline": self.work.pipeline, "corpus": corpus, "documents": asked.info.documents}
        return Found(said, about=about | recalls(found, len(pairs), self.k))


CRITERIA = ("answerable", "specific", "natural")
"""What a judge decides of a query and its document, each yes or no."""
_REPLY = (
    'Reply with one JSON object and nothing else: {"reason": "what decides, in one short sentence", '
    '"answerable": true or false, "specific": true or false, "natural": true or false}'
)


@dataclass(frozen=True)
class JudgeStep:
    """An LLM holds the query to be answerable from the document alone, specific and natural."""

    llm: ChatModel
    document_tokens: int = 2048
    name: str = "judge"

    def settings(self) -> dict[str, Any]:
        prompt = _judge_prompt().settings()
        return {
            "filter": self.name,
            "llm": self.llm.settings(),
            "document_tokens": self.document_tokens,
            **prompt,
        }

    @property
    def spent(self) -> Spent:
        """What the model was asked since it was made."""
        return self.llm.spent

    def estimate(self, pairs: Sequence[Pair]) -> Estimate:
        """What judging these pairs would cost if every reply can be read; nothing is asked."""
        return self.llm.estimate([_judge_prompt().request(self._values(pair)) for pair in pairs])

    def look(self, pairs: Sequence[Pair]) -> Found:
        items = [self._values(pair) for pair in pairs]
        told = ask_each(self.llm, _judge_prompt(), items, _read, f"judging with {self.llm.name}")
        rejected: dict[int, str] = {}
        unsure: dict[int, str] = {}
        lacking = dict.fromkeys(CRITERIA, 0)
        for place, one in enumerate(told):
            if one.value is None:
                unsure[place] = one.error or ""
            elif missing := [name for name in CRITERIA if name not in one.value.holds]:
                rejected[place] = f"not {', not '.join(missing)}: {one.value.reason}"
                lacking |= {name: lacking[name] + 1 for name in missing}
        return Found(rejected, unsure, {"judge": self.llm.name, "not": lacking})

    def _values(self, pair: Pair) -> dict[str, str]:
        return {"document": shortened(pair.document, self.document_tokens), "question": pair.query}


@dataclass(frozen=True)
class _Quality:
    reason: str
    holds: frozenset[str]


def _judge_prompt() -> Prompt:
    yes_or_no = {name: {"type": "boolean"} for name in CRITERIA}
    schema = {
        "type": "object",
        "properties": {"reason": {"type": "string"}, **yes_or_no},
        "required": ["reason", *CRITERIA],
        "additionalProperties": False,
    }
    return load_prompt("judge.v1", _REPLY, schema, max_tokens=300)


def _read(found: dict[str, Any]) -> _Quality:
    if found.keys() != {"reason", *CRITERIA} or not all(isinstance(found[name], bool) for name in CRITERIA):
        raise ValueError(f"has not the fields reason, {', '.join(CRITERIA)}: {found!r:.80}")
    reason = " ".join(str(found["reason"]).split())[:300]
    return _Quality(reason, frozenset(name for name in CRITERIA if found[name]))
