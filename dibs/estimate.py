"""What a pipeline would take on a task, before it runs: texts to encode, pairs to score, tokens, money."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dibs.encoders.api import ApiEncoder
from dibs.encoders.base import Encoder, IntArray, Role
from dibs.encoders.embed import missing
from dibs.encoders.vectors import Keys, VectorStore, text_keys
from dibs.errors import DamagedError
from dibs.evaluate import Work
from dibs.records import RUN, Record, all_records, record_folder
from dibs.retrieval.dense import DenseRetriever
from dibs.retrieval.rerank import candidate_pairs, pair_keys
from dibs.retrieval.reranked import RerankingRetriever
from dibs.retrieval.rerankers.base import Pair
from dibs.retrieval.run import read_run
from dibs.workspace import Workspace

SAMPLE = 500
"""Documents whose length stands for that of candidates which are not known yet."""


@dataclass(frozen=True)
class Estimate:
    """One step of a pipeline. What the store has already is left out."""

    task: str
    pipeline: str
    step: str
    """`documents` or `queries` to encode, `pairs` to score, `search` for a retriever without vectors, or
    `recorded`: nothing is left to do."""
    total: int
    to_do: int
    """Texts or pairs that are not in the store, equal ones once."""
    tokens: int | None
    """That a provider would be sent; None for what runs here."""
    usd: float | None
    """None where nothing is paid or the card has no price."""
    seconds: float | None
    """At the rate of an earlier record of the same settings; None where there is none."""
    note: str = ""
    batch_usd: float | None = None
    """With `--batch-api`; None where the model has no batch interface, or its card no discount."""


def estimates(work: Work, workspace: Workspace) -> Iterator[Estimate]:
    """The steps of `work`, those of the pipelines it is made of first. Nothing is encoded, asked or written.

    Tokens are the card's tokenizer's, or 4 characters each where that cannot be had; a provider may
    count some more or fewer.
    """
    for part in work.parts:
        yield from estimates(part, workspace)
    if _record(work, workspace):
        yield _estimate(work, "recorded", 0, 0, None)
    elif isinstance(work.retriever, DenseRetriever):
        for role in ("document", "query"):
            yield _encoding(work, work.retriever.encoder, role, workspace)
    elif isinstance(work.retriever, RerankingRetriever):
        yield _reranking(work, work.retriever, workspace)
    elif not work.parts:
        yield _estimate(work, "search", work.dataset.info.queries, work.dataset.info.queries, None)


def _encoding(work: Work, encoder: Encoder, role: Role, workspace: Workspace) -> Estimate:
    dataset = work.dataset
    template = work.task.template(work.template)
    texts = list(dataset.document_texts(template)) if role == "document" else dataset.query_texts()
    settings = encoder.settings(role)
    places = _lacking(workspace.vectors, encoder.name, settings, encoder.dimension, text_keys(texts))
    tokens = encoder.tokens_to_send([texts[place] for place in places], role)
    step = _STEPS[role]
    pace = _pace(
        workspace, {role: settings}, f"encode_{step}", lambda manifest: manifest["cost"][f"{step}_encoded"]
    )
    found = _estimate(work, step, len(texts), len(places), tokens, pace)
    if isinstance(encoder, ApiEncoder) and tokens is not None:
        return replace(found, batch_usd=encoder.batch_usd(tokens, role))
    return found


_STEPS: dict[Role, str] = {"document": "documents", "query": "queries"}


def _reranking(work: Work, retriever: RerankingRetriever, workspace: Workspace) -> Estimate:
    reranker = retriever.reranker
    settings = {"reranker": reranker.settings()}
    counted = f"{reranker.unit}_scored"
    pace = _pace(workspace, settings, "search", lambda manifest: manifest["about"].get(counted) or 0)
    (first,) = work.parts
    template = work.task.template(work.template)
    if record := _record(first, workspace):
        run = read_run(record.folder / RUN, work.dataset.query_ids)
        pairs = candidate_pairs(run.top(retriever.candidates), work.dataset, template)
        keys = pair_keys(pairs)
        places = _lacking(workspace.cache / "scores", reranker.name, reranker.settings(), 1, keys)
        to_do = [pairs[place] for place in places]
        tokens = reranker.tokens_to_send(to_do)
        once = len({pair.document for pair in to_do}) if reranker.unit == "documents" else None
        return _estimate(work, "pairs", len(pairs), len(places), tokens, pace, effort=once)
    queries = work.dataset.query_texts()
    total = len(queries) * min(retriever.candidates, work.dataset.info.documents)
    tokens = _guessed(work, queries, template, total, retriever)
    guess = "candidates are not known before the first stage has run: any document's mean length is taken"
    note = "" if tokens is None else guess
    once = min(total, work.dataset.info.documents) if reranker.unit == "documents" else None
    return _estimate(work, "pairs", total, total, tokens, pace, note, once)


def _guessed(
    work: Work, queries: Sequence[str], template: str, total: int, retriever: RerankingRetriever
) -> int | None:
    documents = list(work.dataset.document_texts(template))
    sample = np.random.default_rng(0).choice(len(documents), min(SAMPLE, len(documents)), replace=False)
    pairs = [Pair(queries[number % len(queries)], documents[place]) for number, place in enumerate(sample)]
    tokens = retriever.reranker.tokens_to_send(pairs)
    return None if tokens is None else round(tokens / max(1, len(pairs)) * total)


def _lacking(root: Path, name: str, settings: dict[str, Any], dimension: int, keys: Keys) -> IntArray:
    """Places of the keys that the store of these settings lacks, the first of equal ones; none is begun."""
    if VectorStore.exists(root, name, settings):
        return missing(VectorStore(root, name, settings, dimension), keys)
    return np.unique(keys, return_index=True)[1]


def _record(work: Work, workspace: Workspace) -> Record | None:
    record = Record(record_folder(workspace.results, work.task.name, work.pipeline, work.inputs()))
    return record if record.finished else None


def _pace(
    workspace: Workspace, settings: dict[str, Any], cost: str, done: Callable[[dict[str, Any]], int]
) -> float | None:
    """Seconds for each text or pair, in the record with most of them that was made with these settings."""
    most, pace = 0, None
    for record in all_records(workspace.results):
        try:
            pipeline = record.manifest["inputs"]["pipeline"]
        except DamagedError:  # another record's damage is no matter of this plan
            continue
        if any(pipeline.get(name) != value for name, value in settings.items()):
            continue
        if (count := done(record.manifest)) > most:
            most, pace = count, record.manifest["cost"][cost] / count
    return pace


def _estimate(
    work: Work,
    step: str,
    total: int,
    to_do: int,
    tokens: int | None,
    pace: float | None = None,
    note: str = "",
    effort: int | None = None,
) -> Estimate:
    """A step's estimate.

    Args:
        pace: Seconds for each of `effort`; None for that is each of `to_do`.
    """
    price = work.model.usd_per_million_tokens
    usd = None if tokens is None or price is None else tokens * price / 1_000_000
    seconds = None if pace is None else pace * (to_do if effort is None else effort)
    return Estimate(work.task.name, work.pipeline, step, total, to_do, tokens, usd, seconds, note)
