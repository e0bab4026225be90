"""FinanceBench's files in small: three listed filings, three questions, and PDFs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pikepdf

KITES, LAMPS, ROPES = "UMBRALKITES_2020_10K", "LAMPWORKS_2021Q2_10Q", "ROPEYARD_2022_8K_dated-2022-03-04"


def filing(name: str, company: str, form: str, year: Any) -> dict[str, Any]:
    return {
        "doc_name": name,
        "company": company,
        "gics_sector": "Toys",
        "doc_type": form,
        "doc_period": year,
        "doc_link": "https://example.org",
    }


def gold(name: str, page: Any, text: Any = "as the question file has it") -> dict[str, Any]:
    return {
        "evidence_text": "part",
        "doc_name": name,
        "evidence_page_num": page,
        "evidence_text_full_page": text,
    }


def question(number: int, *evidence: dict[str, Any], **changes: Any) -> dict[str, Any]:
    values = {
        "financebench_id": f"financebench_id_{number:05}",
        "company": "Umbral Kites",
        "doc_name": KITES,
        "question_type": "metrics-generated",
        "question_reasoning": "Information extraction",
        "question": f"Question {number}?",
        "answer": "1,200",
        "justification": None,
        "evidence": list(evidence),
    }
    return {key: value for key, value in (values | changes).items() if value is not ...}


LISTED = [
    filing(KITES, "Umbral Kites", "10k", 2020),
    filing(LAMPS, "Lampworks", "10q", 2021),
    filing(KITES, "Umbral Kites again", "10k", 2020),
    filing(ROPES, "Ropeyard", "8k", 2022),
]
ASKED = [
    question(1, gold(KITES, 1), gold(KITES, 1, "the same page again"), gold(KITES, 0)),
    question(2, gold(LAMPS, 1), company="Lampworks", doc_name=LAMPS),
    question(3, gold(ROPES, 7, "Ropes\u00a0made: 9."), gold(KITES, 2), company="Ropeyard", doc_name=ROPES),
]


def jsonl(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def put_pdf(path: Path, *pages: str) -> None:
    with pikepdf.new() as document:
        font = pikepdf.Dictionary(
            Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica
        )
        for text in pages:
            page = document.add_blank_page()
            page.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
            page.Contents = document.make_stream(b"BT /F1 12 Tf 72 700 Td (%s) Tj ET" % text.encode())
        document.save(path)
