from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dibs.data.documents.delta import delta_sha256, read_delta
from dibs.data.documents.tables import Columns, read_table_rows
from dibs.errors import InputError

deltalake = pytest.importorskip("deltalake")

ROWS = {"id": ["a", "b"], "text": ["One.", "Two."], "year": [2020, 2021]}


def delta(folder: Path) -> Path:
    deltalake.write_deltalake(str(folder), pa.table(ROWS))
    return folder


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "delta"])
def test_rows_of_every_kind(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"rows.{kind}"
    if kind == "delta":
        delta(path)
    elif kind == "parquet":
        pq.write_table(pa.table(ROWS), path)
    elif kind == "csv":
        path.write_text("id,text,year\na,One.,2020\nb,Two.,2021\n")
    else:
        rows = [dict(zip(ROWS, values, strict=True)) for values in zip(*ROWS.values(), strict=True)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second = sorted((row.values for row in read_table_rows(path, Columns())), key=lambda r: r["id"])
    first["year"] = str(first["year"])
    assert first == {"id": "a", "title": "", "text": "One.", "document": "a", "part": "a", "year": "2020"}
    assert second["text"] == "Two."


def test_other_columns_and_rows_that_are_parts(tmp_path: Path) -> None:
    path = tmp_path / "pages.csv"
    path.write_text("page_id,body,head,doc_name,part\n7,Text.,Head,A_10K,x\n")
    columns = Columns(id="page_id", text="body", title="head", document="doc_name")
    (row,) = read_table_rows(path, columns)
    assert row.values == {"id": "7", "title": "Head", "text": "Text.", "document": "A_10K", "part": "7"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("id,body\n1,x\n", "there is no field 'text'"),
        ("name,text\n1,x\n", "there is no field 'id'"),
        ("id,text\n1\n", "fewer cells than the heading"),
    ],
)
def test_a_malformed_table_is_named_with_the_option_that_helps(
    tmp_path: Path, content: str, problem: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        list(read_table_rows(path, Columns()))
    assert caught.value.where == f"{path}, line 2"
    assert problem in caught.value.problem
    assert "field" in (caught.value.todo or "") or "cells" in (caught.value.todo or "")


def test_a_delta_table_is_its_current_version(tmp_path: Path) -> None:
    folder = delta(tmp_path / "rows")
    before = delta_sha256(folder)
    assert delta_sha256(shutil.copytree(folder, tmp_path / "copy")) == before
    deltalake.DeltaTable(str(folder)).delete("id = 'a'")
    assert [row.values["id"] for row in read_delta(folder)] == ["b"]
    assert delta_sha256(folder) != before


def test_a_delta_table_that_lacks_a_file(tmp_path: Path) -> None:
    folder = delta(tmp_path / "rows")
    next(folder.glob("*.parquet")).unlink()
    with pytest.raises(InputError, match="is not a whole Delta table") as caught:
        list(read_delta(folder))
    assert str(folder) in str(caught.value.where)
    with pytest.raises(InputError, match="is not a whole Delta table"):
        delta_sha256(folder)
    (folder / "_delta_log" / "00000000000000000000.json").write_text("{")
    with pytest.raises(InputError, match="is not a Delta table that can be read"):
        list(read_delta(folder))
