from __future__ import annotations

import gzip
import tarfile
from pathlib import Path
from typing import Any

import pytest

from dibs.data import archive as module
from dibs.data.archive import git_hash, read_archive
from dibs.errors import DamagedError, InputError
from tests.data.upstream import archive, member

FILES = {
    "docs.x/c": b"three\n",
    "docs/sub/b.md": b"two\n",
    "docs/a.md": b"one\n",
    "deep/er/empty": b"",
}


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    script = member("name-abc/run.sh")
    script.mode = 0o775
    script.size = 0
    link = member("name-abc/link", tarfile.SYMTYPE, "docs/a.md")
    path = tmp_path / "name.tar.gz"
    path.write_bytes(archive(FILES, script=script, link=link))
    return path


def test_hashes_are_those_of_git(packed: Path) -> None:
    # As `git ls-tree -r -t HEAD` printed them for these files; only run.sh is empty here.
    assert dict(read_archive(packed, lambda path: False).hashes) == {
        "deep": "d9e4fcc92509591993fc6af1f28e7d1c9afb8698",
        "deep/er": "417c01c8795a35b8e835113a85a5c0c1c77f67fb",
        "deep/er/empty": "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
        "docs": "4193a57fd0789f89f9be24ff0cecf85eb70002b4",
        "docs.x": "d2ca7839a074cdf7e2f4e3bc715d2faf19ff944e",
        "docs.x/c": "2bdf67abb163a4ffb2d7f3f0880c9fe5068ce782",
        "docs/a.md": "5626abf0f72e58d7a153368ba57db4c673c0e171",
        "docs/sub": "443442f2c609a6d8864944b659de3c16d7c1c137",
        "docs/sub/b.md": "f719efd430d52bcfc8566a43b2eb655688d38871",
        "link": "21b2998c147e54e1d6287d4e3b74c638cf0da2ef",
        "run.sh": "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    }


def test_a_program_and_a_folder_count_in_the_folder_that_holds_them(tmp_path: Path) -> None:
    script = member("name-abc/in/run.sh")
    script.mode = 0o775
    (tmp_path / "name.tar.gz").write_bytes(archive({"in/a/x": b"", "in/a.b": b""}, script=script))
    empty = bytes.fromhex("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")
    inner = git_hash("tree", b"100644 x\0" + empty)
    listed = b"100644 a.b\0" + empty + b"40000 a\0" + bytes.fromhex(inner) + b"100755 run.sh\0" + empty
    assert read_archive(tmp_path / "name.tar.gz", bool).hashes["in"] == git_hash("tree", listed)


def test_only_wanted_files_are_kept_in_the_order_of_their_paths(packed: Path) -> None:
    files = read_archive(packed, lambda path: path.endswith((".md", "link"))).files
    assert list(files.items()) == [("docs/a.md", b"one\n"), ("docs/sub/b.md", b"two\n")]
    assert [path.name for path in packed.parent.iterdir()] == ["name.tar.gz"]  # nothing is unpacked


@pytest.mark.parametrize("name", ["name-abc/../out", "/name-abc/out", "../out", "name-abc//out"])
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "name.tar.gz"
    path.write_bytes(archive({"a": b"1"}, out=member(name)))
    with pytest.raises(InputError, match="leads out of its folder") as caught:
        read_archive(path, bool)
    assert caught.value.where == str(path)


def test_what_is_too_large_is_refused(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FILE", 3)
    with pytest.raises(InputError, match=r"docs/a\.md has 4 bytes, and no file of more than 3"):
        read_archive(packed, lambda path: path == "docs/a.md")
    assert read_archive(packed, lambda path: path == "deep/er/empty").files == {"deep/er/empty": b""}
    monkeypatch.setattr(module, "MOST_TOGETHER", 9)
    with pytest.raises(InputError, match="unpacks to more than 9 bytes"):
        read_archive(packed, lambda path: False)


def test_devices_and_hard_links_are_no_files(tmp_path: Path) -> None:
    path = tmp_path / "name.tar.gz"
    odd: dict[str, Any] = {
        "fifo": member("name-abc/fifo", tarfile.FIFOTYPE),
        "hard": member("name-abc/h", tarfile.LNKTYPE, "/etc"),
    }
    path.write_bytes(archive({"a": b"1"}, **odd))
    found = read_archive(path, bool)
    assert found.files == {"a": b"1"}
    assert list(found.hashes) == ["a"]


def _whole() -> bytes:
    return archive({"a": bytes(range(256)) * 400})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>busy</html>",
        gzip.compress(b"no tar at all, but long enough to be asked whether it is one" * 20),
        _whole()[:-200],
        _whole()[:60],
        gzip.compress(gzip.decompress(_whole())[:5000]),
    ],
    ids=["empty", "a page", "no tar", "cut off", "cut off early", "a tar cut off"],
)
def test_what_is_no_whole_archive_is_damaged(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "name.tar.gz"
    path.write_bytes(body)
    with pytest.raises(DamagedError, match="is not a whole archive") as caught:
        read_archive(path, bool)
    assert caught.value.where == str(path)


def test_every_flipped_byte_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    good = _whole()
    path = tmp_path / "name.tar.gz"
    path.write_bytes(good)
    expected = read_archive(path, bool).hashes["a"]
    noticed = 0
    for at in range(10, len(good) - 8, max(1, len(good) // 60)):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :])
        try:
            noticed += read_archive(path, bool).hashes.get("a") != expected
        except (DamagedError, InputError):
            noticed += 1
    assert noticed > 50
