"""The round trip: does a retriever find a document by the query that was made of it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from dibs.data.content import content_of
from dibs.data.dataset import QRELS_SCHEMA, Dataset, DatasetInfo
from dibs.evaluate import Work
from dibs.retrieval.base import Search
from dibs.retrieval.run import Run
from dibs.training.pairs import Pair


@dataclass(frozen=True)
class Asked(Dataset):
    """Other queries over a corpus, in memory. Its hash stays the corpus's, so what is indexed is found."""

    documents: pa.Table
    asked: pa.Table
    judged: pa.Table

    @cached_property
    def corpus(self) -> pa.Table:
        return self.documents

    @cached_property
    def queries(self) -> pa.Table:
        return self.asked

    @cached_property
    def judgements(self) -> pa.Table:
        return self.judged


def asked_of(pairs: Sequence[Pair], dataset: Dataset | None) -> Asked:
    """The pairs' queries over a task's corpus, or else their own documents; ids are the pairs' places."""
    names = [str(place) for place in range(len(pairs))]
    queries = pa.table({"id": names, "text": [pair.query for pair in pairs]})
    judged = pa.table(
        {"query_id": names, "doc_id": [pair.document_id for pair in pairs], "relevance": [1] * len(pairs)}
    )
    qrels = judged.cast(QRELS_SCHEMA)
    if dataset is not None:
        info = replace(dataset.info, queries=len(pairs), qrels=len(pairs))
        return Asked(dataset.folder, info, dataset.corpus, queries, qrels)
    by_length = sorted(pairs, key=lambda pair: len(pair.document))  # a cloze's text lacks its sentence
    texts = {pair.document_id: pair.document for pair in by_length}
    blank = pa.array([""] * len(texts), pa.string())
    corpus = pa.table({"id": list(texts), "title": blank, "text": list(texts.values())})
    content = content_of(corpus, queries.slice(0, 0), qrels.slice(0, 0))._asdict()
    info = DatasetInfo("pairs", **content | {"queries": len(pairs), "qrels": len(pairs)})
    return Asked(Path(), info, corpus, queries, qrels)


def search(work: Work, asked: Asked, cache: Path) -> Run:
    """The run of a pipeline on these queries; what it is made of runs first."""
    runs = [search(part, asked, cache) for part in work.parts]
    template = work.task.template(work.template)
    return work.retriever.search(Search(asked, template, cache, runs), work.depth).run


def ranks(run: Run, pairs: Sequence[Pair]) -> dict[int, int]:
    """The rank, from 1, of each pair's document for its query; one that was not found has none."""
    found = {}
    for place, pair in enumerate(pairs):
        documents = run.rankings[str(place)].documents
        if pair.document_id in documents:
            found[place] = documents.index(pair.document_id) + 1
    return found


def recalls(found: Mapping[int, int], pairs: int, k: int) -> dict[str, float]:
    """The share of the pairs whose document is among the first 1, 10 and k."""
    return {
        f"recall@{depth}": round(sum(rank <= depth for rank in found.values()) / pairs, 6)
        for depth in sorted({1, 10, k})
    }
