"""From labels to the task's qrels, and what pooling leaves open about later runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from dibs.errors import InputError
from dibs.files import write_bytes
from dibs.labelling.journal import Label, Pair
from dibs.labelling.merged import Merged, merged
from dibs.labelling.source import Labelled
from dibs.retrieval.run import Run

CUT = 10
"""Where `judged_at` looks."""


@dataclass(frozen=True)
class State:
    """What is judged of a task, by labellers and by the gold that was given."""

    grades: dict[Pair, int]
    """Every judgement that counts."""
    given: dict[Pair, int]
    """Of them, those that no labeller made: the task came with them, and its own reading checks them."""
    people: Merged
    queries: Sequence[str]
    gone: int
    """Labellers' judgements of a query or document that is no longer there; they are left out."""
    pools: Sequence[Mapping[str, Any]]
    """What was pooled, each once."""

    @property
    def relevant(self) -> list[str]:
        """Queries with at least one relevant document."""
        found = {pair.query for pair, grade in self.grades.items() if grade > 0}
        return [query for query in self.queries if query in found]

    @property
    def without(self) -> list[str]:
        """Queries with none, which are left out of scoring."""
        found = set(self.relevant)
        return [query for query in self.queries if query not in found]

    @property
    def judged_per_query(self) -> float:
        """The mean number of judged documents of a query that has some."""
        return len(self.grades) / max(1, len({pair.query for pair in self.grades}))

    def judged(self) -> dict[str, set[str]]:
        """The judged documents of each query."""
        found: dict[str, set[str]] = {}
        for pair in self.grades:
            found.setdefault(pair.query, set()).add(pair.document)
        return found


def state(task: Labelled) -> State:
    """What is judged now.

    Raises:
        InputError: the qrels are malformed; DamagedError: a journal is.
    """
    labels = task.by_people()
    people = merged(labels)
    given = {pair: grade for pair, grade in task.in_qrels.items() if pair not in people.grades}
    queries, documents = set(task.dataset.query_ids), set(task.dataset.document_ids)
    kept = {
        pair: grade
        for pair, grade in people.grades.items()
        if pair.query in queries and pair.document in documents
    }
    return State(
        grades=given | kept,
        given=given,
        people=people,
        queries=task.dataset.query_ids,
        gone=len(people.grades) - len(kept),
        pools=_pools(labels),
    )


def write_qrels(task: Labelled, found: State) -> None:
    """Write the task's qrels, beside those that are there, which it then replaces.

    What was judged not relevant is written with 0: so it is known later what nobody has judged.

    Raises:
        InputError: nothing is judged, or an id cannot stand in a TSV file.
    """
    if not found.grades:
        raise InputError(
            "nothing is judged yet",
            where=task.card.name,
            todo=f"Run: dibs task label {task.card.name} --model bm25",
        )
    order = {query: place for place, query in enumerate(found.queries)}
    lines = ["query-id\tcorpus-id\tscore"]
    for pair in sorted(found.grades, key=lambda pair: (order.get(pair.query, len(order)), pair)):
        if any(c in name for name in pair for c in "\t\r\n"):
            raise InputError(
                "the id holds a tab or a line end, which qrels cannot",
                where=f"{pair.query!r}, {pair.document!r}",
                todo="Give it another id.",
            )
        lines.append(f"{pair.query}\t{pair.document}\t{found.grades[pair]}")
    write_bytes(task.qrels, ("\n".join(lines) + "\n").encode())


def judged_at(run: Run, judged: Mapping[str, Collection[str]], k: int = CUT) -> float | None:
    """The share of a run's first k documents that were judged, the mean over the queries with judgements.

    Documents of a later run that nobody judged count as not relevant; the lower this share, the less its
    scores can be compared with those of the runs that were pooled. A ranking that is shorter than k is
    divided by its own length. None where no such query has a ranking.
    """
    shares = []
    for query, known in judged.items():
        ranking = run.rankings.get(query)
        if ranking and (top := ranking.documents[:k]):
            shares.append(sum(name in known for name in top) / len(top))
    return fmean(shares) if shares else None


def _pools(labels: Sequence[Label]) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for label in labels:
        if not label.settles and label.pool not in found:
            found.append(label.pool)
    return found
