"""FinanceBench as the study used it: every page of the 360 listed filings is a document.

Read from the pinned repository, or from a folder with its files (`data/*.jsonl`, `pdfs/*.pdf`, or
all of them side by side, plain or gzipped), or with a ready `pages.parquet` (doc_name, page, text).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from dibs.data.prepare import SourceData, SourceRequest
from dibs.data.qrels import Judgement, qrels_table
from dibs.data.rows import Row, texts_table
from dibs.data.sources.financebench.corpus import FROM_PDF, FROM_QUESTIONS, Corpus, build, page_id
from dibs.data.sources.financebench.pages import read_pages
from dibs.data.sources.financebench.remote import fetch_filings, fetch_tables
from dibs.data.sources.financebench.tables import (
    FILINGS,
    QUESTIONS,
    Question,
    find_table,
    read_filings,
    read_questions,
)
from dibs.errors import InputError

__all__ = ["FILINGS", "QUESTIONS", "read"]

_NAMED = 10


def read(request: SourceRequest) -> SourceData:
    """Pages, questions and gold pages of FinanceBench.

    Gold pages of absent filings are taken from the question file and marked in the column `origin`;
    the questions they belong to read "question file" in `gold_from`.

    Raises:
        InputError: a file is not the pinned one or malformed, or something is absent and
            `request.complete` is set.
        ProviderError, DamagedError: a file could not be fetched; those that were are kept.
    """
    card = request.card
    folder = request.folder or fetch_tables(card, request.downloads)
    filings = read_filings(find_table(card, folder, FILINGS))
    questions = read_questions(find_table(card, folder, QUESTIONS), filings)
    if request.folder is None:
        fetch_filings(card, request.downloads, filings)
    corpus = build(read_pages(folder, filings), filings, questions)
    if request.complete and corpus.absent:
        count = f"{len(corpus.absent)} of {len(filings)}"
        raise InputError(
            f"{count} filings are absent or unreadable: {_some(corpus.absent)}",
            where=str(folder),
            todo="Leave out --complete to take their gold pages from the question file.",
        )
    absent = set(corpus.absent)
    rows = [
        Row(question.fields | {"gold_from": _gold_from(question, absent)}, question.where)
        for question in questions
    ]
    queries = texts_table(rows, "query", str(folder), titles=False)
    found = _judgements(questions, corpus, folder)
    judged = qrels_table(found, queries, corpus.pages["id"].to_pylist(), str(folder))
    return SourceData(
        corpus.pages, judged.queries, judged.qrels, notes=_notes(len(filings), questions, corpus)
    )


def _gold_from(question: Question, absent: set[str]) -> str:
    return FROM_PDF if absent.isdisjoint(gold.doc_name for gold in question.gold) else FROM_QUESTIONS


def _judgements(questions: Sequence[Question], corpus: Corpus, folder: Path) -> Iterator[Judgement]:
    for question in questions:
        for gold in question.gold:
            count = corpus.page_counts.get(gold.doc_name)
            if count is not None and gold.page >= count:
                raise InputError(
                    f"{question.id} has its gold on page {gold.page} of {gold.doc_name}, "
                    f"which has {count} pages",
                    where=str(folder),
                    todo="Get that filing anew: it is cut off, or another document.",
                )
            yield Judgement(question.id, page_id(gold.doc_name, gold.page), 1, str(folder))


def _notes(listed: int, questions: Sequence[Question], corpus: Corpus) -> list[str]:
    notes = []
    if corpus.absent:
        absent = set(corpus.absent)
        taken = {(gold.doc_name, gold.page) for q in questions for gold in q.gold if gold.doc_name in absent}
        hit = sum(_gold_from(question, absent) == FROM_QUESTIONS for question in questions)
        notes.append(
            f"{len(absent)} of {listed} filings are absent; {len(taken)} gold pages of {hit} questions "
            f"were taken from the question file. Absent: {', '.join(corpus.absent)}"
        )
    if corpus.repaired:
        notes.append(f"repaired before reading: {', '.join(corpus.repaired)}")
    if corpus.unreadable:
        notes.append(f"could not be read: {', '.join(corpus.unreadable)}")
    return notes


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
