"""The stage from documents to pairs: draw documents, ask for queries, keep both with how they were made."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from dibs.errors import InputError
from dibs.provenance import git, hardware, versions
from dibs.training.base import Generator, Made
from dibs.training.documents import Collection, Document
from dibs.training.drawing import Drawing, Sample, sample
from dibs.training.pairs import Pair, PairSet, pairs_folder, stored, write_pairs
from dibs.training.words import Rarity
from dibs.workspace import Workspace

COUNTED, COUNTED_CHARACTERS = 3000, 4000
"""Documents, and characters of each, that words' frequencies are counted in."""
NOTE = "holds text of the documents: share it only where their licence allows"


@dataclass(frozen=True)
class Done:
    """A set of pairs, and whether it was there already."""

    pairs: PairSet
    reused: bool


def synthesize(
    found: Collection, drawing: Drawing, generator: Generator, workspace: Workspace, command: str
) -> Done:
    """The pairs of these documents by this generator: those on disk if they are whole, else new ones.

    Documents whose request failed are counted; the same call asks for them again, and for no others.

    Raises:
        InputError: nothing could be asked about any document.
        ProviderError: every request failed; MissingError: no request can succeed.
    """
    inputs = {
        "documents": found.name,
        "data": found.sha256,
        "template": found.template,
        "group": found.group_field,
        "drawing": asdict(drawing),
        "generator": generator.settings(),
    }
    folder = pairs_folder(workspace, f"{found.name}-{generator.name}", inputs)
    if (kept := stored(folder, inputs)) is not None:
        return Done(kept, True)
    drawn = sample(found, drawing)
    made = generator.make(drawn.documents, drawing.each, drawing.seed)
    pairs = [pair for one in made for pair in _pairs(one, drawn)]
    if not pairs:
        first = next((f"; the first: {one.error}" for one in made if one.error), "")
        raise InputError(
            f"not one query could be made of {len(made):,} documents{first}",
            where=found.name,
            todo="Draw more of them (--count), or use another generator or --domain.",
        )
    manifest = {
        "kind": "pairs",
        "documents": found.name,
        "task": found.name if found.is_task else None,
        "licence": found.licence,
        "note": NOTE,
        "generator": generator.name,
        "inputs": inputs,
        "drawn": len(drawn.documents),
        "avoided": drawn.avoided,
        "without_queries": sum(not one.queries and one.error is None for one in made),
        **_failures(made),
        "filters": [],
        "cost": _cost(generator),
        "command": command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "hardware": hardware(),
        "git": git(),
    }
    return Done(write_pairs(folder, pairs, manifest), False)


def rarity_of(found: Collection, seed: int) -> Rarity:
    """How rare words are in a collection, counted in some of its documents."""
    rows = random.Random(f"rarity {seed}").sample(range(len(found.ids)), min(COUNTED, len(found.ids)))
    return Rarity.of(found.document(row).text[:COUNTED_CHARACTERS] for row in sorted(rows))


def _pairs(made: Made, drawn: Sample) -> list[Pair]:
    document: Document = made.document
    return [
        Pair(
            query=query.text,
            document_id=document.id,
            document=document.text if query.document is None else query.document,
            kind=query.kind,
            group=document.group,
            split="development" if document.group in drawn.development else "train",
        )
        for query in made.queries
    ]


def _failures(made: list[Made]) -> dict[str, Any]:
    failed = [one for one in made if one.error is not None]
    return {
        "failed": len(failed),
        "failures": [{"document_id": one.document.id, "error": one.error} for one in failed[:20]],
    }


def _cost(generator: Generator) -> dict[str, Any] | None:
    spent = getattr(generator, "spent", None)
    return None if spent is None else asdict(spent)
