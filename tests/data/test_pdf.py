from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path

import pikepdf
import pyarrow.parquet as pq
import pytest

from dibs.data import pdf
from dibs.data.pdf import Limits, Page, PdfPages, UnreadablePdf, read_pdf, read_pdfs
from dibs.errors import InputError
from tests.shared import shared_data

CUT_OFF = "INTEL_2023_8K_dated-2023-08-16"


def make(path: Path, pages: Sequence[str], encryption: pikepdf.Encryption | None = None) -> Path:
    """A PDF with one page for each text; an empty text makes an empty page."""
    with pikepdf.new() as document:
        font = document.make_indirect(
            pikepdf.Dictionary(
                Type=pikepdf.Name.Font,
                Subtype=pikepdf.Name.Type1,
                BaseFont=pikepdf.Name.Helvetica,
                Encoding=pikepdf.Name.WinAnsiEncoding,
            )
        )
        for text in pages:
            shown = b" ".join(b"(%s) Tj T*" % line.encode("cp1252") for line in text.splitlines())
            page = document.add_blank_page()
            page.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
            page.Contents = document.make_stream(
                b"BT /F1 12 Tf 14 TL 72 700 Td %s ET" % shown if shown else b""
            )
        document.save(path, encryption=encryption or False)
    return path


def cut_before(path: Path, mark: bytes) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: content.index(mark)])
    return path


def read_or_crash(path: Path, limits: Limits) -> PdfPages | UnreadablePdf:
    """Stands in for the worker's function: some files end their process, as a fault in pdfium would."""
    if path.stem.startswith("evil"):
        os._exit(139)
    return PdfPages(path.stem, [str(limits.pages)], repaired=False)


def test_each_page_is_a_text(tmp_path: Path) -> None:
    result = read_pdf(make(tmp_path / "a.b.pdf", ["First page", "", "Third page"]))
    assert result == PdfPages("a.b", ["First page", "", "Third page"], repaired=False)
    assert list(result.numbered()) == [Page(0, "First page"), Page(1, ""), Page(2, "Third page")]


def test_lines_end_in_a_plain_line_feed(tmp_path: Path) -> None:
    assert read_pdf(make(tmp_path / "a.pdf", ["one\ntwo\nthree"])).pages == ["one\ntwo\nthree"]


def test_a_hard_blank_becomes_a_blank_and_other_letters_stay(tmp_path: Path) -> None:
    assert read_pdf(make(tmp_path / "a.pdf", ["$\u00a01,000 \u2013 \u00fcber\u2026"])).pages == [
        "$ 1,000 \u2013 \u00fcber\u2026"
    ]


@pytest.mark.parametrize("mark", [b"trailer", b"xref"])
def test_a_file_that_is_cut_off_is_repaired(tmp_path: Path, mark: bytes) -> None:
    path = cut_before(make(tmp_path / "a.pdf", ["First", "Second"]), mark)
    result = read_pdf(path)
    assert result.repaired
    assert len(result.pages) == 2
    assert result.pages[0] == "First"


def test_a_file_behind_other_bytes_is_repaired(tmp_path: Path) -> None:
    path = make(tmp_path / "a.pdf", ["Text"])
    path.write_bytes(b"HTTP/1.1 200 OK\r\n" * 100 + path.read_bytes())
    assert read_pdf(path) == PdfPages("a", ["Text"], repaired=True)


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, b"%PDF-1.7\n%%EOF\n", b"<!DOCTYPE html>"])
def test_a_file_that_is_no_pdf_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.pdf"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not even after a repair") as caught:
        read_pdf(path)
    assert caught.value.where == str(path)
    assert str(caught.value).count(str(path)) == 1


def test_a_file_without_pages_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_pdf(make(tmp_path / "a.pdf", []))


@pytest.mark.parametrize("name", ["absent.pdf", "."])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="no such file") as caught:
        read_pdf(tmp_path / name)
    assert caught.value.where == str(tmp_path / name)


def test_an_encrypted_file_is_named_as_such(tmp_path: Path) -> None:
    path = make(tmp_path / "a.pdf", ["Secret"], pikepdf.Encryption(owner="o", user="u"))
    with pytest.raises(InputError, match="is encrypted"):
        read_pdf(path)


def test_a_file_that_only_restricts_its_use_is_read(tmp_path: Path) -> None:
    path = make(tmp_path / "a.pdf", ["Text"], pikepdf.Encryption(owner="o", user=""))
    assert read_pdf(path) == PdfPages("a", ["Text"], repaired=False)


def test_too_many_pages_are_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "a.pdf", ["1", "2", "3"])
    assert len(read_pdf(path, most_pages=3).pages) == 3
    with pytest.raises(InputError, match="3 pages, more than 2") as caught:
        read_pdf(path, most_pages=2)
    assert caught.value.where == str(path)


def test_results_come_in_the_order_of_the_paths(tmp_path: Path) -> None:
    long = make(tmp_path / "long.pdf", ["page"] * 50)
    encrypted = make(tmp_path / "encrypted.pdf", ["x"], pikepdf.Encryption(owner="o", user="u"))
    cut = cut_before(make(tmp_path / "cut.pdf", ["Text"]), b"trailer")
    short = make(tmp_path / "short.pdf", ["Text"])
    empty = tmp_path / "empty.pdf"
    empty.touch()
    paths = [long, encrypted, cut, long, tmp_path / "absent.pdf", short, empty]
    done: list[Path] = []

    results = list(read_pdfs(paths, processes=2, most_pages=60, on_done=done.append))

    assert done == paths
    assert [result.name for result in results] == [
        "long",
        "encrypted",
        "cut",
        "long",
        "absent",
        "short",
        "empty",
    ]
    assert results[0] == results[3] == PdfPages("long", ["page"] * 50, repaired=False)
    assert results[1] == UnreadablePdf(encrypted, "is encrypted")
    assert results[2] == PdfPages("cut", ["Text"], repaired=True)
    assert results[4] == UnreadablePdf(tmp_path / "absent.pdf", "there is no such file")
    assert isinstance(results[6], UnreadablePdf)
    assert "not even after a repair" in results[6].reason


def test_too_many_pages_make_one_file_unreadable(tmp_path: Path) -> None:
    paths = [make(tmp_path / "a.pdf", ["1", "2"]), make(tmp_path / "b.pdf", ["1"])]
    assert list(read_pdfs(paths, processes=1, most_pages=1)) == [
        UnreadablePdf(paths[0], "has 2 pages, more than 1"),
        PdfPages("b", ["1"], repaired=False),
    ]


def test_no_paths_no_results() -> None:
    assert list(read_pdfs([])) == []


def test_a_file_that_crashes_its_process_harms_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "_read", read_or_crash)
    names = ["a", "evil1", "b", "evil2", "c"]
    results = list(read_pdfs([Path(f"{name}.pdf") for name in names], processes=1, most_pages=7))
    assert [result.name for result in results] == names
    for result in results:
        if result.name.startswith("evil"):
            assert isinstance(result, UnreadablePdf)
            assert result.reason.startswith("the process that read it crashed")
        else:
            assert result == PdfPages(result.name, ["7"], repaired=False)


def test_texts_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Path] = []
    start = pdf._Workers.start

    def counted(workers: pdf._Workers, path: Path) -> pdf._Job:
        started.append(path)
        return start(workers, path)

    monkeypatch.setattr(pdf, "_read", read_or_crash)
    monkeypatch.setattr(pdf._Workers, "start", counted)
    for taken, _ in enumerate(read_pdfs([Path(f"{n}.pdf") for n in range(40)], processes=1), start=1):
        assert len(started) - taken < 4
    assert len(started) == 40


def test_processes_end_with_the_iterator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "_read", read_or_crash)
    results = read_pdfs([Path(f"{n}.pdf") for n in range(40)], processes=1)
    assert next(results).name == "0"
    assert multiprocessing.active_children()
    results.close()  # type: ignore[attr-defined]
    assert not multiprocessing.active_children()


@pytest.mark.real_data
def test_filings_read_as_the_reference_has_them() -> None:
    paths = sorted(shared_data("data", "financebench", "pdfs").glob("*.pdf"))
    table = pq.read_table(
        shared_data("data", "financebench", "pages.parquet"),
        filters=[("doc_name", "in", [path.stem for path in paths])],
    )
    reference: dict[str, dict[int, str]] = {path.stem: {} for path in paths}
    for row in table.to_pylist():
        reference[row["doc_name"]][row["page"]] = row["text"].replace("\u00a0", " ")

    results = list(read_pdfs(paths, processes=2))

    assert [result.name for result in results] == [path.stem for path in paths]
    for result in results:
        assert isinstance(result, PdfPages)
        assert result.repaired == (result.name == CUT_OFF)
        assert dict(result.numbered()) == reference[result.name]
