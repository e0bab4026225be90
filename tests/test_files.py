from __future__ import annotations

import gzip
import hashlib
import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dibs.errors import InputError
from dibs.files import (
    canonical_json,
    digest,
    folder_aside,
    refuse_unwritable,
    replacing,
    sha256_file,
    slug,
    write_bytes,
    write_json,
)

FUZZ = settings(derandomize=True, max_examples=50, deadline=None)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_half(path: Path, error: BaseException) -> None:
    with replacing(path) as stream:
        stream.write(b"half")
        raise error


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    with replacing(path) as stream:
        stream.write(b"all of it")
        assert not path.exists()
    assert path.read_bytes() == b"all of it"
    assert names(path.parent) == ["file.txt"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_readers_see_the_old_file_until_then(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(b"old")
    with replacing(path) as stream:
        stream.write(b"new")
        stream.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3)])
def test_a_block_that_raises_changes_nothing(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(b"old")
    with pytest.raises(type(error)):
        write_half(path, error)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file.txt"]


def test_a_first_file_that_fails_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"):
        write_half(tmp_path / "file.txt", ValueError("no"))
    assert names(tmp_path) == []


def test_a_rename_that_fails_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_bytes(tmp_path / "taken", b"content")
    assert names(tmp_path) == ["taken"]


def test_json_is_indented_and_ends_its_last_line(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": "größer", "a": [1]})
    assert (tmp_path / "a.json").read_text("utf-8") == '{\n  "b": "größer",\n  "a": [\n    1\n  ]\n}\n'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"deep": [float("-inf")]}, {1, 2}])
def test_what_is_not_json_leaves_the_old_file(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "a.json"
    write_json(path, 1)
    with pytest.raises((ValueError, TypeError)):
        write_json(path, value)
    assert path.read_text() == "1\n"
    assert names(tmp_path) == ["a.json"]


@FUZZ
@given(JSON)
def test_canonical_json_gives_the_value_back(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


@FUZZ
@given(st.dictionaries(st.text(), JSON, min_size=2, max_size=5))
def test_canonical_json_and_digest_do_not_know_the_order_of_keys(value: dict[str, Any]) -> None:
    turned = dict(reversed(value.items()))
    assert canonical_json(turned) == canonical_json(value)
    assert digest(turned) == digest(value)


def test_digest_is_pinned() -> None:
    # Records and vectors are found by it: another value here makes all that was computed unknown.
    assert canonical_json({"b": [1, 2.5, None], "a": "ä"}) == '{"a":"ä","b":[1,2.5,null]}'
    assert digest({}) == hashlib.sha256(b"{}").hexdigest()
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest(float("nan"))


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1])
def test_a_hash_is_of_the_bytes_or_of_what_is_gzipped(tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    plain, packed = tmp_path / "a", tmp_path / "a.gz"
    plain.write_bytes(content)
    packed.write_bytes(gzip.compress(content, compresslevel=1))
    expected = hashlib.sha256(content).hexdigest()
    assert sha256_file(plain) == sha256_file(packed, unpack=True) == expected
    assert sha256_file(packed) != expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BAAI/bge-m3", "BAAI-bge-m3"),
        ("k1=0.9,b=0.4", "k1=0.9-b=0.4"),
        ("..", "unnamed"),
        ("", "unnamed"),
        ("/etc/passwd", "etc-passwd"),
        (".hidden", "hidden"),
        ("größer", "gr-er"),
    ],
)
def test_slugs(name: str, expected: str) -> None:
    assert slug(name) == expected


@FUZZ
@given(st.text())
def test_a_slug_is_one_safe_path_component(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._=+-]+", slug(name))
    assert slug(name) not in (".", "..")
    assert slug(slug(name)) == slug(name)


def test_what_a_killed_process_left_is_deleted_and_nothing_else(tmp_path: Path) -> None:
    kept = {".a.json.swp", ".a.json.bak", ".b.json.abcdefgh.tmp", ".writing-short", "writing-abcdefgh"}
    for name in (*kept, ".a.json.abcdefgh.tmp"):
        (tmp_path / name).write_text("")
    (tmp_path / ".writing-abcdefgh" / "inner").mkdir(parents=True)
    write_json(tmp_path / "a.json", 1)
    assert set(names(tmp_path)) == kept | {"a.json", ".writing-abcdefgh"}
    with folder_aside(tmp_path) as work:
        assert set(names(tmp_path)) == kept | {"a.json", work.name}
    assert set(names(tmp_path)) == kept | {"a.json"}


def test_what_others_are_writing_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with folder_aside(tmp_path) as work, replacing(path) as stream:
        stream.write(b"first")
        with folder_aside(tmp_path) as other:
            write_bytes(path, b"second")
            assert work.is_dir()
            assert other != work
    assert path.read_bytes() == b"first"
    assert names(tmp_path) == ["a.json"]


def test_a_folder_that_is_renamed_stays(tmp_path: Path) -> None:
    with folder_aside(tmp_path / "new") as work:
        (work / "file").write_text("x")
        work.rename(tmp_path / "made")
    assert names(tmp_path / "made") == ["file"]
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o755
    assert names(tmp_path / "new") == []


def test_a_place_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    refuse_unwritable(tmp_path / "not" / "there" / "yet")
    assert names(tmp_path) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: nothing can be written here: it is not a folder"):
        refuse_unwritable(tmp_path / "file" / "inner")
