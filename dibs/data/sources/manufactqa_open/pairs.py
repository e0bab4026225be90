"""Questions and answers as a forum, a FAQ or a help centre gives them, made a task's tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dibs.data.prepare import SourceData
from dibs.data.qrels import Judgement, qrels_table
from dibs.data.rows import Row, texts_table


@dataclass(frozen=True)
class Pair:
    """A question and its answer."""

    id: str
    title: str
    question: str
    """The title, and what was written below it."""
    answer: str


@dataclass(frozen=True)
class LeftOut:
    """What was no pair."""

    why: str
    """As it reads after a count: "without an answer"."""


def tables(found: Sequence[tuple[str, str, Iterable[Pair | LeftOut]]]) -> SourceData:
    """Each pair as a query and a document; of equal questions or answers the first counts.

    Args:
        found: Of each source its name in ids, its repository for messages, and what it gives.

    Raises:
        InputError: a source gives nothing, or two pairs have one id.
    """
    queries: list[Row] = []
    documents: list[Row] = []
    notes: list[str] = []
    for name, repository, pairs in found:
        left: Counter[str] = Counter()
        for pair in _once(pairs, left):
            answer = {"id": f"a-{name}-{pair.id}", "title": "", "text": pair.answer, "source": name}
            asked = {"id": f"q-{name}-{pair.id}", "text": pair.question, "source": name, "title": pair.title}
            documents.append(Row(answer, repository))
            queries.append(Row(asked, repository))
        if left:
            counts = ", ".join(f"{count:,} {why}" for why, count in sorted(left.items()))
            notes.append(f"left out of {repository}: {counts}")
    where = ", ".join(repository for _, repository, _ in found)
    corpus = texts_table(documents, "document", where, titles=True)
    questions = texts_table(queries, "query", where, titles=False)
    gold = (
        Judgement(str(query.values["id"]), str(document.values["id"]), 1, query.where)
        for query, document in zip(queries, documents, strict=True)
    )
    judged = qrels_table(gold, questions, corpus["id"].to_pylist(), where)
    return SourceData(corpus, judged.queries, judged.qrels, notes=notes)


def _once(pairs: Iterable[Pair | LeftOut], left: Counter[str]) -> Iterator[Pair]:
    """The pairs whose question and answer did not stand before; the others are counted."""
    questions: set[str] = set()
    answers: set[str] = set()
    for pair in pairs:
        if isinstance(pair, LeftOut):
            left[pair.why] += 1
        elif pair.question in questions or pair.answer in answers:
            left["that stand elsewhere"] += 1
        else:
            questions.add(pair.question)
            answers.add(pair.answer)
            yield pair
