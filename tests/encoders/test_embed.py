from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from dibs.encoders import embed as module
from dibs.encoders.base import EncodedBatch, FloatArray, Role
from dibs.encoders.embed import Embedded, embed
from dibs.errors import DibsError, ProviderError
from tests.toys import ROOT, HashEncoder

TEXTS = ["red apple", "green apple", "sky", "red apple", "a blue sky", "", "pie"]


def run(encoder: HashEncoder, root: Path, texts: Sequence[str] = TEXTS, role: Role = "document") -> Embedded:
    return embed(encoder, role, iter(texts), len(texts), root)


class SpoiledEncoder(HashEncoder):
    """From its second batch on, something is wrong with what it gives."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self._how = how

    def stream(self, texts: Sequence[str], role: Role) -> Iterator[EncodedBatch]:
        for number, batch in enumerate(super().stream(texts, role)):
            yield self._spoiled(batch) if number else batch

    def _spoiled(self, batch: EncodedBatch) -> EncodedBatch:
        vectors: FloatArray = batch.vectors.copy()
        match self._how:
            case "nan" | "inf" | "-inf":
                vectors[-1, 3] = float(self._how)
            case "narrow":
                vectors = vectors[:, :-1]
            case "wide":
                vectors = np.hstack([vectors, vectors[:, :1]])
            case "few":
                vectors = vectors[:-1]
            case "flat":
                vectors = vectors.ravel()
            case "silent":
                return EncodedBatch(batch.positions[:0], vectors[:0], None)
            case "provider":
                raise ProviderError("the service is down")
        return EncodedBatch(batch.positions, vectors, batch.tokens)


def test_vectors_come_in_the_order_of_the_texts(tmp_path: Path) -> None:
    encoder = HashEncoder()
    found = run(encoder, tmp_path)
    np.testing.assert_array_equal(found.vectors(), encoder.vectors(TEXTS))
    assert found.vectors().dtype == np.float32
    assert found.encoded == 6


def test_equal_texts_are_encoded_once_and_share_a_row(tmp_path: Path) -> None:
    encoder = HashEncoder()
    found = run(encoder, tmp_path)
    assert sorted(encoder.asked) == sorted(set(TEXTS))
    assert found.rows[0] == found.rows[3]
    assert len(set(found.rows.tolist())) == 6


@pytest.mark.parametrize("window", [1, 2, 3, 100])
def test_windows_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr(module, "WINDOW", window)
    encoder = HashEncoder()
    found = run(encoder, tmp_path)
    assert sorted(encoder.asked) == sorted(set(TEXTS))
    np.testing.assert_array_equal(found.vectors(), encoder.vectors(TEXTS))


def test_a_second_run_encodes_nothing(tmp_path: Path) -> None:
    first = run(HashEncoder(), tmp_path)
    encoder = HashEncoder()
    second = run(encoder, tmp_path)
    assert encoder.asked == []
    assert (second.encoded, second.seconds) == (0, 0.0)
    np.testing.assert_array_equal(second.vectors(), first.vectors())


def test_only_new_texts_are_encoded(tmp_path: Path) -> None:
    run(HashEncoder(), tmp_path)
    encoder = HashEncoder()
    found = run(encoder, tmp_path, ["sky", "new", "pie"])
    assert encoder.asked == ["new"]
    assert found.encoded == 1
    np.testing.assert_array_equal(found.vectors(), encoder.vectors(["sky", "new", "pie"]))


def test_roles_are_kept_apart(tmp_path: Path) -> None:
    encoder = HashEncoder(query_prompt="query: ")
    documents = run(encoder, tmp_path)
    queries = run(encoder, tmp_path, role="query")
    assert queries.encoded == 6
    assert not np.array_equal(documents.vectors(), queries.vectors())


def test_no_texts_have_no_vectors(tmp_path: Path) -> None:
    found = run(HashEncoder(), tmp_path, [])
    assert found.vectors().shape == (0, 16)
    assert (found.encoded, found.cut) == (0, 0)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("nan", "gave a vector that is not finite"),
        ("inf", "gave a vector that is not finite"),
        ("-inf", "gave a vector that is not finite"),
        (
            "narrow",
            r"gave vectors of shape \(3, 15\), not \(3, 16\)\n  Correct the dimension in the model's card",
        ),
        ("wide", r"gave vectors of shape \(3, 17\), not \(3, 16\)"),
        ("few", r"gave vectors of shape \(2, 16\), not \(3, 16\)"),
        ("flat", r"gave vectors of shape \(48,\), not \(3, 16\)"),
        ("silent", "hash left 4 texts without a vector"),
        ("provider", "the service is down"),
    ],
)
def test_of_a_spoiled_batch_nothing_is_kept_and_all_of_those_before(
    tmp_path: Path, how: str, message: str
) -> None:
    with pytest.raises(ProviderError, match=message):
        run(SpoiledEncoder(how), tmp_path)
    encoder = HashEncoder()
    found = run(encoder, tmp_path)
    assert encoder.asked == ["sky", "green apple", "red apple"]  # the first batch had the other three
    np.testing.assert_array_equal(found.vectors(), encoder.vectors(TEXTS))


@pytest.mark.parametrize("place", [0, 17, 63])
def test_a_damaged_vector_is_named_and_made_anew(tmp_path: Path, place: int) -> None:
    before = run(HashEncoder(), tmp_path).vectors()
    (path,) = tmp_path.rglob("*.vec")
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    encoder = HashEncoder()
    with pytest.warns(UserWarning, match="are damaged") as told:
        found = run(encoder, tmp_path)
    assert [str(one.message) for one in told] == [f"{path}: 1 vectors are damaged and made anew"]
    assert encoder.asked == ["pie"]  # 64 bytes a vector, the last text first
    np.testing.assert_array_equal(found.vectors(), before)
    again = HashEncoder()
    run(again, tmp_path)
    assert again.asked == []


def test_a_damaged_vector_that_several_texts_share_is_encoded_once(tmp_path: Path) -> None:
    run(HashEncoder(), tmp_path, ["same", "same"])
    (path,) = tmp_path.rglob("*.vec")
    path.write_bytes(bytes(64))
    encoder = HashEncoder()
    with pytest.warns(UserWarning, match="are damaged and made anew"):
        run(encoder, tmp_path, ["same", "same"])
    assert encoder.asked == ["same"]


def test_texts_that_were_cut_are_counted_each_time_they_occur(tmp_path: Path) -> None:
    assert (
        run(HashEncoder(max_tokens=1), tmp_path / "a").cut == 4
    )  # red apple (twice), green apple, a blue sky
    assert run(HashEncoder(max_tokens=2), tmp_path / "b").cut == 1
    assert run(HashEncoder(max_tokens=3), tmp_path / "c").cut == 0
    assert run(HashEncoder(max_tokens=None), tmp_path / "d").cut == 0


def test_they_are_known_without_encoding_again(tmp_path: Path) -> None:
    run(HashEncoder(max_tokens=1), tmp_path)
    encoder = HashEncoder(max_tokens=1)
    assert run(encoder, tmp_path).cut == 4
    assert encoder.asked == []


def test_where_nobody_counted_nobody_knows(tmp_path: Path) -> None:
    assert run(HashEncoder(max_tokens=1, counts=False), tmp_path).cut is None
    assert run(HashEncoder(max_tokens=None, counts=False), tmp_path).cut == 0


def test_tokens_are_kept(tmp_path: Path) -> None:
    found = run(HashEncoder(), tmp_path)
    assert found.store.tokens(found.rows).tolist() == [2, 2, 1, 2, 3, 0, 1]


def test_a_full_disk_stops_with_a_message_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.fsync, 0

    def fsync(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 3:  # settings, then the first batch's two files
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - 70)
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fsync)
        with pytest.raises(DibsError, match="vectors cannot be written: No space left on device"):
            run(HashEncoder(), tmp_path)
    encoder = HashEncoder()
    found = run(encoder, tmp_path)
    assert encoder.asked == ["sky", "green apple", "red apple"]
    np.testing.assert_array_equal(found.vectors(), encoder.vectors(TEXTS))


class SlowEncoder(HashEncoder):
    """Says on standard output what it has begun to encode, and never ends its third batch."""

    def stream(self, texts: Sequence[str], role: Role) -> Iterator[EncodedBatch]:
        for number, batch in enumerate(super().stream(texts, role)):
            print(f"batch {number}", flush=True)
            if number == 2:
                sys.stdin.readline()
            yield batch


_SLOW = """
import sys
from pathlib import Path
from tests.encoders.test_embed import SlowEncoder, run
run(SlowEncoder(), Path(sys.argv[1]), [f"text {n}" for n in range(12)])
"""


def test_a_killed_process_loses_at_most_the_batch_in_flight(tmp_path: Path) -> None:
    slow = subprocess.Popen(
        [sys.executable, "-c", _SLOW, str(tmp_path)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert slow.stdout is not None
    assert [slow.stdout.readline() for _ in range(3)] == ["batch 0\n", "batch 1\n", "batch 2\n"]
    slow.kill()
    slow.communicate()
    assert slow.returncode == -signal.SIGKILL
    encoder = HashEncoder()
    texts = [f"text {n}" for n in range(12)]
    found = run(encoder, tmp_path, texts)
    assert sorted(encoder.asked) == sorted(texts[:6])  # two batches of three were done, from the end
    np.testing.assert_array_equal(found.vectors(), encoder.vectors(texts))
