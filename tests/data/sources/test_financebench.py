from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dibs.cards.task import TaskCard
from dibs.data.dataset import Dataset, open_dataset
from dibs.data.prepare import SourceData, SourceRequest, prepare
from dibs.data.sources.financebench import FILINGS, QUESTIONS, read
from dibs.errors import InputError, MissingError
from dibs.workspace import Workspace
from tests.data.financebench import ASKED, KITES, LAMPS, LISTED, ROPES, filing, gold, jsonl, put_pdf, question
from tests.shared import shared_data
from tests.toys import ROOT

PAGES = {
    KITES: ["Umbral Kites\u00a0Inc.", "Kites sold: 1,200.", ""],
    LAMPS: ["Lampworks", "Lamps lit: 40."],
    "UNLISTED_2020_10K": ["Not among the listed."],
}


def put_pages(folder: Path, pages: dict[str, list[str]]) -> None:
    # Neither rows nor columns have to be in an order.
    rows = [
        {"text": text, "page": number, "doc_name": name}
        for name, texts in pages.items()
        for number, text in enumerate(texts)
    ]
    pq.write_table(pa.Table.from_pylist(rows[::-1]), folder / "pages.parquet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The upstream files side by side; the pages of one listed filing are absent."""
    (tmp_path / FILINGS).write_bytes(jsonl(*LISTED))
    (tmp_path / QUESTIONS).write_bytes(jsonl(*ASKED))
    put_pages(tmp_path, PAGES)
    return tmp_path


def card(**source: Any) -> TaskCard:
    values = {"name": "Tiny", "description": "d", "licence": "mit", "citation": "c"}
    return TaskCard.model_validate(values | {"source": {"kind": "financebench"} | source})


def ask(folder: Path | None, *, complete: bool = False, **source: Any) -> SourceData:
    return read(SourceRequest(card(**source), Path(gettempdir()), folder, complete))


def corpus(data: SourceData) -> list[dict[str, str]]:
    assert isinstance(data.corpus, pa.Table)
    rows: list[dict[str, str]] = data.corpus.to_pylist()
    return rows


def by_id(data: SourceData) -> dict[str, dict[str, str]]:
    return {row["id"]: row for row in corpus(data)}


# What it makes of whole files


def test_every_page_of_the_listed_filings_is_a_document(folder: Path) -> None:
    documents = by_id(ask(folder))
    assert list(documents) == [
        f"{LAMPS}_p0000",
        f"{LAMPS}_p0001",
        f"{KITES}_p0000",
        f"{KITES}_p0001",
        f"{KITES}_p0002",
        f"{ROPES}_p0007",
    ]
    assert documents[f"{KITES}_p0001"] == {
        "id": f"{KITES}_p0001",
        "title": "Umbral Kites, 10-K, FY2020 2020, UMBRALKITES 2020 10K",
        "text": "Kites sold: 1,200.",
        "doc_name": KITES,
        "page": "1",
        "company": "Umbral Kites",
        "form": "10-K",
        "year": "2020",
        "origin": "pdf",
    }


def test_special_spaces_become_spaces(folder: Path) -> None:
    documents = by_id(ask(folder))
    assert documents[f"{KITES}_p0000"]["text"] == "Umbral Kites Inc."
    assert documents[f"{ROPES}_p0007"]["text"] == "Ropes made: 9."


def test_gold_pages_of_absent_filings_come_from_the_question_file_and_are_marked(folder: Path) -> None:
    data = ask(folder)
    assert {row["origin"] for row in corpus(ask(folder)) if row["doc_name"] != ROPES} == {"pdf"}
    assert by_id(ask(folder))[f"{ROPES}_p0007"]["origin"] == "question file"
    assert data.queries["gold_from"].to_pylist() == ["pdf", "pdf", "question file"]
    assert data.notes == [
        "1 of 3 filings are absent; 1 gold pages of 1 questions were taken from the question file. "
        f"Absent: {ROPES}"
    ]


def test_questions_and_their_gold_pages(folder: Path) -> None:
    data = ask(folder)
    ids = [f"financebench_id_0000{number}" for number in (1, 2, 3)]
    assert data.queries.to_pylist()[2] == {
        "id": ids[2],
        "text": "Question 3?",
        "answer": "1,200",
        "company": "Ropeyard",
        "doc_name": ROPES,
        "gold_from": "question file",
        "justification": "",
        "question_reasoning": "Information extraction",
        "question_type": "metrics-generated",
    }
    # Page numbers count from 0 on both sides; the page that is listed twice counts once.
    assert [tuple(row.values()) for row in data.qrels.to_pylist()] == [
        (ids[0], f"{KITES}_p0001", 1),
        (ids[0], f"{KITES}_p0000", 1),
        (ids[1], f"{LAMPS}_p0001", 1),
        (ids[2], f"{ROPES}_p0007", 1),
        (ids[2], f"{KITES}_p0002", 1),
    ]


@pytest.mark.parametrize(("below", "packed"), [(True, False), (False, True), (True, True)])
def test_the_other_places_of_the_files(folder: Path, below: bool, packed: bool) -> None:
    expected = ask(folder)
    for name in (FILINGS, QUESTIONS):
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        target = folder / ("data" if below else ".") / (f"{name}.gz" if packed else name)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(gzip.compress(content) if packed else content)
    found = ask(folder)
    assert corpus(found) == corpus(expected)
    assert found.qrels.equals(expected.qrels)
    assert found.queries.equals(expected.queries)


def test_filings_that_are_all_there_leave_no_note(folder: Path) -> None:
    put_pages(folder, PAGES | {ROPES: ["Ropeyard"] * 8})
    data = ask(folder, complete=True)
    assert data.notes == []
    assert set(data.queries["gold_from"].to_pylist()) == {"pdf"}
    assert len(corpus(data)) == 3 + 2 + 8


def test_it_prepares(folder: Path, workspace: Workspace) -> None:
    prepare(card(), workspace, folder=folder)
    opened = open_dataset(workspace.data / "Tiny")
    assert (opened.info.documents, opened.info.queries, opened.info.qrels) == (6, 3, 5)
    assert (opened.info.empty_documents, opened.info.duplicate_documents) == (1, 0)
    assert opened.document_ids[-1] == f"{ROPES}_p0007"


# PDFs


def test_filings_as_pdfs(folder: Path) -> None:
    (folder / "pages.parquet").unlink()
    (folder / "pdfs").mkdir()
    put_pdf(folder / "pdfs" / f"{KITES}.pdf", "Umbral Kites Inc.", "Kites sold: 1,200.", "Last page")
    put_pdf(folder / "pdfs" / "UNLISTED_2020_10K.pdf", "Not among the listed.")
    (folder / "pdfs" / f"{LAMPS}.pdf").write_bytes(b"%PDF-1.7 and no more")
    data = ask(folder)
    documents = by_id(data)
    assert documents[f"{KITES}_p0001"]["text"] == "Kites sold: 1,200."
    assert documents[f"{LAMPS}_p0001"] | {"origin": "question file"} == documents[f"{LAMPS}_p0001"]
    assert len(documents) == 5
    assert data.queries["gold_from"].to_pylist() == ["pdf", "question file", "question file"]
    absent, unreadable = data.notes
    assert absent.startswith("2 of 3 filings are absent; 2 gold pages of 2 questions")
    assert unreadable.startswith(f"could not be read: {LAMPS} (cannot be read, not even after a repair")


def test_a_cut_off_pdf_is_repaired_and_named(folder: Path) -> None:
    (folder / "pages.parquet").unlink()
    put_pdf(folder / f"{KITES}.pdf", "Umbral Kites Inc.", "Kites sold: 1,200.", "Last page")
    content = (folder / f"{KITES}.pdf").read_bytes()
    (folder / f"{KITES}.pdf").write_bytes(content[: content.index(b"xref")])
    data = ask(folder)
    assert f"repaired before reading: {KITES}" in data.notes
    assert by_id(data)[f"{KITES}_p0001"]["text"] == "Kites sold: 1,200."


# What it refuses


def refused(folder: Path | None, **options: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        ask(folder, **options)
    assert caught.value.todo
    return caught.value


def test_complete_refuses_and_names_what_is_absent(folder: Path) -> None:
    error = refused(folder, complete=True)
    assert error.where == str(folder)
    assert error.problem == f"1 of 3 filings are absent or unreadable: {ROPES}"
    many = [filing(f"F{number:02}", "Many", "10k", 2020) for number in range(14)]
    (folder / FILINGS).write_bytes(jsonl(*LISTED, *many))
    listed = ", ".join(f"F{number:02}" for number in range(10))
    assert refused(folder, complete=True).problem.endswith(f"unreadable: {listed} and 5 more")


def test_a_gold_page_beyond_the_end_of_its_filing(folder: Path) -> None:
    (folder / QUESTIONS).write_bytes(jsonl(question(1, gold(LAMPS, 2))))
    error = refused(folder)
    assert error.problem == f"financebench_id_00001 has its gold on page 2 of {LAMPS}, which has 2 pages"


@pytest.mark.parametrize("pages", [[0, 2], [1, 2], [0, 0], [0, None]])
def test_pages_with_a_gap(folder: Path, pages: list[int | None]) -> None:
    path = folder / "pages.parquet"
    pq.write_table(pa.table({"doc_name": [KITES] * 2, "page": pages, "text": ["a", "b"]}), path)
    error = refused(folder)
    assert (error.where, error.problem) == (
        str(path),
        f"the pages of {KITES} do not count from 0 without a gap",
    )


@pytest.mark.parametrize(
    "table",
    [
        {"doc_name": [KITES], "page": [0]},
        {"doc_name": [KITES], "page": ["first"], "text": ["a"]},
        {"doc_name": [KITES], "page": [0], "text": [["a"]]},
        {"doc_name": [[KITES]], "page": [0], "text": ["a"]},
        {"doc_name": [KITES], "page": [0.5], "text": ["a"]},
        {"doc_name": [KITES, KITES], "page": [0, 1], "text": ["a", None]},
    ],
)
def test_pages_of_another_form(folder: Path, table: dict[str, list[Any]]) -> None:
    pq.write_table(pa.table(table), folder / "pages.parquet")
    error = refused(folder)
    assert error.where == str(folder / "pages.parquet")
    assert error.todo == "Each page is a row: doc_name, page (from 0), text (empty where there is none)."


def test_pages_in_a_damaged_file(folder: Path) -> None:
    path = folder / "pages.parquet"
    content = path.read_bytes()
    for damaged in (content[:-20], content.replace(b"Lamps lit", b"Lamps \xff\xfe\xfd")):
        path.write_bytes(damaged)
        error = refused(folder)
        assert error.where == str(path)
        assert "is not a parquet file with doc_name, page, text" in error.problem


def test_pinned_files(folder: Path) -> None:
    pins = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (FILINGS, QUESTIONS)}
    ask(folder, files=pins)
    for name in (FILINGS, QUESTIONS):
        content = (folder / name).read_bytes()
        for ending, packed in (("", content), (".gz", gzip.compress(content))):
            path = folder / (name + ending)
            path.write_bytes(packed)
            ask(folder, files=pins)
            error = refused(folder, files=pins | {name: "0" * 64})
            assert error.where == str(path)
            assert "is not what the card of Tiny pins" in error.problem
            path.unlink()
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("name", [FILINGS, QUESTIONS])
def test_a_missing_table_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    error = refused(folder)
    assert isinstance(error, MissingError)
    assert error.where == str(folder)
    assert name in error.problem


def test_no_pages_at_all(folder: Path) -> None:
    (folder / "pages.parquet").unlink()
    error = refused(folder)
    assert isinstance(error, MissingError)
    assert "no PDF of a listed filing, and no pages.parquet" in error.problem


@pytest.mark.parametrize(
    ("row", "where", "problem"),
    [
        (question(2), "", "the question has no evidence"),
        (question(2, evidence=None), "", "the question has no evidence"),
        (question(2, evidence=...), "", "there is no field 'evidence'"),
        (question(2, evidence=[7]), ", evidence", "there is no field 'doc_name'"),
        (
            question(2, gold("OTHER_2020_10K", 0)),
            ", evidence",
            "'OTHER_2020_10K' is not among the listed ones",
        ),
        (question(2, gold("UNLISTED_2020_10K", 0)), ", evidence", "is not among the listed ones"),
        (question(2, gold(KITES, -1)), ", evidence", "evidence_page_num is -1, not a page from 0"),
        (question(2, gold(KITES, "1")), ", evidence", "evidence_page_num is '1', not a page"),
        (question(2, gold(KITES, True)), ", evidence", "evidence_page_num is True, not a page"),
        (question(2, gold(KITES, 1.0)), ", evidence", "evidence_page_num is 1.0, not a page"),
        (question(2, gold(KITES, 1, None)), ", evidence", "evidence_text_full_page is None, not a text"),
        (question(2, gold(KITES, 1) | {"doc_name": [KITES]}), ", evidence", "doc_name is ['UMBRAL"),
        (
            question(2, gold(ROPES, 1, "\ud800")),
            ", evidence, field 'evidence_text_full_page'",
            "holds half a character",
        ),
        (question(2, gold(KITES, 1), financebench_id=2), "", "financebench_id is 2, not a text"),
        (question(2, gold(KITES, 1), question=None), "", "the text of query 'financebench_id_00002' is None"),
        (question(2, gold(KITES, 1), question_type=...), "", "there is no field 'question_type'"),
        (question(1, gold(KITES, 1)), "", "the query id 'financebench_id_00001' is there twice"),
    ],
)
def test_a_malformed_question_is_named(folder: Path, row: dict[str, Any], where: str, problem: str) -> None:
    (folder / QUESTIONS).write_bytes(jsonl(ASKED[0], row))
    error = refused(folder)
    assert error.where == f"{folder / QUESTIONS}, line 2{where}"
    assert problem in error.problem


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"doc_name": 7}, "doc_name is 7, not a text"),
        ({"company": None}, "company is None, not a text"),
        ({"doc_type": ["10k"]}, "doc_type is ['10k'], not a text"),
    ],
)
def test_a_malformed_filing_is_named(folder: Path, change: dict[str, Any], problem: str) -> None:
    (folder / FILINGS).write_bytes(jsonl(LISTED[0], LISTED[1] | change))
    error = refused(folder)
    assert (error.where, error.problem) == (f"{folder / FILINGS}, line 2", problem)
    row = {key: value for key, value in LISTED[1].items() if key not in change}
    (folder / FILINGS).write_bytes(jsonl(LISTED[0], row))
    assert refused(folder).problem == f"there is no field '{next(iter(change))}'"


def test_without_a_folder_the_card_has_to_say_where_from() -> None:
    error = refused(None)
    assert error.problem == "the card of Tiny names no repository and revision"


# The real data

PREPARE = """
import json, resource, sys
from pathlib import Path
from dibs.cards.task import TaskCard
from dibs.data.prepare import prepare
from dibs.workspace import Workspace

workspace = Workspace(Path(sys.argv[1]), Path(sys.argv[2]))
prepare(workspace.card(TaskCard, "FinanceBench"), workspace, folder=Path(sys.argv[3]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def prepared_anew(cache: Path, folder: Path) -> tuple[Dataset, int]:
    """The real data set, and the peak memory in bytes of the process that prepared it."""
    done = subprocess.run(
        [sys.executable, "-c", PREPARE, str(ROOT), str(cache), str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return open_dataset(cache / "data" / "FinanceBench"), int(done.stdout) * 1024


@pytest.mark.real_data
def test_the_real_data_is_what_is_known_of_it(tmp_path: Path) -> None:
    dataset, peak = prepared_anew(tmp_path, shared_data("data", "financebench"))
    info = dataset.info
    assert (info.documents, info.queries, info.empty_documents) == (49_241, 150, 166)
    assert info.sha256 == "125c7fbaec55473fe3ed8339358b23898db47c3400faf64122499ee8108972ff"
    gold_from = dataset.query_field("gold_from")
    assert (gold_from.count("pdf"), gold_from.count("question file")) == (129, 21)
    [note] = info.notes
    counted, _, named = note.partition(" Absent: ")
    assert counted == (
        "24 of 360 filings are absent; 20 gold pages of 21 questions were taken from the question file."
    )
    assert len(named.split(", ")) == 24
    assert peak < 1.5e9
    assert sum(len(documents) for documents in dataset.qrels.values()) == info.qrels  # none twice
    assert sum(len(documents) > 1 for documents in dataset.qrels.values()) == 35
    origins = dataset.corpus["origin"].to_pylist()
    assert origins.count("question file") == 20
    assert not any("\u00a0" in text for text in dataset.corpus["text"].to_pylist())


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "folder", "documents", "queries"),
    [("ManufactQA-Open", "manufactqa-open", 6083, 6083), ("DocsQA-Open", "docsqa-open", 7561, 100)],
)
def test_the_open_stand_ins_are_whole(
    workspace: Workspace, name: str, folder: str, documents: int, queries: int
) -> None:
    dataset = prepare(
        workspace.card(TaskCard, name), workspace, folder=shared_data("data", folder), complete=True
    )
    assert (dataset.info.documents, dataset.info.queries) == (documents, queries)
    assert dataset.info.notes == []
