from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from dibs.data import dataset as reading
from dibs.data.dataset import Dataset, open_dataset
from dibs.data.write import write_dataset
from dibs.errors import DamagedError, InputError
from tests.toys import make_dataset


def make(folder: Path, text: str = "one") -> Dataset:
    return make_dataset(folder, {"d1": text, "d2": "two"}, {"q1": "which?"})


def versions(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()]


def test_only_the_newest_version_stays(tmp_path: Path) -> None:
    for text in ("one", "one", "six"):
        made = make(tmp_path, text)
        assert versions(tmp_path) == [made.folder] == [open_dataset(tmp_path).folder]


def test_readers_of_an_older_version_go_on_with_all_of_it(tmp_path: Path) -> None:
    made = make(tmp_path)
    opened = open_dataset(tmp_path)
    make(tmp_path, "six")
    for older in (made, opened):
        assert not older.folder.exists()
        assert older.document("d1")["text"] == "one"
        assert older.query_texts() == ["which?"]
        assert older.qrels == {"q1": {"d1": 1}}


def test_a_version_that_is_refused_leaves_the_older_one(tmp_path: Path) -> None:
    older = make(tmp_path)

    def refuse(dataset: Dataset) -> None:
        raise InputError("not complete")

    with pytest.raises(InputError, match="not complete"):
        write_dataset(tmp_path, "Tiny", older.corpus, older.queries, older.judgements, check=refuse)
    assert versions(tmp_path) == [older.folder]


def test_nothing_else_in_the_folder_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / ".writing-by-another").mkdir()
    make(tmp_path)
    make(tmp_path)
    assert (tmp_path / "notes").is_dir()
    assert (tmp_path / ".writing-by-another").is_dir()


def test_what_another_writes_meanwhile_is_not_deleted(tmp_path: Path) -> None:
    first = make(tmp_path)
    made: list[Dataset] = []

    def batches() -> Iterator[pa.RecordBatch]:
        made.append(make(tmp_path, "six"))
        yield from first.corpus.to_batches()

    last = write_dataset(
        tmp_path, "Tiny", batches(), first.queries, first.judgements, corpus_schema=first.corpus.schema
    )
    assert open_dataset(tmp_path).folder == last.folder
    assert set(versions(tmp_path)) == {made[0].folder, last.folder}
    newest = make(tmp_path)
    assert versions(tmp_path) == [newest.folder]


def test_a_version_that_is_replaced_while_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path)
    opened, read = [0], reading.read_table

    def replaced(path: Path) -> pa.Table:
        opened[0] += 1
        if opened[0] == 1:
            monkeypatch.setattr(reading, "read_table", read)
            make(tmp_path, "six")
        return read(path)

    monkeypatch.setattr(reading, "read_table", replaced)
    assert open_dataset(tmp_path).document("d1")["text"] == "six"


def test_a_version_that_is_gone_is_damage(tmp_path: Path) -> None:
    shutil.rmtree(make(tmp_path).folder)
    with pytest.raises(DamagedError, match=f"dibs data prepare {tmp_path.name}"):
        open_dataset(tmp_path)
    assert versions(tmp_path) == []
    assert make(tmp_path).info == open_dataset(tmp_path).info


def test_empty_qrels(tmp_path: Path) -> None:
    made = make(tmp_path)
    empty = made.judgements.schema.empty_table()
    assert write_dataset(tmp_path, "Tiny", made.corpus, made.queries, empty).qrels == {}
