from __future__ import annotations

import gzip
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dibs.cards.task import TaskCard
from dibs.data.dataset import open_dataset
from dibs.data.prepare import check_pinned, ensure, prepare, prepared, shortfall
from dibs.data.state import how_to_get, is_prepared
from dibs.errors import DamagedError, InputError, MissingError
from dibs.workspace import Workspace

REPOSITORY = {"name": "a/b", "revision": "0" * 40, "licence": "mit", "attribution": "by a"}


def make_card(**values: Any) -> TaskCard:
    least = {"name": "Own", "description": "d", "licence": "mit", "citation": "c", "source": {"kind": "beir"}}
    return TaskCard.model_validate(least | values)


def make_data(folder: Path, *texts: str) -> Path:
    """A folder in BEIR's layout: one query a document."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    numbers = range(len(texts))
    rows = [json.dumps({"_id": f"d{number}", "text": text}) for number, text in enumerate(texts)]
    (folder / "corpus.jsonl").write_text("\n".join(rows))
    rows = [json.dumps({"_id": f"q{number}", "text": "which?"}) for number in numbers]
    (folder / "queries.jsonl").write_text("\n".join(rows))
    (folder / "qrels" / "test.tsv").write_text("".join(f"q{number}\td{number}\t1\n" for number in numbers))
    return folder


@pytest.fixture
def own(tmp_path: Path) -> TaskCard:
    """A card with a folder of its own."""
    return make_card(source={"kind": "beir", "path": str(make_data(tmp_path / "own", "one", "two"))})


def test_what_is_prepared_is_found_again(workspace: Workspace, own: TaskCard) -> None:
    assert prepared(own, workspace) is None
    made = prepare(own, workspace)
    found = prepared(own, workspace)
    assert found is not None
    assert found.folder == made.folder == ensure(own, workspace).folder
    assert found.info.task == "Own"
    assert found.folder.parent == workspace.data / "Own"


def test_a_copy_is_read_instead_of_what_the_card_names(
    workspace: Workspace, own: TaskCard, tmp_path: Path
) -> None:
    copy = make_data(tmp_path / "copy", "three")
    assert prepare(own, workspace, folder=copy).document(doc_id="d0")["text"] == "three"
    assert prepare(make_card(), workspace, folder=copy).info.documents == 1


def test_a_changed_card_makes_the_data_out_of_date(workspace: Workspace, own: TaskCard) -> None:
    prepare(own, workspace)
    changed = own.source.model_copy(update={"split": "dev"})
    assert prepared(own.model_copy(update={"source": changed}), workspace) is None
    assert prepared(own.model_copy(update={"description": "other"}), workspace) is not None


def test_a_changed_file_makes_the_data_out_of_date(workspace: Workspace, own: TaskCard) -> None:
    first = ensure(own, workspace)
    path = Path(str(own.source.path)) / "corpus.jsonl"
    path.write_text(path.read_text().replace("one", "six"))
    os.utime(path, ns=(1, 1))
    assert prepared(own, workspace) is None
    second = ensure(own, workspace)
    assert second.document("d0")["text"] == "six"
    assert second.info.sha256 != first.info.sha256
    assert ensure(own, workspace).folder == second.folder


def test_two_workspaces_with_a_task_of_one_name_do_not_mix(workspace: Workspace, tmp_path: Path) -> None:
    cards = [
        make_card(source={"kind": "beir", "path": str(make_data(tmp_path / place / "data", place))})
        for place in ("here", "there")
    ]
    for card, text in [*zip(cards, ("here", "there"), strict=True), (cards[0], "here")]:
        assert ensure(card, workspace).document("d0")["text"] == text


def test_a_copy_stays_good_though_the_card_names_no_folder(workspace: Workspace, tmp_path: Path) -> None:
    copy = make_data(tmp_path / "copy", "one")
    made = prepare(make_card(), workspace, folder=copy)
    make_data(copy, "changed")
    assert ensure(make_card(), workspace).folder == made.folder


@pytest.mark.parametrize(
    ("values", "todo"),
    [
        ({}, "Run: dibs data prepare Own --from FOLDER"),
        ({"source": {"kind": "financebench", "repository": "a/b"}}, "Run: dibs data prepare Own"),
        ({"source": {"kind": "several", "repositories": {"one": REPOSITORY}}}, "Run: dibs data prepare Own"),
        (
            {"released": False},
            "Its data was never released. With a copy: dibs data prepare Own --from FOLDER",
        ),
    ],
)
def test_data_that_has_to_be_prepared_first(workspace: Workspace, values: dict[str, Any], todo: str) -> None:
    with pytest.raises(MissingError) as caught:
        ensure(make_card(**values), workspace)
    assert caught.value.problem == "the data of Own is not prepared"
    assert caught.value.todo == todo == how_to_get(make_card(**values))


def test_damaged_data_is_made_anew_from_the_cards_folder(workspace: Workspace, own: TaskCard) -> None:
    (prepare(own, workspace).folder / "corpus.arrow").write_bytes(b"")
    assert ensure(own, workspace).info.documents == 2


def test_damaged_data_of_a_copy_is_said(workspace: Workspace, tmp_path: Path) -> None:
    made = prepare(make_card(), workspace, folder=make_data(tmp_path / "copy", "one"))
    (made.folder / "corpus.arrow").write_bytes(b"")
    with pytest.raises(DamagedError, match="dibs data prepare"):
        ensure(make_card(), workspace)


@pytest.mark.parametrize(
    ("expect", "lacking"),
    [
        ({"documents": 2, "queries": 2}, None),
        ({"documents": 3, "tolerance": 1}, None),
        ({"documents": 1, "tolerance": 1}, None),
        ({"documents": 5300, "tolerance": 27, "queries": 2}, "2 of 5,300 documents"),
        ({"documents": 2, "queries": 3, "tolerance": 5}, "2 of 3 queries"),
        ({"documents": 1, "queries": 1}, "2 of 1 queries, 2 of 1 documents"),
    ],
)
def test_what_is_not_whole_is_said_and_refused_if_asked(
    workspace: Workspace, own: TaskCard, expect: dict[str, int], lacking: str | None
) -> None:
    card = TaskCard.model_validate(own.model_dump() | {"expect": expect})
    assert shortfall(card, prepare(card, workspace)) == lacking
    if lacking is None:
        prepare(card, workspace, complete=True)
        return
    with pytest.raises(InputError) as caught:
        prepare(card, workspace, complete=True)
    assert caught.value.problem == f"Own is not complete: {lacking}"
    assert caught.value.todo == "Leave out --complete to use what is there."


def test_what_is_refused_does_not_become_the_data(
    workspace: Workspace, own: TaskCard, tmp_path: Path
) -> None:
    card = own.model_copy(update={"expect": own.expect.model_copy(update={"documents": 2})})
    older = prepare(card, workspace)
    with pytest.raises(InputError, match="1 of 2 documents"):
        prepare(card, workspace, folder=make_data(tmp_path / "part", "one"), complete=True)
    assert open_dataset(workspace.data / "Own").folder == older.folder
    assert sorted(path.name for path in (workspace.data / "Own").iterdir()) == [older.folder.name, "current"]


def test_a_copy_that_is_not_there(workspace: Workspace, own: TaskCard, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        prepare(own, workspace, folder=tmp_path / "absent")
    assert (caught.value.where, caught.value.problem) == (str(tmp_path / "absent"), "there is no such folder")


def test_an_unknown_kind_of_source(workspace: Workspace) -> None:
    with pytest.raises(InputError, match=r"no source is called 'bier'\n  Did you mean beir\?"):
        prepare(make_card(source={"kind": "bier"}), workspace)


def test_a_malformed_copy_leaves_the_older_data(workspace: Workspace, own: TaskCard, tmp_path: Path) -> None:
    older = prepare(own, workspace)
    copy = make_data(tmp_path / "copy", "one")
    (copy / "corpus.jsonl").write_text("{")
    with pytest.raises(InputError, match=r"corpus\.jsonl, line 1: is not JSON"):
        prepare(own, workspace, folder=copy)
    assert open_dataset(workspace.data / "Own").folder == older.folder


def pinning(content: bytes) -> TaskCard:
    files = {"a.jsonl": hashlib.sha256(content).hexdigest()}
    return make_card(source={"kind": "beir", "files": files})


def test_a_pinned_file_is_compared_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"right")
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b"right"))
    check_pinned(pinning(b"right"), "a.jsonl", tmp_path / "a.jsonl")
    check_pinned(pinning(b"right"), "a.jsonl", tmp_path / "a.jsonl.gz")
    check_pinned(pinning(b"wrong"), "b.jsonl", tmp_path / "a.jsonl")
    for name in ("a.jsonl", "a.jsonl.gz"):
        with pytest.raises(InputError, match="is not what the card of Own pins") as caught:
            check_pinned(pinning(b"wrong"), "a.jsonl", tmp_path / name)
        assert caught.value.where == str(tmp_path / name)
        assert hashlib.sha256(b"right").hexdigest()[:12] in caught.value.problem
        assert caught.value.todo


PACKED = gzip.compress(b"x" * 99, mtime=0)


@pytest.mark.parametrize(
    "content",
    [None, b"no gzip", PACKED[:-9], PACKED[:14] + b"\0" * 20],
    ids=["absent", "no gzip", "cut off", "overwritten"],
)
def test_a_pinned_file_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.jsonl.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be compared with what the card of Own pins") as caught:
        check_pinned(pinning(b"x"), "a.jsonl", path)
    assert caught.value.where == str(path)
    assert caught.value.todo


def test_data_of_the_expected_content_is_current_however_it_was_made(
    workspace: Workspace, tmp_path: Path
) -> None:
    made = prepare(make_card(), workspace, folder=make_data(tmp_path / "copy", "one"))
    source = {"kind": "several", "repositories": {"one": REPOSITORY}}
    same = make_card(source=source, expect={"documents": 1, "sha256": made.info.sha256})
    other = make_card(source=source, expect={"documents": 1, "sha256": "0" * 64})
    found = prepared(same, workspace)
    assert found is not None
    assert found.folder == made.folder
    assert is_prepared(same, workspace.data / "Own")
    assert shortfall(same, made) is None
    for card in (other, make_card(source=source)):
        assert prepared(card, workspace) is None
        assert not is_prepared(card, workspace.data / "Own")
    assert shortfall(other, made) == f"texts differ from those expected (content {made.info.sha256[:12]})"


def test_data_of_another_content_than_expected_is_not_complete(workspace: Workspace, tmp_path: Path) -> None:
    card = make_card(expect={"documents": 1, "sha256": "0" * 64})
    copy = make_data(tmp_path / "copy", "one")
    with pytest.raises(InputError, match="Own is not complete: texts differ from those expected"):
        prepare(card, workspace, folder=copy, complete=True)
    assert prepare(card, workspace, folder=copy).info.documents == 1


@pytest.mark.parametrize("revision", ["main", "0" * 39, "0" * 39 + "G", ""])
def test_a_repository_is_pinned_to_a_whole_commit(revision: str) -> None:
    with pytest.raises(ValidationError, match="revision"):
        make_card(source={"kind": "several", "repositories": {"one": REPOSITORY | {"revision": revision}}})
