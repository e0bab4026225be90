"""Plain text: one document a file."""

from __future__ import annotations

import codecs
from pathlib import Path

from dibs.data.documents.base import By, Part, Read, title_of
from dibs.errors import InputError

MOST_BYTES = 256 << 20
"""A text, page or DOCX file that is larger is refused: it is no document, and would fill the memory."""

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def read_text(path: Path, by: By | None) -> Read:
    """The whole file.

    Raises:
        InputError: it is not UTF-8, nor UTF-16 with a byte order mark.
    """
    return Read([Part("", title_of(path), decoded(path))])


def decoded(path: Path) -> str:
    """A file's text, with "\\n" ends of line.

    Raises:
        InputError: it is too large, not text, or in another encoding; the line is named.
    """
    content = whole(path)
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = f"is not {encoding.removesuffix('-sig').upper()}: {error.reason}"
        raise InputError(problem, where=f"{path}, line {line}", todo="Save it as UTF-8.") from None
    if "\0" in text:
        raise InputError("is not text: it holds NUL bytes", where=str(path))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def whole(path: Path) -> bytes:
    """A file's bytes.

    Raises:
        InputError: it cannot be read, or is too large.
    """
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise InputError(f"has {size:,} bytes, more than {MOST_BYTES:,}", where=str(path))
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from None
