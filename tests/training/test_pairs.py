from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from dibs.errors import DamagedError, InputError
from dibs.training.pairs import PAIRS, find_pairs, read_pairs, read_rejects, stored, write_pairs
from dibs.workspace import Workspace
from tests.training.helpers import pair

MADE = [pair("What is one?", "d1"), pair("What is two?", "d2", "development", kind="cloze")]
INPUTS = {"seed": 1}


def write(folder: Path, lines: list[str]) -> None:
    """Pairs as someone may have written them, with a manifest that fits."""
    write_pairs(folder, MADE, {"inputs": INPUTS})
    (folder / PAIRS).write_bytes(gzip.compress("\n".join(lines).encode()))


def line(**changes: object) -> str:
    return json.dumps(MADE[0].__dict__ | changes)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_pairs(tmp_path / "a", MADE, {"inputs": INPUTS}, [{"line": 3, "why": "no"}])
    found = read_pairs(tmp_path / "a")
    assert (found.name, found.pairs) == ("a", MADE)
    assert found.of("development") == MADE[1:]
    assert found.manifest["counts"] == {
        "pairs": 2,
        "documents": 2,
        "groups": 2,
        "splits": {"train": {"pairs": 1, "groups": 1}, "development": {"pairs": 1, "groups": 1}},
        "kinds": {"cloze": 1, "lookup": 1},
    }
    assert read_rejects(tmp_path / "a") == [{"line": 3, "why": "no"}]


def test_the_bytes_are_the_same_each_time(tmp_path: Path) -> None:
    one, other = (write_pairs(tmp_path / name, MADE, {}) for name in "ab")
    assert one.manifest["files"] == other.manifest["files"]


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ("{", "line 2: is not JSON"),
        ("[]", "line 2: is not a JSON object"),
        (line(query=None), "line 2: the field 'query' is None, not a text"),
        (line(query="  "), "line 2: the query is empty"),
        (line(query="a \ud800 b"), "line 2: the field 'query': holds half a character (a lone surrogate)"),
        (line(split="test"), "line 2: the split is 'test'"),
        (line(split="development"), "line 2: the group 'd1' is in both splits"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, bad: str, problem: str) -> None:
    write(tmp_path, [line(), bad])
    with pytest.raises(InputError) as error:
        read_pairs(tmp_path)
    assert problem in str(error.value)


def test_a_changed_file_is_damaged(tmp_path: Path) -> None:
    write(tmp_path, [line()])
    with pytest.raises(DamagedError, match="not as it was written"):
        read_pairs(tmp_path)


def test_a_set_without_pairs_or_their_hash_is_said(tmp_path: Path) -> None:
    write_pairs(tmp_path / "empty", [], {})
    with pytest.raises(InputError, match="there is not one pair in it"):
        read_pairs(tmp_path / "empty")
    write_pairs(tmp_path / "unnamed", MADE, {})
    (tmp_path / "unnamed" / "manifest.json").write_text('{"files": {}}')
    with pytest.raises(DamagedError, match=r"does not name pairs\.jsonl\.gz"):
        read_pairs(tmp_path / "unnamed")


@pytest.mark.parametrize("content", ["", "[]", '{"files": 3}'])
def test_a_damaged_manifest_is_said(tmp_path: Path, content: str) -> None:
    write_pairs(tmp_path, MADE, {})
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(DamagedError, match="cannot be read"):
        read_pairs(tmp_path)


def test_only_whole_pairs_of_the_same_inputs_are_used_again(tmp_path: Path) -> None:
    assert stored(tmp_path, INPUTS) is None
    write_pairs(tmp_path, MADE, {"inputs": INPUTS, "failed": 0})
    assert stored(tmp_path, INPUTS) is not None
    assert stored(tmp_path, {"seed": 2}) is None
    write_pairs(tmp_path, MADE, {"inputs": INPUTS, "failed": 1})
    assert stored(tmp_path, INPUTS) is None


def test_pairs_are_found_by_name_beginning_or_folder(workspace: Workspace) -> None:
    for name in ("Tiny-structure-1", "Tiny-structure-filtered-3", "Tiny-mock-2"):
        write_pairs(workspace.root / "pairs" / name, MADE, {})
    assert find_pairs("Tiny-mock", workspace).name == "Tiny-mock-2"
    assert find_pairs("Tiny-structure", workspace).name == "Tiny-structure-1"
    assert find_pairs("Tiny-structure-f", workspace).name == "Tiny-structure-filtered-3"
    assert find_pairs("Tiny-mock-2", workspace).name == "Tiny-mock-2"
    assert find_pairs(str(workspace.root / "pairs" / "Tiny-mock-2"), workspace).name == "Tiny-mock-2"
    with pytest.raises(InputError, match="begins several sets"):
        find_pairs("Tiny", workspace)
    with pytest.raises(InputError, match="no set of pairs is called 'Tony'"):
        find_pairs("Tony", workspace)
