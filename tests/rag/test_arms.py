from __future__ import annotations

import json
from pathlib import Path

import pytest

from dibs.data.dataset import Dataset
from dibs.errors import DamagedError, InputError
from dibs.files import digest
from dibs.rag.arms import control_arms, retrieved
from dibs.rag.questions import Question
from dibs.records import RUN, Record, write_record
from dibs.retrieval.run import Run, write_run
from tests.toys import make_dataset

DOCUMENTS = {f"d{n:02}": f"text {n}" for n in range(30)}
QRELS = {"q1": {"d03": 1, "d07": 2}, "q2": {"d11": 1}, "q3": {"d12": 1}}
ASKED = [Question("q1", "One?", "1", ("d07", "d03")), Question("q2", "Two?", "2", ("d11",))]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "data", DOCUMENTS, {name: name for name in QRELS}, QRELS)


def stored(folder: Path, dataset: Dataset, **changes: object) -> Record:
    inputs = {"depth": 100}
    folder = folder / "Tiny" / "bm25" / digest(inputs)[:12]
    run = Run.of({"q1": {"d01": 3.0, "d07": 2.0, "d02": 1.0}, "q2": {"d05": 1.0}}, dataset.query_ids)
    write_run(run, folder / RUN, "bm25")
    data = {"sha256": dataset.info.sha256}
    manifest = {"pipeline": "bm25", "task": {"name": "Tiny"}, "inputs": inputs, "data": data} | changes
    return write_record(folder, manifest, {})


def test_the_first_documents_of_a_run(tmp_path: Path, dataset: Dataset) -> None:
    record = stored(tmp_path, dataset)
    arm = retrieved(record, dataset, ASKED, 2)
    assert (arm.kind, arm.name, arm.closed) == ("retrieved", "bm25", False)
    assert arm.documents == {"q1": ["d01", "d07"], "q2": ["d05"]}
    assert arm.retrieval == record.name
    assert arm.inputs == {"record": record.hash, "run": record.manifest["files"][RUN]}


def test_a_query_for_which_nothing_was_found(tmp_path: Path, dataset: Dataset) -> None:
    arm = retrieved(stored(tmp_path, dataset), dataset, [Question("q3", "?", "x", ("d12",))], 2)
    assert arm.documents == {"q3": []}


def test_a_run_on_other_data_is_refused(tmp_path: Path, dataset: Dataset) -> None:
    record = stored(tmp_path, dataset, data={"sha256": "0" * 64})
    with pytest.raises(InputError, match="other data"):
        retrieved(record, dataset, ASKED, 2)


def test_what_is_no_retrieval_is_refused(tmp_path: Path, dataset: Dataset) -> None:
    with pytest.raises(InputError, match="record of answers"):
        retrieved(stored(tmp_path, dataset, kind="answers"), dataset, ASKED, 2)


def test_a_run_that_is_not_as_deep_is_refused(tmp_path: Path, dataset: Dataset) -> None:
    with pytest.raises(InputError, match="has 100 documents for each query, not 101"):
        retrieved(stored(tmp_path, dataset), dataset, ASKED, 101)


def test_a_damaged_run_is_refused(tmp_path: Path, dataset: Dataset) -> None:
    record = stored(tmp_path, dataset)
    (record.folder / RUN).write_bytes(b"x")
    with pytest.raises(DamagedError, match="not as it was written"):
        retrieved(record, dataset, ASKED, 2)


def test_the_controls(dataset: Dataset) -> None:
    closed, oracle, random = control_arms(dataset, ASKED, 5)
    assert closed.closed
    assert closed.documents is None
    assert oracle.documents == {"q1": ["d07", "d03"], "q2": ["d11"]}
    assert random.documents is not None
    for question in ASKED:
        drawn = random.documents[question.id]
        assert len(set(drawn)) == 5
        assert set(drawn) <= DOCUMENTS.keys() - set(question.relevant)
    assert random.documents["q1"] != random.documents["q2"]


def test_an_oracle_gives_no_more_than_k(dataset: Dataset) -> None:
    assert control_arms(dataset, ASKED, 1)[1].documents == {"q1": ["d07"], "q2": ["d11"]}


def test_random_documents_do_not_depend_on_the_other_questions(dataset: Dataset) -> None:
    both, alone = control_arms(dataset, ASKED, 5)[2], control_arms(dataset, ASKED[1:], 5)[2]
    assert both.documents is not None
    assert alone.documents is not None
    assert both.documents["q2"] == alone.documents["q2"]
    assert json.dumps(both.documents) == json.dumps(control_arms(dataset, ASKED, 5)[2].documents)


def test_a_corpus_smaller_than_k(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data", {"a": "A", "b": "B"}, {"q": "Q?"})
    documents = control_arms(dataset, [Question("q", "Q?", "x", ("a",))], 10)[2].documents
    assert documents == {"q": ["b"]}
