from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from dibs.data.documents import docx as reader
from dibs.data.documents.base import Part
from dibs.data.documents.docx import read_docx
from dibs.errors import InputError
from tests.data.documents.files import docx


def test_headings_make_sections(tmp_path: Path) -> None:
    rows = [("Heading1", "Handbook"), ("", "Welcome."), ("Heading2", "Leave"), ("", "30 days &lt;paid&gt;.")]
    path = docx(tmp_path / "a.docx", rows)
    assert read_docx(path, None).parts == [
        Part("handbook", "Handbook", "Welcome."),
        Part("leave", "Handbook: Leave", "30 days <paid>."),
    ]
    (whole,) = read_docx(path, "document").parts
    assert whole.text == "# Handbook\n\nWelcome.\n\n## Leave\n\n30 days <paid>."


@pytest.mark.parametrize("content", [b"", b"PK\3\4 cut off", b"<html>"])
def test_what_is_no_archive_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.docx"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no DOCX file") as caught:
        read_docx(path, None)
    assert caught.value.where == str(path)


def test_an_archive_of_other_things_and_broken_xml(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.docx", "w") as archive:
        archive.writestr("hello.txt", "hello")
    for path in (tmp_path / "other.docx", docx(tmp_path / "xml.docx", [], "<w:document>")):
        with pytest.raises(InputError, match="cannot be read as DOCX"):
            read_docx(path, None)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MOST_BYTES", 100)
    with pytest.raises(InputError, match="unpacks to"):
        read_docx(docx(tmp_path / "a.docx", [("", "x" * 200)]), None)
