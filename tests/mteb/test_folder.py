"""Result folders: ours in MTEB's cache, MTEB's here."""

from __future__ import annotations

import json
from pathlib import Path

import mteb
import pytest

from dibs import plugins
from dibs.errors import InputError
from dibs.mteb.folder import read_mteb, write_mteb
from dibs.records import Record
from dibs.workspace import Workspace
from tests.cli.test_cli import Said
from tests.mteb.helpers import BM25, GROUP, dibs_record, tiny
from tests.toys import FixedRetriever

pytestmark = GROUP


def record(workspace: Workspace) -> Record:
    return dibs_record(plugins.load("retriever", "bm25")(BM25), tiny(workspace), workspace)


def test_our_records_are_a_table_of_mtebs_cache(tiny_workspace: Workspace, tmp_path: Path) -> None:
    write_mteb(record(tiny_workspace), tmp_path)
    table = mteb.ResultCache(tmp_path).load_results().to_dataframe()
    assert table["task_name"].tolist() == ["DIBSTiny"]
    assert table["dibs/bm25"].tolist() == [0.8]


def test_two_settings_of_one_name_stand_side_by_side(tiny_workspace: Workspace, tmp_path: Path) -> None:
    runs = {"q1": {"apple-10k-p1": 1.0}}
    made = [
        dibs_record(FixedRetriever(runs, option=option), tiny(tiny_workspace), tiny_workspace)
        for option in "ab"
    ]
    first, second = (write_mteb(one, tmp_path) for one in made)
    assert first != second
    assert first.parent.parent == second.parent.parent


def test_what_was_written_is_read_back(tiny_workspace: Workspace, tmp_path: Path) -> None:
    made = record(tiny_workspace)
    write_mteb(made, tmp_path / "theirs")
    (found,) = read_mteb(tmp_path / "theirs")
    assert (found.task, found.model, found.split) == ("DIBSTiny", "dibs/bm25", "test")
    ours = made.scores["subsets"]["all"]["measures"]
    assert found.measures["recall_at_10"] == pytest.approx(ours["recall@10"]["value"])
    assert found.data.startswith(made.manifest["data"]["sha256"])


def test_a_folder_that_mteb_wrote_is_shown(tiny_workspace: Workspace, tmp_path: Path) -> None:
    import dibs.mteb as door

    task = door.mteb_task(tiny(tiny_workspace), tiny_workspace)
    model = door.mteb_pipeline(FixedRetriever({"q1": {"apple-10k-p1": 1.0}}), tiny_workspace)
    mteb.evaluate(model, task, cache=mteb.ResultCache(tmp_path), show_progress_bar=False)
    said = Said("import", str(tmp_path), "--json")
    assert said.code == 0, said.err
    (row,) = said.json
    assert (row["task"], row["measures"]["recall_at_10"]) == ("DIBSTiny", 0.2)
    assert "no intervals" in Said("import", str(tmp_path)).out


@pytest.mark.parametrize(
    "text", ["", '{"task_name": "T"}', '{"scores": {"test": [{}]}}', '{"scores": 3, "task_name": "T"}']
)
def test_a_malformed_result_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model" / "1" / "T.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(InputError, match=r"T\.json"):
        list(read_mteb(tmp_path))


def test_files_of_others_are_passed_over_and_an_empty_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text(json.dumps({"name": "x"}))
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(InputError, match="no result file"):
        list(read_mteb(tmp_path))
