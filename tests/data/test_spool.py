from __future__ import annotations

from pathlib import Path

import pytest

from dibs.data import spool as module
from dibs.data.rows import Row
from dibs.data.spool import Spool, TwiceError
from dibs.errors import InputError


def row(name: str, **more: str) -> Row:
    return Row({"id": name, "text": f"Text of {name}.", **more}, f"row {name}")


def take(spool: Spool, rows: list[Row]) -> None:
    with spool.whole():
        for one in rows:
            spool.add(one)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS", 2)


def test_rows_come_back_in_order_with_every_field(tmp_path: Path) -> None:
    with Spool(tmp_path, "here") as spool:
        for one in (row("a"), row("b"), row("c", year="2020"), row("d"), row("e", colour="red")):
            spool.add(one)
        table = spool.table()
    assert table.column_names == ["id", "title", "text", "colour", "year"]
    assert table["id"].to_pylist() == ["a", "b", "c", "d", "e"]
    assert table["year"].to_pylist() == ["", "", "2020", "", ""]
    assert table["colour"].to_pylist() == ["", "", "", "", "red"]
    assert list(tmp_path.iterdir()) == []  # the table is mapped; its files are gone


def test_a_file_is_taken_whole_or_not_at_all(tmp_path: Path) -> None:
    with Spool(tmp_path, "here") as spool:
        spool.add(row("a"))
        broken = [row("b", year="1"), row("c"), row("d"), Row({"id": "e"}, "row e"), row("f")]
        with pytest.raises(InputError, match="there is no field 'text'"):
            take(spool, broken)
        with spool.whole():
            spool.add(row("b"))
        table = spool.table()
    assert table.column_names == ["id", "title", "text"]
    assert table["id"].to_pylist() == ["a", "b"]


@pytest.mark.parametrize("between", [0, 5])
def test_an_id_twice_is_refused_near_and_far(tmp_path: Path, between: int) -> None:
    with Spool(tmp_path, "here") as spool:
        spool.add(row("a"))
        for number in range(between):
            spool.add(row(str(number)))
        with pytest.raises(TwiceError, match="row a: the document id 'a' is there twice, first at") as caught:
            spool.add(Row({"_id": "a", "text": "x"}, "row a"))
    assert ("row a" if not between else "an earlier row") in caught.value.problem


def test_nothing_is_an_error(tmp_path: Path) -> None:
    with Spool(tmp_path, "here") as spool, pytest.raises(InputError, match="here: there is not one document"):
        spool.table()
