from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dibs.data.dataset import Dataset, check_content, open_dataset
from dibs.errors import DamagedError
from tests.faults import fault_of
from tests.toys import make_dataset


def make(folder: Path) -> Dataset:
    documents = {"d1": "the first one", "d2": "", "d3": "the first one"}
    return make_dataset(folder, documents, {"q1": {"text": "which?", "answer": "this"}})


def overwrite(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new, 1))


def refused(folder: Path) -> DamagedError:
    dataset = open_dataset(folder)
    with pytest.raises(DamagedError) as caught:
        check_content(dataset)
    assert caught.value.where == str(dataset.folder)
    assert caught.value.todo is not None
    assert f"dibs data prepare {folder.name}" in caught.value.todo
    return caught.value


def test_what_is_written_is_whole(tmp_path: Path) -> None:
    check_content(make(tmp_path))
    check_content(open_dataset(tmp_path))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("corpus", b"the first", b"The first"),
        ("queries", b"this", b"that"),
        ("qrels", b"d1", b"d2"),
    ],
)
def test_another_value_is_damage(tmp_path: Path, name: str, old: bytes, new: bytes) -> None:
    overwrite(make(tmp_path).folder / f"{name}.arrow", old, new)
    assert "is not as it was written: sha256 is" in refused(tmp_path).problem


def test_what_is_no_text_is_damage(tmp_path: Path) -> None:
    overwrite(make(tmp_path).folder / "corpus.arrow", b"the first", b"\xff" * 9)
    assert "the data set is damaged" in refused(tmp_path).problem


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"sha256": "0" * 64}, "sha256 is"),
        ({"empty_documents": 0}, "empty_documents is 1, was 0"),
        ({"duplicate_documents": 5}, "duplicate_documents is 1, was 5"),
    ],
)
def test_other_counts_are_damage(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    path = make(tmp_path).folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert problem in refused(tmp_path).problem


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.sampled_from(["corpus", "queries", "qrels"]), st.floats(0, 1), st.binary(min_size=1, max_size=9))
def test_overwritten_bytes_are_damage_or_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, name: str, place: float, rubbish: bytes
) -> None:
    folder = tmp_path_factory.mktemp("data")
    made = make(folder)
    tables = [made.corpus.to_pylist(), made.queries.to_pylist(), made.judgements.to_pylist()]
    content = bytearray((made.folder / f"{name}.arrow").read_bytes())
    start = int(place * (len(content) - len(rubbish)))
    content[start : start + len(rubbish)] = rubbish
    (made.folder / f"{name}.arrow").unlink()  # else it changes below the one that has it mapped
    (made.folder / f"{name}.arrow").write_bytes(content)

    def check() -> None:
        found = open_dataset(folder)
        check_content(found)
        assert [t.to_pylist() for t in (found.corpus, found.queries, found.judgements)] == tables

    fault_of(DamagedError, check)
    shutil.rmtree(folder)
