from __future__ import annotations

import json
from pathlib import Path

import pytest

from dibs.errors import InputError
from dibs.verify import Expected, read_expected
from dibs.workspace import Workspace
from tests.cli.test_cli import Said
from tests.toys import ROOT

RECALL = 0.8
"""BM25 on Tiny: q5 shares no word with any document."""


def expectations(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines))
    return str(path)


def expected(value: float, **more: object) -> str:
    fields = {
        "command": "dibs run --model bm25 --task Tiny",
        "record": "Tiny/bm25",
        "measure": "recall@10",
        "expected": value,
    }
    return "\n".join(
        ["[[expect]]", *(f"{name} = {json.dumps(entry)}" for name, entry in (fields | more).items())]
    )


@pytest.fixture
def place(tiny_workspace: Workspace) -> Workspace:
    assert Said("run", "--model", "bm25", "--task", "Tiny").code == 0
    return tiny_workspace


@pytest.mark.parametrize(
    ("value", "verdict", "code"),
    [(RECALL, "OK", 0), (RECALL + 0.0004, "OK", 0), (RECALL - 0.004, "near", 0), (RECALL + 0.006, "FAIL", 1)],
)
def test_a_score_is_ok_near_or_fails(
    place: Workspace, tmp_path: Path, value: float, verdict: str, code: int
) -> None:
    said = Said("verify", expectations(tmp_path / "e.toml", expected(value)), "--json")
    (row,) = said.json
    assert (row["verdict"], said.code) == (verdict, code)
    assert row["found"] == pytest.approx(RECALL)


def test_one_failure_among_many_is_a_failure(place: Workspace, tmp_path: Path) -> None:
    said = Said("verify", expectations(tmp_path / "e.toml", expected(RECALL), expected(0.1)))
    assert said.code == 1
    assert "1 OK, 0 near, 1 FAIL" in said.out


def test_a_score_of_a_subset(place: Workspace, tmp_path: Path) -> None:
    (row,) = Said("verify", expectations(tmp_path / "e.toml", expected(1.0, subset="checked")), "--json").json
    assert (row["verdict"], row["found"]) == ("OK", 1.0)


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"record": "Tiny/bm26"}, "no record is called 'Tiny/bm26'"),
        ({"measure": "recall@7"}, "the record has no recall@7"),
        ({"subset": "some"}, "there is no subset 'some'"),
    ],
)
def test_what_cannot_be_compared_fails_and_says_why(
    place: Workspace, tmp_path: Path, change: dict[str, object], note: str
) -> None:
    said = Said("verify", expectations(tmp_path / "e.toml", expected(RECALL, **change)), "--json")
    (row,) = said.json
    assert (row["verdict"], row["found"], said.code) == ("FAIL", None, 1)
    assert note in row["note"]


def test_an_edited_record_fails(place: Workspace, tmp_path: Path) -> None:
    (scores,) = place.results.glob("Tiny/bm25/*/scores.json")
    scores.write_text(scores.read_text().replace("0.8", "0.9"))
    (row,) = Said("verify", expectations(tmp_path / "e.toml", expected(0.9)), "--json").json
    assert row["verdict"] == "FAIL"
    assert "scores.json is not as it was written" in row["note"]


@pytest.mark.slow
def test_run_again_needs_no_record_and_leaves_none(tiny_workspace: Workspace, tmp_path: Path) -> None:
    file = expectations(
        tmp_path / "e.toml",
        expected(RECALL),
        expected(0.5, command="dibs run --model bm25 --task Tinny"),
        expected(0.5, command="rm -r /"),
        expected(0.5, command='dibs run "'),
    )
    rows = Said("verify", file, "--run", "--json").json
    assert [row["verdict"] for row in rows] == ["OK", "FAIL", "FAIL", "FAIL"]
    assert "Tinny" in rows[1]["note"]
    assert "is no `dibs run`" in rows[2]["note"]
    assert not tiny_workspace.results.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expect': Field required"),
        ("expect = []", "expect"),
        ("[[expect]]\n", "command': Field required"),
        (expected(1.5), "expected': Input should be less than or equal to 1"),
        (expected(0.5, measure="recall"), "measure"),
        (expected(0.5, tolerence=1), "tolerence': Extra inputs"),
        ("[[expect", "is not TOML"),
    ],
)
def test_a_malformed_file_is_named_with_its_fault(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "e.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=str(path)) as caught:
        read_expected(path)
    assert message in str(caught.value)


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_bytes(b"\xff\xfe\x00")
    for name, problem in (("none.toml", "there is no such file"), ("e.toml", "cannot be read")):
        with pytest.raises(InputError, match=problem):
            read_expected(tmp_path / name)


def test_the_committed_results_are_what_is_expected() -> None:
    said = Said("verify", str(ROOT / "results" / "expected.toml"), "--workspace", str(ROOT), "--json")
    assert said.code == 0, [row for row in said.json if row["verdict"] == "FAIL"]
    assert {row["verdict"] for row in said.json} == {"OK"}


def test_every_committed_record_has_an_expectation() -> None:
    from dibs.records import all_records

    named = {one.record for one in read_expected(ROOT / "results" / "expected.toml")}
    assert {record.name.rpartition("/")[0] for record in all_records(ROOT / "results")} <= named


def test_the_parity_file_can_be_read() -> None:
    parity = read_expected(ROOT / "results" / "parity.toml")
    assert parity
    assert all(isinstance(one, Expected) and one.source for one in parity)
