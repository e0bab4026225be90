"""One run, scored as what was retrieved and as what that is part of: chunks, pages, documents.

A run of chunks is made a run of pages by giving each page the score of its best chunk, and ranking the
pages by that: *MaxP* of Dai and Callan, Deeper Text Understanding for IR with Contextual Neural Language
Modeling, SIGIR 2019, 985-988. A run keeps so many chunks for each query; where they are of fewer than k
pages, a measure at k of pages is too low rather than too high, and such queries are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dibs.cards.task import TaskCard
from dibs.data.content import ROWS
from dibs.data.dataset import Dataset, Qrels
from dibs.retrieval.run import Run, rank
from dibs.scoring.measures import Measure, Values, score


@dataclass(frozen=True)
class Level:
    """What a run and its gold are at one level."""

    name: str
    units: int
    """How many of them the corpus has."""
    run: Run
    """Of the level's ids, for the queries that have gold here."""
    qrels: Qrels
    """Of the queries that have gold here; empty where none has."""
    cut: frozenset[str]
    """Queries for which more may have been found than the run keeps."""

    def short(self, k: int) -> int:
        """Queries that have fewer than k units only because the run was cut."""
        wanted = min(k, self.units)
        return sum(len(self.run.rankings[query].documents) < wanted for query in self.cut)


def levels_of(run: Run, card: TaskCard, dataset: Dataset, depth: int) -> dict[str, Level]:
    """The run at each of the task's levels, the coarsest first; the last is the run's own.

    A query has gold at a level where everything that is relevant to it is of that level or part of
    something that is; what is relevant at two places of one page is so once, with the higher grade.

    Args:
        depth: How many documents the run keeps for each query.
    """
    gold = {name for grades in dataset.qrels.values() for name in grades}
    found = {name for ranking in run.rankings.values() for name in ranking.documents}
    above, units = _above(dataset, card.levels, gold | found)
    made = {}
    for name in card.levels:
        up = above[name]
        queries = [query for query in dataset.query_ids if _judged(dataset.qrels.get(query, {}), up)]
        whole = run if name == card.levels[-1] else collapse(run, up)
        made[name] = Level(
            name,
            units[name],
            Run({query: whole.rankings[query] for query in queries}),
            {query: _lifted(dataset.qrels[query], up) for query in queries},
            frozenset(query for query in queries if len(run.rankings[query].documents) >= depth),
        )
    return made


def main_level(levels: Mapping[str, Level], queries: int) -> Level:
    """The finest level at which every query has gold; at the coarsest every one has."""
    return [level for level in levels.values() if len(level.qrels) == queries][-1]


def score_main(
    run: Run, card: TaskCard, dataset: Dataset, measures: Iterable[Measure]
) -> dict[Measure, Values]:
    """Each measure of every query, (n,), in the data's order, at the level that the task is measured at."""
    if not card.levels:
        return score(run, {query: dataset.qrels[query] for query in dataset.query_ids}, measures)
    main = main_level(levels_of(run, card, dataset, 0), dataset.info.queries)
    return score(main.run, main.qrels, measures)


def unit_qrels(dataset: Dataset, levels: Sequence[str]) -> Qrels:
    """The qrels in ids of the corpus: for a gold page, each of its chunks. To show and guard, not to score.

    Args:
        levels: The task's; none leaves the qrels as they are.
    """
    gold = {name for grades in dataset.qrels.values() for name in grades}
    if not levels:
        return dataset.qrels
    units: dict[str, dict[str, None]] = {}
    table = dataset.corpus.select([*levels[:-1], "id"])
    for batch in table.to_batches(max_chunksize=ROWS):
        for path in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            for name in gold.intersection(path):
                units.setdefault(name, {})[path[-1]] = None
    found: Qrels = {}
    for query, grades in dataset.qrels.items():
        judged = found[query] = {}
        for name, grade in grades.items():
            for unit in units.get(name, ()):
                judged[unit] = max(grade, judged.get(unit, grade))
    return found


def collapse(run: Run, parents: Mapping[str, str]) -> Run:
    """The run of what documents are part of, each with the score of the best of its parts.

    Args:
        parents: Of every document of the run.
    """
    rankings = {}
    for query, ranking in run.rankings.items():
        best: dict[str, float] = {}
        for document, found in zip(ranking.documents, ranking.scores.tolist(), strict=True):
            best.setdefault(parents[document], found)  # the best comes first
        rankings[query] = rank(best)
    return Run(rankings)


def _judged(grades: Mapping[str, int], up: Mapping[str, str]) -> bool:
    relevant = [name for name, grade in grades.items() if grade > 0]
    return bool(relevant) and all(name in up for name in relevant)


def _lifted(grades: Mapping[str, int], up: Mapping[str, str]) -> dict[str, int]:
    lifted: dict[str, int] = {}
    for name, grade in grades.items():
        if name in up:
            lifted[up[name]] = max(grade, lifted.get(up[name], grade))
    return lifted


def _above(
    dataset: Dataset, levels: Sequence[str], wanted: Iterable[str]
) -> tuple[dict[str, dict[str, str]], dict[str, int]]:
    """For each level: the unit of it that a wanted id is or is part of, and how many units there are."""
    names = set(wanted)
    above: dict[str, dict[str, str]] = {level: {} for level in levels}
    seen: dict[str, set[str]] = {level: set() for level in levels[:-1]}
    table = dataset.corpus.select([*levels[:-1], "id"])
    for batch in table.to_batches(max_chunksize=ROWS):
        for path in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            for place, name in enumerate(path):
                if place < len(seen):
                    seen[levels[place]].add(name)
                if name in names:
                    for higher in range(place + 1):
                        above[levels[higher]][name] = path[higher]
    return above, {level: len(found) for level, found in seen.items()} | {levels[-1]: dataset.info.documents}
