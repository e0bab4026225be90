"""PDF: a part for each page, numbered from 1 as people count them."""

from __future__ import annotations

from dibs.data.documents.base import By, Part, Read
from dibs.data.pdf import PdfPages


def pdf_parts(found: PdfPages, by: By | None) -> Read:
    """The pages of a PDF that was read, or the whole of it.

    A PDF has no headings that can be relied on: by sections too it is divided into pages.
    """
    title = found.name.replace("_", " ").encode(errors="replace").decode()
    texts = [text.encode(errors="replace").decode() for text in found.pages]
    note = "was damaged; what could be repaired was read" if found.repaired else None
    if by == "document":
        return Read([Part("", title, "\n\n".join(filter(None, map(str.strip, texts))))], note)
    return Read([Part(f"p{number}", title, text) for number, text in enumerate(texts, start=1)], note)
