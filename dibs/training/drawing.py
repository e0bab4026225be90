"""Which documents queries are made of, and which of them are held out: drawn over filings or sections."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from dibs.errors import InputError
from dibs.training.documents import Collection, Document

Avoid = Literal["gold-groups", "gold", "none"]
"""What is not sampled: documents of groups with a gold document, gold documents, or nothing."""


@dataclass(frozen=True)
class Drawing:
    """Which documents are drawn, and how many queries are made of each."""

    count: int | None = 1000
    """None is all documents."""
    each: int = 3
    seed: int = 0
    avoid: Avoid = "gold"
    development: float = 0.1
    """The share of the documents that is held out, by group."""

    def __post_init__(self) -> None:
        if (self.count is not None and self.count < 1) or self.each < 1:
            raise InputError("the documents drawn and the queries for each are to be at least 1")
        if not 0 <= self.development < 1:
            raise InputError(f"the share held out is {self.development}, not from 0 to less than 1")


@dataclass(frozen=True)
class Sample:
    """Documents that were drawn, and where each belongs."""

    documents: list[Document]
    development: frozenset[str]
    """The groups that are held out."""
    avoided: int
    """Documents that were not to be drawn."""


def sample(found: Collection, drawing: Drawing) -> Sample:
    """Draw documents, one of each group in turn, so that no long filing outweighs the others.

    Empty documents and those whose text stands in one drawn before are passed over. Groups are then held
    out, drawn with the same seed, until they hold the share of the documents that is asked for.

    Raises:
        InputError: nothing is left to draw.
    """
    shut_groups = {g for g, name in zip(found.groups, found.ids, strict=True) if name in found.gold}
    by_group: dict[str, list[int]] = {}
    for row, (name, group) in enumerate(zip(found.ids, found.groups, strict=True)):
        if not (
            (drawing.avoid == "gold" and name in found.gold)
            or (drawing.avoid == "gold-groups" and group in shut_groups)
        ):
            by_group.setdefault(group, []).append(row)
    left = sum(map(len, by_group.values()))
    drawn: list[Document] = []
    seen: set[str] = set()
    for row in _in_turn(by_group, random.Random(f"documents {drawing.seed}")):
        if drawing.count is not None and len(drawn) == drawing.count:
            break
        document = found.document(row)
        if document.text and (key := " ".join(document.text.split())) not in seen:
            seen.add(key)
            drawn.append(document)
    if not drawn:
        todo = "Use --avoid none to draw gold documents too." if left < len(found.ids) else None
        raise InputError("there is no document to make queries of", where=found.name, todo=todo)
    held = _held_out(drawn, drawing.development, random.Random(f"development {drawing.seed}"))
    return Sample(drawn, held, len(found.ids) - left)


def _in_turn(by_group: Mapping[str, Sequence[int]], draw: random.Random) -> Iterator[int]:
    """Rows, one of each group and then another, groups and the rows in them in a drawn order."""
    queues = [draw.sample(list(rows), len(rows)) for _, rows in sorted(by_group.items())]
    draw.shuffle(queues)
    while queues:
        for queue in queues:
            yield queue.pop()
        queues = [queue for queue in queues if queue]


def _held_out(documents: Sequence[Document], share: float, draw: random.Random) -> frozenset[str]:
    sizes: dict[str, int] = {}
    for document in documents:
        sizes[document.group] = sizes.get(document.group, 0) + 1
    groups = draw.sample(sorted(sizes), len(sizes))
    held: list[str] = []
    while share > 0 and len(held) < len(groups) - 1 and sum(sizes[g] for g in held) < share * len(documents):
        held.append(groups[len(held)])
    return frozenset(held)
