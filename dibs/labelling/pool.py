"""Pooling: the first documents of several retrievers, joined, as TREC has its runs judged.

A document that no retriever of the pool ranks high is never judged, so a later and different retriever can
be wronged: Zobel, SIGIR 1998, 307-314. `judged_at` of qrels.py says how far a run may be.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dibs.data.dataset import Dataset
from dibs.errors import InputError
from dibs.evaluate import Work
from dibs.files import digest, write_json
from dibs.training.roundtrip import Asked, search


@dataclass(frozen=True)
class Pooling:
    """How candidates are found and ordered."""

    models: tuple[str, ...]
    """As the user named them."""
    depth: int = 10
    """Documents of each retriever."""
    seed: int = 0
    """Of the order they are shown in, which says nothing of who found them."""

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise InputError(f"a pool of depth {self.depth} is empty", todo="Give --depth of at least 1.")

    def settings(self) -> dict[str, Any]:
        """As each judgement keeps it."""
        return asdict(self) | {"models": list(self.models)}


def pooled(pooling: Pooling, works: Sequence[Work], dataset: Asked, cache: Path) -> dict[str, list[str]]:
    """Each query's candidates, in an order drawn with the seed.

    They are kept in `cache`, so that whoever goes on or joins waits for no retriever.

    Args:
        works: The retrievers on `dataset`, one for each of the pooling's models.
    """
    asked = list(zip(dataset.query_ids, dataset.query_texts(), strict=True))
    made_of = [dataset.info.sha256, asked, pooling.depth, [work.inputs() for work in works]]
    kept = cache / "pools" / f"{digest(made_of)}.json"
    found = _read(kept, dataset)
    if found is None:
        runs = [search(work, dataset, cache) for work in works]
        found = {
            query: sorted({name for run in runs for name in run.rankings[query].documents[: pooling.depth]})
            for query in dataset.query_ids
        }
        write_json(kept, found)
    for query, documents in found.items():
        random.Random(f"{pooling.seed} {query}").shuffle(documents)
    return found


def _read(path: Path, dataset: Dataset) -> dict[str, list[str]] | None:
    """The pool that is kept; None if there is none, or it is damaged and is made anew."""
    try:
        found: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
        known = set(dataset.document_ids)
        whole = list(found) == dataset.query_ids and all(known.issuperset(one) for one in found.values())
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return found if whole else None
