"""Where a labeller stands: the document before him, what he said of others, and how far he is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dibs.errors import InputError
from dibs.labelling.journal import Journal, Label, Pair
from dibs.labelling.source import Labelled
from dibs.labelling.text import Piece, pieces, plain

GRADES = {2: ("not relevant", "relevant"), 3: ("not relevant", "relevant", "highly relevant")}
"""What grades mean, by how many there are."""


@dataclass(frozen=True)
class Item:
    """A document before the labeller; nothing in it says who found it."""

    place: int
    """In the session's list, from 0."""
    query: str
    answer: str
    title: list[Piece]
    text: list[Piece]
    document: str
    """Its id."""
    grade: int | None
    """What he said of it before."""
    others: dict[str, int]
    """What the labellers said, where they are shown."""
    progress: str


class Session:
    """One labeller's way through the candidates. Judged documents are passed over, and `back` shows them."""

    def __init__(
        self,
        task: Labelled,
        pairs: Sequence[Pair],
        journal: Journal,
        pool: dict[str, Any],
        *,
        grades: int = 2,
        settling: Mapping[Pair, Mapping[str, int]] | None = None,
    ) -> None:
        """Begin at the first pair that is not judged.

        Args:
            pairs: The candidates, each query's together.
            pool: As each judgement keeps it.
            grades: How many there are, 2 or 3.
            settling: What each labeller said of the pairs, which is shown and then settled.
        """
        self.grades = GRADES[grades]
        self._task, self._pairs, self._journal, self._pool = task, list(pairs), journal, pool
        self._settling = settling
        settles = settling is not None
        self._said = {label.pair: label.grade for label in journal.labels if label.settles == settles}
        self._place = -1
        self._forward()

    @property
    def done(self) -> bool:
        """Whether the last document was passed."""
        return self._place == len(self._pairs)

    @property
    def judged(self) -> int:
        """Candidates that were judged, now or before."""
        return sum(pair in self._said for pair in self._pairs)

    def item(self) -> Item | None:
        """What is before the labeller; None at the end."""
        if self.done:
            return None
        pair = self._pairs[self._place]
        query = self._task.dataset.query(pair.query)["text"]
        document = self._task.dataset.document(pair.document)
        return Item(
            place=self._place,
            query=plain(query),
            answer=plain(self._task.answers.get(pair.query, "")),
            title=pieces(document["title"], query),
            text=pieces(document["text"], query),
            document=plain(pair.document),
            grade=self._said.get(pair),
            others=dict(self._settling[pair]) if self._settling is not None else {},
            progress=self._progress(pair),
        )

    def judge(self, grade: int) -> None:
        """Write down what the labeller says, and go to the next document that is not judged.

        Raises:
            InputError: there is no such grade, or nothing is before him; DibsError: it cannot be written.
        """
        if self.done or not 0 <= grade < len(self.grades):
            raise InputError(f"the grade {grade} is none of 0 to {len(self.grades) - 1}, or nothing is shown")
        pair = self._pairs[self._place]
        now = datetime.now(UTC).isoformat(timespec="seconds")
        settles = self._settling is not None
        self._journal.add(Label(*pair, grade, self._journal.labeller, now, self._pool, settles))
        self._said[pair] = grade
        self._forward()

    def skip(self) -> None:
        """Leave the document for another time."""
        self._forward()

    def back(self) -> None:
        """Show the document before this one again."""
        self._place = max(0, self._place - 1)

    def _forward(self) -> None:
        self._place = next(
            (n for n in range(self._place + 1, len(self._pairs)) if self._pairs[n] not in self._said),
            len(self._pairs),
        )

    def _progress(self, pair: Pair) -> str:
        queries = list(dict.fromkeys(one.query for one in self._pairs))
        of_query = [one for one in self._pairs if one.query == pair.query]
        return (
            f"query {queries.index(pair.query) + 1} of {len(queries)}, "
            f"document {of_query.index(pair) + 1} of {len(of_query)}; "
            f"{self.judged:,} of {len(self._pairs):,} judged"
        )
