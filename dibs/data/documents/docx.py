"""DOCX: what Word calls headings, lists and tables, through HTML."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from dibs.data.documents.base import By, Read
from dibs.data.documents.html import html_parts
from dibs.data.documents.text import MOST_BYTES
from dibs.errors import InputError


def read_docx(path: Path, by: By | None) -> Read:
    """The sections of a document, or the whole of it. Pictures are left out, links lead nowhere.

    Raises:
        InputError: it is no DOCX file, damaged, encrypted, or unpacks to more than any document.
    """
    _check(path)
    import mammoth

    def nothing(image: Any) -> dict[str, str]:
        return {}

    try:
        with path.open("rb") as stream:
            pictures = mammoth.images.img_element(nothing)
            html = mammoth.convert_to_html(stream, convert_image=pictures, external_file_access=False).value
    except Exception as error:  # noqa: BLE001 - a damaged file makes the library raise anything
        raise InputError(f"cannot be read as DOCX: {error!r:.200}", where=str(path)) from None
    return Read(html_parts(html, path, by))


def _check(path: Path) -> None:
    """Refuse what is no archive, or one that unpacks to more than fits in memory."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        problem = f"is no DOCX file: {error}"
        raise InputError(problem, where=str(path), todo="Save it as DOCX, without a password.") from None
    if size > MOST_BYTES:
        raise InputError(f"unpacks to {size:,} bytes, more than {MOST_BYTES:,}", where=str(path))
