"""The leakage guard: no training query close to a test query, and no gold document trained on unsaid.

A query is removed if, with a query of the test,
    equal     it is the same text but for Unicode form, letter case, punctuation and blanks
    8-gram    it shares eight consecutive words; a test query of fewer is looked for whole from five on
    cosine    its vector has a cosine of .95 or more
The first that holds is the reason. Documents stay: which test queries have one that was trained on is
reported, so that results can be split into seen and unseen ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from dibs.data.dataset import Dataset, Qrels
from dibs.encoders.base import FloatArray
from dibs.scoring.levels import unit_qrels
from dibs.training.documents import Collection
from dibs.training.pairs import Pair
from dibs.training.words import normalised, words

GRAM = 8
"""Words in a row that no training query shares with a test query."""
SHORT = 5
"""Words of a test query, from which on it is looked for whole if it has no 8-gram."""
COSINE = 0.95
_BLOCK = 4096

Vectors = Callable[[Sequence[str]], FloatArray]
"""Queries to vectors of length 1, (n, dimension)."""


@dataclass(frozen=True)
class Test:
    """What a training set must not have seen."""

    task: str
    data: str
    """The data's SHA-256."""
    queries: Mapping[str, str]
    """Id to text."""
    qrels: Qrels
    documents: Mapping[str, str] = field(default_factory=dict)
    """The gold documents' texts by id, for pairs that were made of other files."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """The gold documents' groups."""

    __test__ = False  # nothing that pytest collects

    @property
    def gold(self) -> set[str]:
        """The ids of documents that are relevant to some query."""
        return {doc for query in self.queries for doc in self.relevant(query)}

    def relevant(self, query: str) -> set[str]:
        """The ids of a query's relevant documents."""
        return {doc for doc, grade in self.qrels.get(query, {}).items() if grade > 0}


def as_test(dataset: Dataset, collection: Collection) -> Test:
    """What a task tests with: its queries, and its gold documents with their texts and groups."""
    queries = dict(zip(dataset.query_ids, dataset.query_texts(), strict=True))
    rows = [row for row, name in enumerate(collection.ids) if name in collection.gold]
    gold = [collection.document(row) for row in rows]
    return Test(
        task=collection.name,
        data=collection.sha256,
        queries=queries,
        qrels=unit_qrels(dataset, collection.levels),
        documents={document.id: document.text for document in gold},
        groups={document.id: document.group for document in gold},
    )


@dataclass(frozen=True)
class Leak:
    """A training query that is too close to a test query."""

    place: int
    """Of the pair among those given."""
    reason: str
    """`equal`, `8-gram` or `cosine`."""
    query_id: str
    """The test query's."""
    cosine: float | None = None


@dataclass(frozen=True)
class Seen:
    """What of the test's gold documents was trained on."""

    gold_documents: int
    trained_on: list[str]
    """Ids of the gold documents that are among the pairs' documents, by id or by text."""
    gold_groups: int | None
    """Filings or sections with a gold document; None where the task has none."""
    groups_trained_on: int | None
    queries: list[str]
    """Ids of the test queries of which a gold document was trained on: the subset `seen` of results."""

    @property
    def share(self) -> float:
        """The share of the gold documents that were trained on."""
        return len(self.trained_on) / self.gold_documents if self.gold_documents else 0.0

    def as_dict(self) -> dict[str, Any]:
        """As manifests and cards keep it."""
        return {"share": round(self.share, 6), **asdict(self)}


@dataclass(frozen=True)
class Leakage:
    """What the guard found in some pairs, for a model's card."""

    task: str
    data: str
    pairs: int
    """Pairs that were looked at."""
    encoder: str | None
    """What made the vectors; None where cosines were not looked at."""
    leaks: list[Leak]
    seen: Seen

    @property
    def removed(self) -> dict[str, int]:
        """Pairs removed, by reason."""
        reasons = ("equal", f"{GRAM}-gram", "cosine")
        return {reason: sum(leak.reason == reason for leak in self.leaks) for reason in reasons}

    def as_dict(self) -> dict[str, Any]:
        """As manifests and cards keep it: ids and numbers, and no text of the data."""
        return {
            "task": self.task,
            "data": self.data,
            "pairs": self.pairs,
            "rules": {"gram": GRAM, "short": SHORT, "cosine": COSINE, "encoder": self.encoder},
            "removed": self.removed,
            "leaks": [asdict(leak) for leak in self.leaks],
            "seen": self.seen.as_dict(),
        }


def guard(pairs: Sequence[Pair], test: Test, vectors: Vectors | None, encoder: str | None) -> Leakage:
    """What has to be removed from `pairs`, and what of the test they have seen besides.

    Args:
        vectors: Makes vectors of queries; None looks at the texts alone, and the report says so.
        encoder: Its name.
    """
    queries = [pair.query for pair in pairs]
    found = _same(queries, test) if pairs and test.queries else {}
    rest = [place for place in range(len(pairs)) if place not in found]
    if vectors is not None and rest and test.queries:
        close = _close(
            vectors([queries[place] for place in rest]), vectors(list(test.queries.values())), test
        )
        found |= {place: replace(leak, place=place) for leak in close for place in [rest[leak.place]]}
    leaks = [found[place] for place in sorted(found)]
    kept = [pair for place, pair in enumerate(pairs) if place not in found]
    name = encoder if vectors is not None else None
    return Leakage(test.task, test.data, len(pairs), name, leaks, seen(kept, test))


def seen(pairs: Sequence[Pair], test: Test) -> Seen:
    """Which of the test's gold documents the pairs hold.

    Those held out for development count too: the model that is kept was chosen by them.
    """
    ids = {pair.document_id for pair in pairs}
    texts = {normalised(pair.document) for pair in pairs} if test.documents else set()
    gold = sorted(test.gold)
    hit = {doc for doc in gold if doc in ids or normalised(test.documents.get(doc, "")) in texts - {""}}
    groups = {test.groups[doc] for doc in gold if doc in test.groups}
    return Seen(
        gold_documents=len(gold),
        trained_on=sorted(hit),
        gold_groups=len(groups) if test.groups else None,
        groups_trained_on=len(groups & {pair.group for pair in pairs}) if test.groups else None,
        queries=[query for query in test.queries if test.relevant(query) & hit],
    )


def _same(queries: Sequence[str], test: Test) -> dict[int, Leak]:
    """Queries that equal a test query, or share a run of words with one."""
    equal: dict[str, str] = {}
    grams: dict[tuple[str, ...], str] = {}
    for name, text in test.queries.items():
        equal.setdefault(_letters(text), name)
        for gram in _grams(_words(text), shortest=SHORT):
            grams.setdefault(gram, name)
    sizes = sorted({len(gram) for gram in grams})
    found: dict[int, Leak] = {}
    for place, query in enumerate(queries):
        if (key := _letters(query)) in equal:
            found[place] = Leak(place, "equal", equal[key])
            continue
        said = _words(query)
        runs = (tuple(said[at : at + size]) for size in sizes for at in range(len(said) - size + 1))
        shared = next((grams[run] for run in runs if run in grams), None)
        if shared is not None:
            found[place] = Leak(place, f"{GRAM}-gram", shared)
    return found


def _words(text: str) -> list[str]:
    """Its words; an underscore parts two of them."""
    return words(text.replace("_", " "))


def _letters(text: str) -> str:
    """Its letters and digits, normalised: "U.S." is "US", and `max_tokens` is "max tokens"."""
    return "".join(_words(text)) or normalised(text)


def _grams(said: Sequence[str], *, shortest: int) -> list[tuple[str, ...]]:
    if len(said) < GRAM:
        return [tuple(said)] if len(said) >= shortest else []
    return [tuple(said[at : at + GRAM]) for at in range(len(said) - GRAM + 1)]


def _close(training: FloatArray, test_vectors: FloatArray, test: Test) -> list[Leak]:
    """Training queries whose nearest test query has a cosine of COSINE or more."""
    ids = list(test.queries)
    found: list[Leak] = []
    for start in range(0, len(training), _BLOCK):
        cosines = training[start : start + _BLOCK] @ test_vectors.T
        nearest = cosines.argmax(axis=1)
        best = cosines[np.arange(len(nearest)), nearest]
        for row in np.flatnonzero(best >= COSINE):
            found.append(Leak(start + int(row), "cosine", ids[nearest[row]], round(float(best[row]), 4)))
    return found
