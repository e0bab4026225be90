from __future__ import annotations

from pathlib import Path

import pytest

from dibs.cards.task import TaskCard
from dibs.data.prepare import ensure
from dibs.errors import InputError
from dibs.training.documents import of_folder, of_task
from dibs.workspace import Workspace


def test_a_folder_of_tables_and_texts(tmp_path: Path) -> None:
    (tmp_path / "guides").mkdir()
    (tmp_path / "guides" / "forge.md").write_text("# The forge\n\nIt is hot.\n")
    (tmp_path / "notes_of_may.txt").write_text("Nothing happened.\n")
    (tmp_path / "rows.jsonl").write_text('{"_id": "r1", "text": "A row.", "metadata": {"filing": "f"}}\n')
    (tmp_path / "rows.csv").write_text('id,text,title\nc1,"A cell, quoted.",Cells\n')
    (tmp_path / "picture.png").write_bytes(b"\0")
    found = of_folder(tmp_path, group=None)
    assert found.ids == ["guides/forge.md", "notes_of_may.txt", "c1", "r1"]
    assert found.groups == ["guides", "notes_of_may.txt", "c1", "r1"]
    assert found.document(0).fields["title"] == "The forge"
    assert found.document(1).text == "notes of may Nothing happened."
    assert found.document(2).text == "Cells A cell, quoted."
    assert of_folder(tmp_path, group="filing").groups[3] == "f"
    assert not found.is_task


def test_the_folders_hash_is_of_its_content(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One.")
    before = of_folder(tmp_path, group=None).sha256
    (tmp_path / "a.txt").write_text("Two.")
    assert of_folder(tmp_path, group=None).sha256 != before


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.jsonl", b'{"id": "1"}', "a.jsonl, line 1: there is no field 'text'"),
        ("a.jsonl", b"{", "a.jsonl, line 1: is not JSON"),
        ("a.csv", b"id,text\n1\n", "a.csv, line 2: the row has fewer cells than the heading"),
        ("a.csv", b'id,text\n1,"x\n', "a.csv, line"),
        ("a.txt", b"\xff\xfa", "a.txt, line 1: is not UTF-8"),
        ("a.parquet", b"PAR", "is not a whole parquet file"),
        ("a.pdf", b"", "a.pdf: cannot be read, not even after a repair"),
        ("a.png", b"", "holds no documents"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        of_folder(tmp_path, group=None)
    assert problem in str(error.value)


def test_a_folder_that_is_not_there_and_a_field_that_is_not(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        of_folder(tmp_path / "nowhere", group=None)
    (tmp_path / "a.txt").write_text("One.")
    with pytest.raises(InputError, match="have no field 'colour'"):
        of_folder(tmp_path, group="colour")


def test_a_task_has_gold_template_and_groups(tiny_workspace: Workspace) -> None:
    card = tiny_workspace.card(TaskCard, "Tiny")
    dataset = ensure(card, tiny_workspace)
    found = of_task(card, dataset, template="titled", group=None)
    assert found.gold == frozenset(dataset.document_ids)
    assert found.document(0).text == "apple-10k-p1: Apple's net sales rose in fiscal 2022."
    assert found.groups[0] == "apple-10k-p1"  # the corpus lacks the field that the queries are clustered by
    assert found.is_task
    assert of_task(card, dataset, template=None, group="title").groups[0] == "apple-10k-p1"
    with pytest.raises(InputError, match="no field 'colour'"):
        of_task(card, dataset, template=None, group="colour")
    with pytest.raises(InputError, match="no document template"):
        of_task(card, dataset, template="loud", group=None)
