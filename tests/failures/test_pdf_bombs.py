"""Forged PDFs: each ends in bounded time and memory, is named, and takes nothing else with it."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from dibs.data import pdf
from dibs.data.pdf import Limits, PdfPages, UnreadablePdf, read_pdf, read_pdfs
from dibs.errors import InputError
from tests.data.test_pdf import make

SMALL = Limits(pages=1000, seconds=1, memory=1 << 29)
FONT = b"<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
CATALOGUE = b"<< /Type /Catalog /Pages 2 0 R >>"
TREE = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
PAGE = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources %s /Contents 4 0 R >>"


def write(path: Path, *objects: bytes) -> Path:
    """A PDF of these objects, numbered from 1; the first is the catalogue."""
    content, places = b"%PDF-1.7\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size, start = len(objects) + 1, len(content)
    content += b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table)
    path.write_bytes(
        content + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, start)
    )
    return path


def stream(body: bytes, fields: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(body), fields, body)


def packed(size: int, filters: int = 1) -> bytes:
    """A stream of so many blanks, packed so often."""
    packer = zlib.compressobj(1)
    body = b"".join(packer.compress(b" " * (1 << 20)) for _ in range(size >> 20)) + packer.flush()
    for _ in range(filters - 1):
        body = zlib.compress(body)
    return stream(body, b"/Filter [%s]" % (b" /FlateDecode" * filters))


def test_a_forged_count_of_pages(tmp_path: Path) -> None:
    page = PAGE % FONT
    forged = write(tmp_path / "a.pdf", CATALOGUE, b"<< /Type /Pages /Kids [3 0 R] /Count 1000000 >>", page)
    with pytest.raises(InputError, match="has 1,000,000 pages, more than 20,000"):
        read_pdf(forged)


def test_a_tree_of_as_many_pages_as_it_says(tmp_path: Path) -> None:
    kids = b"3 0 R " * 30_000
    real = write(
        tmp_path / "a.pdf", CATALOGUE, b"<< /Type /Pages /Kids [%s] /Count 30000 >>" % kids, PAGE % FONT
    )
    with pytest.raises(InputError, match="has 30,000 pages, more than 20,000"):
        read_pdf(real)


@pytest.mark.parametrize("kids", [b"2 0 R", b"3 0 R 3 0 R"])
def test_a_tree_of_pages_that_goes_in_a_circle(tmp_path: Path, kids: bytes) -> None:
    loop = write(
        tmp_path / "a.pdf",
        CATALOGUE,
        b"<< /Type /Pages /Kids [%s] /Count 4 >>" % kids,
        b"<< /Type /Pages /Parent 2 0 R /Kids [2 0 R 2 0 R] /Count 4 >>",
    )
    with pytest.raises(InputError, match="cannot be read, not even after a repair"):
        read_pdf(loop)


def test_objects_in_each_other_without_end(tmp_path: Path) -> None:
    deep = b"<< /Type /Catalog /Pages 2 0 R /X %s%s >>" % (b"[" * 200_000, b"]" * 200_000)
    path = write(tmp_path / "a.pdf", deep, TREE, PAGE % FONT, stream(b"[" * 200_000 + b"]" * 200_000))
    (found,) = read_pdfs([path], processes=1, limits=SMALL)
    assert found.name == "a"


def test_more_text_than_any_document_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "MOST_CHARACTERS", 25)
    assert len(read_pdf(make(tmp_path / "a.pdf", ["x" * 10] * 2)).pages) == 2
    with pytest.raises(InputError, match="has more than 25 characters of text"):
        read_pdf(make(tmp_path / "b.pdf", ["x" * 10] * 3))


def forms(depth: int) -> Sequence[bytes]:
    """Drawings each of which draws the next ten times."""
    head = b"/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources"
    inner = [
        stream(b"/A Do " * 10, head + b" << /XObject << /A %d 0 R >> >>" % (6 + number))
        for number in range(depth)
    ]
    page = PAGE % b"<< /XObject << /A 5 0 R >> >>"
    return (CATALOGUE, TREE, page, stream(b"/A Do"), *inner, stream(b"BT /F1 12 Tf (x) Tj ET", head + FONT))


def fonts(count: int) -> Sequence[bytes]:
    named = b" ".join(
        b"/F%d << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>" % n for n in range(count)
    )
    shown = b" ".join(b"/F%d 12 Tf (x) Tj" % n for n in range(count))
    return (CATALOGUE, TREE, PAGE % (b"<< /Font << %s >> >>" % named), stream(b"BT %s ET" % shown))


CRASHED, LATE = "the process that read it crashed, or took 512 MiB", "takes more than 1 s"


def test_a_file_that_draws_without_end_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    paths = [
        make(tmp_path / "good.pdf", ["First"]),
        write(tmp_path / "drawn.pdf", *forms(9)),
        make(tmp_path / "last.pdf", ["Last"]),
    ]
    first, drawn, last = read_pdfs(paths, processes=1, limits=SMALL)
    assert first == PdfPages("good", ["First"], repaired=False)
    assert isinstance(drawn, UnreadablePdf)
    assert drawn.reason in (CRASHED, LATE)
    assert last == PdfPages("last", ["Last"], repaired=False)


@pytest.mark.slow
def test_files_that_unpack_or_draw_without_end_are_named_and_the_others_are_read(tmp_path: Path) -> None:
    """2 GB in some kilobytes, a billion drawings, and fonts that take minutes."""
    paths = [
        make(tmp_path / "good.pdf", ["First", "Second"]),
        write(tmp_path / "unpacked.pdf", CATALOGUE, TREE, PAGE % FONT, packed(1 << 31, filters=3)),
        write(tmp_path / "drawn.pdf", *forms(9)),
        write(tmp_path / "fonts.pdf", *fonts(100_000)),
        make(tmp_path / "last.pdf", ["Last"]),
    ]
    assert paths[1].stat().st_size < 200_000
    found = {one.name: one for one in read_pdfs(paths, processes=1, limits=SMALL)}
    assert found["good"] == PdfPages("good", ["First", "Second"], repaired=False)
    assert found["last"] == PdfPages("last", ["Last"], repaired=False)
    reasons = {name: one.reason for name, one in found.items() if isinstance(one, UnreadablePdf)}
    assert reasons.keys() == {"unpacked", "drawn", "fonts"}
    assert set(reasons.values()) <= {CRASHED, LATE}, reasons
    assert reasons["fonts"] == LATE


def test_memory_that_python_is_refused_is_named_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr(pdf, "_texts", refused)
    with pytest.raises(InputError, match="takes more memory than it may"):
        read_pdf(make(tmp_path / "a.pdf", ["x"]))
