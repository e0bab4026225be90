from __future__ import annotations

from pathlib import Path

import pytest

from dibs.data.documents.gather import Gathered, gather
from dibs.data.documents.scan import scan
from dibs.data.rows import Row
from dibs.data.spool import Spool, TwiceError
from dibs.errors import InputError
from tests.data.documents.files import docx, pdf


def read(folder: Path, **options: object) -> Gathered:
    with Spool(None, str(folder)) as spool:
        return gather(scan(folder), spool, **options)  # type: ignore[arg-type]


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder with a file of each kind, four that cannot be read, links, and what is no document."""
    folder = tmp_path / "mixed"
    (folder / "sub dir").mkdir(parents=True)
    pdf(folder / "filing.pdf", ["One", "", "Three"])
    docx(folder / "sub dir" / "book.docx", [("Heading1", "Leave"), ("", "Days.")])
    (folder / "guide.md").write_text("# Guide\n\nText.\n\n## Part\n\nMore.\n")
    (folder / "page.html").write_text("<title>T</title><p>Page.</p>")
    (folder / "note_of_may.txt").write_text("Note.")
    (folder / "rows.jsonl").write_text('{"id": "r1", "text": "Row.", "year": 2020}\n')
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 no more")
    (folder / "broken.docx").write_bytes(b"no zip")
    (folder / "half.jsonl").write_text('{"id": "h1", "text": "Kept not.", "colour": "red"}\n{"id": "h2"}\n')
    (folder / "empty.txt").write_text(" \n")
    (folder / "picture.png").write_bytes(b"\0")
    (folder / ".hidden.md").write_text("Hidden.")
    (folder / ".git").mkdir()
    (folder / ".git" / "readme.md").write_text("Hidden.")
    (tmp_path / "secret.txt").write_text("Secret.")
    (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "in.txt").symlink_to(folder / "note_of_may.txt")
    (folder / "up").symlink_to(tmp_path, target_is_directory=True)
    return folder


def test_every_kind_and_what_is_passed_over(mixed: Path) -> None:
    found = read(mixed)
    rows = {row["id"]: row for row in found.table.to_pylist()}
    assert list(rows) == [
        "filing.pdf#p1",
        "filing.pdf#p2",
        "filing.pdf#p3",
        "guide.md#guide",
        "guide.md#part",
        "note_of_may.txt",
        "page.html",
        "r1",
        "sub%20dir/book.docx#leave",
    ]
    assert rows["filing.pdf#p3"] == {
        "id": "filing.pdf#p3",
        "title": "filing",
        "text": "Three",
        "document": "filing.pdf",
        "part": "filing.pdf#p3",
        "year": "",
    }
    assert rows["r1"]["year"] == "2020"
    assert found.table.column_names == ["id", "title", "text", "document", "part", "year"]
    assert found.divided == {"page", "section"}
    assert {one.place: one.why for one in found.skipped} == {
        "broken.docx": "is no DOCX file: File is not a zip file",
        "broken.pdf": next(one.why for one in found.skipped if one.place == "broken.pdf"),
        "empty.txt": "holds no text",
        "half.jsonl": "line 2: there is no field 'text'",
        "in.txt": "is a link to a file that is read itself",
        "out.txt": "is a link that leaves the folder",
        "up": "is a link to a folder",
    }
    assert "cannot be read, not even after a repair" in str(found.skipped)
    assert [(one.source.place, one.units) for one in found.taken][:2] == [("filing.pdf", 3), ("guide.md", 2)]
    assert scan(mixed).ignored == {".png": 1}


def test_documents_whole(mixed: Path) -> None:
    found = read(mixed, by="document")
    assert found.divided == set()
    assert found.table["id"].to_pylist() == found.table["document"].to_pylist()
    assert found.table["text"].to_pylist()[0] == "One\n\nThree"


def test_pages_are_of_pdfs_alone(mixed: Path) -> None:
    found = read(mixed, by="page")
    assert found.divided == {"page"}
    assert "guide.md" in found.table["id"].to_pylist()


def test_a_part_can_be_divided_further(mixed: Path) -> None:
    def twice(row: Row) -> list[Row]:
        return [Row({**row.values, "id": f"{row.values['id']}/{n}"}, row.where) for n in range(2)]

    found = read(mixed, divide=twice)
    assert found.table["id"].to_pylist()[:3] == ["filing.pdf#p1/0", "filing.pdf#p1/1", "filing.pdf#p2/0"]
    assert found.taken[0].units == 6


def test_nothing_that_can_be_read_is_an_error_with_the_reasons(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(b"")
    (tmp_path / "b.txt").write_bytes(b"\xff")
    with pytest.raises(InputError) as caught:
        read(tmp_path)
    assert caught.value.problem == "not one of 2 files can be read"
    assert "a.docx: is no DOCX file" in (caught.value.todo or "")
    assert "b.txt: line 1: is not UTF-8" in (caught.value.todo or "")


def test_a_pdf_of_pictures_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"scan\.pdf: holds no text: its pages are pictures"):
        read(pdf(tmp_path / "scan.pdf", ["", ""]))


def test_an_id_that_is_there_twice_stops_all(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text\nx,One\n")
    (tmp_path / "b.csv").write_text("id,text\ny,Two\nx,Three\n")
    with pytest.raises(TwiceError, match=r"b\.csv, line 3: the document id 'x' is there twice"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "problem"),
    [("nowhere", "there is no such folder or table"), ("a.png", "is of a kind that is not read")],
)
def test_what_is_no_input_is_said(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "a.png").write_bytes(b"\0")
    with pytest.raises(InputError) as caught:
        scan(tmp_path / name)
    assert caught.value.problem == problem


def test_an_empty_folder_says_what_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no documents") as caught:
        scan(tmp_path)
    assert ".pdf" in (caught.value.todo or "")
