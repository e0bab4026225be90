from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dibs.errors import DamagedError, InputError
from dibs.files import write_json
from dibs.records import (
    MTEB,
    QUERIES,
    RUN,
    SCORES,
    Record,
    all_records,
    find_record,
    record_folder,
    record_hash,
    table_bytes,
    write_record,
    writing,
)

INPUTS = {"task": "Tiny", "depth": 100, "pipeline": {"retriever": "bm25", "k1": 1.5}}
FILES = {SCORES: b'{"subsets": {}}\n', QUERIES: b"parquet", MTEB: b"{}\n"}


def make(results: Path, task: str = "Tiny", pipeline: str = "bm25", depth: int = 100) -> Record:
    inputs = INPUTS | {"task": task, "depth": depth}
    folder = record_folder(results, task, pipeline, inputs)
    folder.mkdir(parents=True)
    (folder / RUN).write_bytes(b"run")
    return write_record(folder, {"inputs": inputs, "task": {"name": task}, "pipeline": pipeline}, FILES)


def test_a_record_lies_at_its_task_its_pipeline_and_its_hash(tmp_path: Path) -> None:
    record = make(tmp_path)
    assert record.folder == tmp_path / "Tiny" / "bm25" / record.hash
    assert record.name == f"Tiny/bm25/{record.hash}"
    assert (record.task, record.pipeline) == ("Tiny", "bm25")
    assert sorted(path.name for path in record.folder.iterdir()) == sorted(
        ["manifest.json", RUN, SCORES, QUERIES, MTEB]
    )
    assert record.scores == {"subsets": {}}


def test_the_hash_is_of_the_inputs_whatever_their_order() -> None:
    assert record_hash(INPUTS) == "6fdd36a14820" == record_hash(dict(reversed(INPUTS.items())))
    assert record_hash(INPUTS | {"depth": 101}) != record_hash(INPUTS)


def test_names_of_pipelines_become_folders(tmp_path: Path) -> None:
    folder = record_folder(tmp_path, "Tiny", "my/model (titled)", INPUTS)
    assert folder.parent == tmp_path / "Tiny" / "my-model-titled"
    assert record_folder(tmp_path, "Tiny", "../..", INPUTS).parent == tmp_path / "Tiny" / "unnamed"


def test_the_manifest_names_each_file_with_its_hash(tmp_path: Path) -> None:
    manifest = json.loads((make(tmp_path).folder / "manifest.json").read_text())
    assert manifest["format"] == 1
    assert manifest["files"] == {
        SCORES: "541f8fac98c08470acc09de81400af050bbfb7976476514970c1ce66125d0b55",
        QUERIES: "37a0fe5ae24a60682faa103d3808c86efe98a83dd414af81d9b01eef26a3be87",
        MTEB: "ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356",
        RUN: "acba25512100f80b56fc3ccd14c65be55d94800cda77585c5f41a887e398f9be",
    }


def test_a_whole_record_has_no_faults(tmp_path: Path) -> None:
    assert make(tmp_path).faults() == []


@pytest.mark.parametrize("name", [RUN, SCORES, QUERIES, MTEB])
def test_a_file_that_was_edited_or_lost_is_a_fault(tmp_path: Path, name: str) -> None:
    record = make(tmp_path)
    path = record.folder / name
    path.write_bytes(path.read_bytes() + b" ")
    assert Record(record.folder).faults() == [f"{name} is not as it was written"]
    path.unlink()
    assert Record(record.folder).faults() == [f"{name} is absent"]


def test_all_faults_are_told(tmp_path: Path) -> None:
    record = make(tmp_path)
    (record.folder / RUN).unlink()
    (record.folder / MTEB).write_text("{}")
    assert Record(record.folder).faults() == [f"{RUN} is absent", f"{MTEB} is not as it was written"]


def test_inputs_that_do_not_give_the_hash_are_a_fault(tmp_path: Path) -> None:
    record = make(tmp_path)
    write_json(record.folder / "manifest.json", record.manifest | {"inputs": INPUTS | {"depth": 5}})
    assert Record(record.folder).faults() == ["the inputs in the manifest do not give the record's hash"]
    moved = tmp_path / "Tiny" / "bm25" / "0123456789ab"
    shutil.copytree(make(tmp_path / "other").folder, moved)
    assert Record(moved).faults() == ["the inputs in the manifest do not give the record's hash"]


@pytest.mark.parametrize(
    "content", ["{}", '{"files": []}', '{"files": {}}', '{"files": {"a": 1}, "inputs": {}}']
)
def test_a_manifest_of_another_form_is_a_fault(tmp_path: Path, content: str) -> None:
    record = make(tmp_path)
    (record.folder / "manifest.json").write_text(content)
    assert Record(record.folder).faults() != []


@pytest.mark.parametrize(
    ("content", "problem"),
    [("{", "manifest.json cannot be read"), ("[]", "manifest.json is not a JSON object")],
)
def test_a_manifest_that_cannot_be_read_says_what_to_do(tmp_path: Path, content: str, problem: str) -> None:
    record = make(tmp_path)
    (record.folder / "manifest.json").write_text(content)
    again = Record(record.folder)
    with pytest.raises(DamagedError, match=f"{problem}[^\n]*\n  Delete that folder and run again"):
        _ = again.manifest
    (fault,) = again.faults()
    assert fault.startswith(problem)


def test_a_record_without_its_scores_says_so(tmp_path: Path) -> None:
    record = make(tmp_path)
    (record.folder / SCORES).unlink()
    with pytest.raises(DamagedError, match=r"the record has no scores\.json"):
        _ = Record(record.folder).scores


def test_the_manifest_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, value: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dibs.records.write_json", fail)
    with pytest.raises(InputError) as caught:
        make(tmp_path)
    folder = record_folder(tmp_path, "Tiny", "bm25", INPUTS)
    assert str(caught.value) == (
        f"{folder}: the record cannot be written: No space left on device\n"
        "  Make room, or choose another workspace with --workspace."
    )
    assert (folder / SCORES).exists()
    assert list(all_records(tmp_path)) == []


def test_a_place_that_cannot_be_written_to_is_the_users_to_change(tmp_path: Path) -> None:
    (tmp_path / "Tiny").write_text("a file where a folder should be")
    with (
        pytest.raises(InputError, match=r"the record cannot be written: (Not a directory|File exists)"),
        writing(tmp_path),
    ):
        (tmp_path / "Tiny" / "bm25").mkdir(parents=True)


def test_tables_have_the_same_bytes_each_time(tmp_path: Path) -> None:
    columns = {"query_id": ["q1", "q2"], "recall@10": [0.5, 1.0], "in:checked": [True, False]}
    assert table_bytes(columns) == table_bytes(columns)
    path = tmp_path / QUERIES
    path.write_bytes(table_bytes(columns))
    assert pq.read_table(path).to_pydict() == columns
    assert Record(tmp_path).queries()["recall@10"].tolist() == [0.5, 1.0]


def test_finished_records_are_listed_by_name(tmp_path: Path) -> None:
    made = [make(tmp_path, task, pipeline) for task, pipeline in (("B", "x"), ("A", "y"), ("A", "x"))]
    unfinished = tmp_path / "A" / "x" / "0123456789ab"
    unfinished.mkdir()
    (unfinished / RUN).write_bytes(b"run")
    assert [record.name for record in all_records(tmp_path)] == sorted(record.name for record in made)
    assert list(all_records(tmp_path / "nowhere")) == []


def test_a_record_is_found_by_any_of_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record, other = make(tmp_path / "results"), make(tmp_path / "results", pipeline="other", depth=7)
    monkeypatch.chdir(tmp_path)
    for name in (
        record.hash,
        record.hash[:6],
        record.name,
        f"bm25/{record.hash}",
        "Tiny/bm25",
        f"results/{record.name}",
        str(record.folder),
        f"{record.folder}/",
    ):
        assert find_record(tmp_path / "results", name).name == record.name
    assert find_record(tmp_path / "results", "Tiny/other").name == other.name


def test_a_name_that_several_answer_to_lists_them(tmp_path: Path) -> None:
    names = sorted(make(tmp_path, depth=depth).name for depth in (1, 2))
    with pytest.raises(InputError) as caught:
        find_record(tmp_path, "Tiny/bm25")
    assert str(caught.value) == f"'Tiny/bm25' may be any of 2 records\n  {names[0]}\n  {names[1]}"


def test_a_name_that_none_answers_to(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no record is called 'x'\n  There is none yet\."):
        find_record(tmp_path, "x")
    record = make(tmp_path)
    with pytest.raises(InputError, match="no record is called 'Tinny/bm25'\n  Did you mean Tiny/bm25/"):
        find_record(tmp_path, "Tinny/bm25")
    with pytest.raises(InputError, match=f"no record is called 'zzzz'\n  Known: {record.name}."):
        find_record(tmp_path, "zzzz")


def test_a_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    made = write_record(tmp_path / "T" / "p" / "x", {"kind": "sweep", "inputs": {}, "pipeline": "p"}, FILES)
    with pytest.raises(InputError, match="is a record of sweep, not of retrieval"):
        find_record(tmp_path, str(made.folder))
    assert find_record(tmp_path, str(made.folder), "sweep").name == made.name
