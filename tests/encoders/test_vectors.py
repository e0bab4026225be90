from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dibs.encoders import vectors as module
from dibs.encoders.base import FloatArray
from dibs.encoders.vectors import UNCOUNTED, VectorStore, text_keys
from dibs.errors import DamagedError, DibsError
from tests.toys import ROOT

SETTINGS = {"adapter": "toy", "prompt": "é", "max_tokens": None}
TEXTS = ["one", "two", "three"]
VECTORS = np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32)


def open_store(root: Path, dimension: int = 2) -> VectorStore:
    return VectorStore(root, "toy", SETTINGS, dimension)


def fill(root: Path) -> VectorStore:
    store = open_store(root)
    store.append(text_keys(TEXTS), VECTORS, np.array([7, 8, 9]))
    store.reload()
    return store


def files(store: VectorStore, ending: str) -> list[Path]:
    return sorted(store.folder.glob(f"*.{ending}"))


def found(store: VectorStore, texts: list[str]) -> dict[str, list[float]]:
    """The vectors of those of `texts` that have one whose bytes are as they were written."""
    rows = store.find(text_keys(texts))
    there = np.flatnonzero(rows >= 0)
    bad = {int(place) for _, places in store.damaged(rows[there]) for place in places}
    good = [place for number, place in enumerate(there) if number not in bad]
    return dict(zip([texts[p] for p in good], store.vectors(rows[good]).tolist(), strict=True))


EXPECTED = dict(zip(TEXTS, VECTORS.tolist(), strict=True))


def test_what_is_appended_is_found(tmp_path: Path) -> None:
    store = fill(tmp_path)
    rows = store.find(text_keys(["three", "none", "one", "three"]))
    assert rows.tolist() == [2, -1, 0, 2]
    assert store.vectors(rows[[0, 2, 3]]).tolist() == [[5, 6], [1, 2], [5, 6]]
    assert store.tokens(rows[[0, 2]]).tolist() == [9, 7]
    assert len(store) == 3
    assert list(store.damaged(rows[[0, 2]])) == []


def test_another_opening_finds_it_too(tmp_path: Path) -> None:
    fill(tmp_path)
    assert found(open_store(tmp_path), TEXTS) == EXPECTED


def test_the_files_are_as_they_are_described(tmp_path: Path) -> None:
    # What was embedded is worth days of computing: this layout can only change with a way to read it.
    store = fill(tmp_path)
    assert store.folder == tmp_path / "toy" / "b175f4f7b8ca3d51"
    assert (store.folder / "settings.json").is_file()
    ((vec,), (idx,)) = files(store, "vec"), files(store, "idx")
    assert vec.read_bytes() == VECTORS.tobytes()
    entries = np.frombuffer(idx.read_bytes(), dtype=[("key", "V16"), ("tokens", "<i4"), ("crc", "<u4")])
    assert entries["key"][0].tobytes().hex() == "c88d4df74262143a08e9d190e3bd67f1"
    assert entries["tokens"].tolist() == [7, 8, 9]
    assert entries["crc"].tolist() == [775923062, 2144752791, 2582315024]


def test_an_empty_store_finds_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    assert len(store) == 0
    assert store.find(text_keys(TEXTS)).tolist() == [-1, -1, -1]
    assert store.vectors(np.empty(0, np.int64)).shape == (0, 2)
    assert store.find(text_keys([])).tolist() == []


def test_tokens_that_nobody_counted_are_said_to_be_so(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.append(text_keys(["one"]), VECTORS[:1], None)
    store.reload()
    assert store.tokens(store.find(text_keys(["one"]))).tolist() == [UNCOUNTED]


def test_keys_with_zeros_at_their_end_are_told_apart(tmp_path: Path) -> None:
    # numpy drops zeros at the end of bytes when it compares them; all keys have one length.
    keys = np.array([b"a" * 15 + b"\0", b"a" * 14 + b"\0\0", b"\0" * 16], dtype="S16")
    store = open_store(tmp_path)
    store.append(keys, VECTORS, None)
    store.reload()
    assert store.vectors(store.find(keys[::-1])).tolist() == [[5, 6], [3, 4], [1, 2]]


def test_the_latest_of_several_vectors_of_a_text_holds(tmp_path: Path) -> None:
    fill(tmp_path)
    store = open_store(tmp_path)
    store.append(text_keys(["two"]), np.array([[30, 40]], np.float32), None)
    store.append(text_keys(["two"]), np.array([[300, 400]], np.float32), None)
    store.reload()
    assert len(files(store, "idx")) == 2
    assert found(store, TEXTS) == EXPECTED | {"two": [300, 400]}


def test_other_settings_have_a_folder_of_their_own(tmp_path: Path) -> None:
    fill(tmp_path)
    other = VectorStore(tmp_path, "toy", SETTINGS | {"max_tokens": 128}, 2)
    assert len(other) == 0
    assert len(list((tmp_path / "toy").iterdir())) == 2


@pytest.mark.parametrize("content", ['{"adapter": "another"}', "[]"])
def test_a_folder_with_the_settings_of_another_is_refused(tmp_path: Path, content: str) -> None:
    described = fill(tmp_path).folder / "settings.json"
    described.write_text(content)
    with pytest.raises(DamagedError, match=r"settings are not those of its name\n.*delete this file alone"):
        open_store(tmp_path)
    described.unlink()
    assert found(open_store(tmp_path), TEXTS) == EXPECTED


@pytest.mark.parametrize("content", [b"{", b"", b"\xff", b"[" * 100_000])
def test_damaged_settings_cost_no_vectors(tmp_path: Path, content: bytes) -> None:
    described = fill(tmp_path).folder / "settings.json"
    before = described.read_bytes()
    described.write_bytes(content)
    with pytest.warns(UserWarning, match=r"settings.json is damaged and written anew; the vectors are kept"):
        assert found(open_store(tmp_path), TEXTS) == EXPECTED
    assert described.read_bytes() == before


def test_a_cut_off_file_of_vectors_is_named(tmp_path: Path) -> None:
    (path,) = files(fill(tmp_path), "vec")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(UserWarning, match=r"\.vec is cut off: 1 vectors are made anew"):
        assert len(open_store(tmp_path)) == 2


@pytest.mark.filterwarnings("ignore:.*is cut off")
@pytest.mark.parametrize("ending", ["vec", "idx"])
def test_a_tail_cut_at_any_byte_never_gives_a_wrong_vector(tmp_path: Path, ending: str) -> None:
    store = fill(tmp_path)
    (path,) = files(store, ending)
    content = path.read_bytes()
    width = len(content) // 3
    for kept in range(len(content) + 1):
        path.write_bytes(content[:kept])
        whole = TEXTS[: kept // width]
        assert found(open_store(tmp_path), TEXTS) == {name: EXPECTED[name] for name in whole}


@pytest.mark.filterwarnings("ignore:.*is cut off")
@pytest.mark.parametrize("ending", ["vec", "idx"])
def test_after_a_tail_was_cut_new_vectors_go_elsewhere(tmp_path: Path, ending: str) -> None:
    (path,) = files(fill(tmp_path), ending)
    path.write_bytes(path.read_bytes()[:-3])
    store = open_store(tmp_path)
    store.append(text_keys(["three"]), VECTORS[2:], None)
    store.reload()
    assert found(store, TEXTS) == EXPECTED


@pytest.mark.filterwarnings("ignore:.*is cut off")
def test_an_absent_file_is_as_if_nothing_had_been_written(tmp_path: Path) -> None:
    for ending in ("vec", "idx"):
        (path,) = files(fill(tmp_path / ending), ending)
        path.unlink()
        assert len(open_store(tmp_path / ending)) == 0


@pytest.mark.parametrize("ending", ["vec", "idx"])
def test_a_flipped_bit_anywhere_never_gives_a_wrong_vector(tmp_path: Path, ending: str) -> None:
    (path,) = files(fill(tmp_path), ending)
    content = bytearray(path.read_bytes())
    for place in range(len(content)):
        content[place] ^= 0x10
        path.write_bytes(content)
        good = found(open_store(tmp_path), TEXTS)
        content[place] ^= 0x10
        assert good.items() <= EXPECTED.items()
        counts = ending == "idx" and place % 24 in range(16, 20)  # of tokens, which shape no vector
        assert len(good) == (3 if counts else 2)


def test_damage_is_told_by_shard_and_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHECKED_ROWS", 2)
    fill(tmp_path)
    store = open_store(tmp_path)
    store.append(text_keys(["four", "five"]), VECTORS[:2] + 10, None)
    first, second = files(store, "vec")
    first.write_bytes(bytes(8) + first.read_bytes()[8:])
    second.write_bytes(second.read_bytes()[:8] + bytes(8))
    store.reload()
    rows = store.find(text_keys(["four", "one", "two", "five", "three"]))
    told = [(path, places.tolist()) for path, places in store.damaged(rows)]
    assert told == [(first.with_suffix(".idx"), [1]), (second.with_suffix(".idx"), [3])]


def fail_after(monkeypatch: pytest.MonkeyPatch, writes: int, lost: int) -> None:
    """From now on the disk is full: of the write after `writes` others, the last `lost` bytes are gone."""
    calls = 0

    def fsync(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > writes:
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - lost)
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("writes", [0, 1])  # the vectors, or their entries
@pytest.mark.parametrize("lost", [0, 3, 8, 11])
def test_a_full_disk_is_said_and_leaves_a_good_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int, lost: int
) -> None:
    store = fill(tmp_path)
    more = {"four": [7.0, 8.0], "five": [9.0, 10.0]}
    with monkeypatch.context() as full:
        fail_after(full, writes, lost)
        with pytest.raises(DibsError) as caught:
            store.append(text_keys(list(more)), np.array(list(more.values()), np.float32), None)
    assert str(caught.value) == (
        f"{store.folder}: vectors cannot be written: No space left on device\n"
        "  Make room or set DIBS_CACHE to another folder; what was written before is kept."
    )
    kept = found(open_store(tmp_path), [*TEXTS, *more])
    assert EXPECTED.items() <= kept.items() <= (EXPECTED | more).items()
    store.append(
        text_keys(list(more)), np.array(list(more.values()), np.float32), None
    )  # there is room again
    store.reload()
    assert found(store, [*TEXTS, *more]) == EXPECTED | more
    assert found(open_store(tmp_path), [*TEXTS, *more]) == EXPECTED | more


_WRITER = """
import sys
from pathlib import Path
import numpy as np
from dibs.encoders.vectors import VectorStore, text_keys
from tests.encoders.test_vectors import SETTINGS, numbered
root, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
store = VectorStore(root, "toy", SETTINGS, 2)
print("ready", flush=True)
sys.stdin.readline()
for start in range(first, last, 7):
    numbers = range(start, min(start + 7, last))
    store.append(text_keys([f"text {n}" for n in numbers]), numbered(numbers), None)
"""


def numbered(numbers: range) -> FloatArray:
    return np.array([[n, -n] for n in numbers], dtype=np.float32)


def test_two_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    spans = [(0, 200), (100, 300)]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path), str(first), str(last)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for first, last in spans
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:  # both have opened the store: now they go off together
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    reader = open_store(tmp_path)
    while any(writer.poll() is None for writer in writers):
        reader.reload()
        texts = [f"text {n}" for n in range(300)]
        assert all(vector == [int(text[5:]), -int(text[5:])] for text, vector in found(reader, texts).items())
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0, 0]
    store = open_store(tmp_path)
    assert len(store) == 400
    assert len(files(store, "idx")) == 2
    rows = store.find(text_keys([f"text {n}" for n in range(300)]))
    assert store.vectors(rows).tolist() == numbered(range(300)).tolist()


def test_a_copied_store_is_a_store(tmp_path: Path) -> None:
    fill(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    assert found(open_store(tmp_path / "there"), TEXTS) == EXPECTED
