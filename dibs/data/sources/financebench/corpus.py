"""FinanceBench's corpus: a document for each page, with gold pages of absent filings put in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from dibs.data.pdf import PdfPages, UnreadablePdf
from dibs.data.sources.financebench.tables import Filing, Question

FROM_PDF, FROM_QUESTIONS = "pdf", "question file"
_SCHEMA = pa.schema(
    [
        (name, pa.string())
        for name in ("id", "title", "text", "doc_name", "page", "company", "form", "year", "origin")
    ]
)


@dataclass(frozen=True)
class Corpus:
    """The pages as documents, and what became of the filings."""

    pages: pa.Table
    page_counts: Mapping[str, int]
    """Of each filing that was read, by its name."""
    absent: list[str]
    """Listed filings that were not read."""
    repaired: list[str]
    unreadable: list[str]
    """Names with the reason."""


def build(
    read: Iterable[PdfPages | UnreadablePdf], filings: Mapping[str, Filing], questions: Sequence[Question]
) -> Corpus:
    """The pages that were read, in their order, and after them the gold pages of filings that were not."""
    batches: list[pa.RecordBatch] = []
    page_counts: dict[str, int] = {}
    repaired: list[str] = []
    unreadable: list[str] = []
    for found in read:
        if isinstance(found, UnreadablePdf):
            unreadable.append(f"{found.name} ({found.reason})")
            continue
        page_counts[found.name] = len(found.pages)
        if found.repaired:
            repaired.append(found.name)
        batches.append(_batch(filings[found.name], dict(enumerate(found.pages)), FROM_PDF))
    gold: dict[str, dict[int, str]] = {}
    for page in (page for question in questions for page in question.gold):
        if page.doc_name not in page_counts:
            gold.setdefault(page.doc_name, {})[page.page] = page.text
    for name, pages in sorted(gold.items()):
        batches.append(_batch(filings[name], dict(sorted(pages.items())), FROM_QUESTIONS))
    table = pa.Table.from_batches(batches, _SCHEMA)
    return Corpus(table, page_counts, sorted(filings.keys() - page_counts.keys()), repaired, unreadable)


def page_id(doc_name: str, page: int) -> str:
    """The document id of a page."""
    return f"{doc_name}_p{page:04d}"


def _batch(filing: Filing, pages: Mapping[int, str], origin: str) -> pa.RecordBatch:
    """One filing's pages."""
    name, year = filing.name, filing.year
    rows = [
        {
            "id": page_id(name, number),
            "title": f"{filing.company}, {filing.form}, FY{year} {year}, {name.replace('_', ' ')}",
            "text": text.replace("\u00a0", " "),
            "doc_name": name,
            "page": str(number),
            "company": filing.company,
            "form": filing.form,
            "year": year,
            "origin": origin,
        }
        for number, text in pages.items()
    ]
    return pa.RecordBatch.from_pylist(rows, schema=_SCHEMA)
