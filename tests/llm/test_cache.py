from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dibs.errors import InputError
from dibs.llm.cache import ReplyCache
from dibs.llm.chat import Reply, Token
from tests.toys import ROOT

REPLY = Reply("yes \N{SNOWMAN}\u2028", "stop", 12, None, (Token(" yes", -0.25, {"no": -1.5, " yes": -0.25}),))


def key(n: int) -> str:
    return hashlib.sha256(str(n).encode()).hexdigest()


def reply(n: int) -> Reply:
    return Reply(f"answer {n} " * 20, "stop", n, 2 * n)


def filled(folder: Path, count: int) -> ReplyCache:
    cache = ReplyCache(folder)
    for n in range(count):
        cache.put(key(n), reply(n))
    cache.close()  # which puts the log into the file
    return cache


def kept(cache: ReplyCache, count: int) -> list[int]:
    """Those of the first `count` that are there, each as it was written."""
    found = {n: cache.get(key(n)) for n in range(count)}
    assert all(got is None or got.text == reply(n).text for n, got in found.items())
    return [n for n, got in found.items() if got is not None]


def change(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement)
    connection.close()


def test_a_reply_comes_back_whole(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path)
    assert cache.get(key(1)) is None
    cache.put(key(1), REPLY)
    found = ReplyCache(tmp_path).get(key(1))
    assert found is not None
    assert (found.text, found.tokens, found.completion_tokens) == (REPLY.text, REPLY.tokens, None)
    assert found.cached
    assert cache.get(key(2)) is None
    cache.put(key(1), reply(5))
    assert kept(cache, 1) == []


def test_it_is_one_file(tmp_path: Path) -> None:
    filled(tmp_path / "llm", 100).close()
    assert {path.name for path in (tmp_path / "llm").iterdir()} <= {"replies.sqlite", "replies.lock"}


@pytest.mark.parametrize(
    "damage",
    [
        "reply = cast(replace(cast(reply AS TEXT), 'answer', 'Answer') AS BLOB)",
        "reply = (SELECT reply FROM replies AS other WHERE other.key != replies.key)",
        "sha256 = zeroblob(32)",
        "sha256 = NULL",
        "reply = NULL",
        "reply = 7",
        "reply = cast(x'fffe' AS TEXT)",
    ],
)
def test_a_damaged_row_is_named_and_written_anew(tmp_path: Path, damage: str) -> None:
    cache = filled(tmp_path, 3)
    change(cache.path, f"UPDATE replies SET {damage} WHERE key = x'{key(1)}'")
    with pytest.warns(UserWarning, match=f"the reply {key(1)[:12]} is not as it was written"):
        assert kept(cache, 3) == [0, 2]
    cache.put(key(1), reply(1))
    assert kept(ReplyCache(tmp_path), 3) == [0, 1, 2]


@pytest.mark.parametrize("content", [b"no database", b"\0" * 5000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_set_aside(tmp_path: Path, content: bytes) -> None:
    cache = ReplyCache(tmp_path)
    cache.path.write_bytes(content)
    with pytest.warns(UserWarning, match=r"damaged-1; 0 replies of it are kept"):
        cache.put(key(1), reply(1))
    assert kept(ReplyCache(tmp_path), 2) == [1]
    assert (tmp_path / "replies.sqlite.damaged-1").read_bytes() == content


def test_an_empty_file_is_begun(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path)
    cache.path.touch()
    cache.put(key(0), reply(0))
    assert kept(cache, 1) == [0]


def test_another_table_of_that_name_is_set_aside(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path)
    change(cache.path, "CREATE TABLE replies (prompt TEXT)")
    with pytest.warns(UserWarning, match="no column named key"):
        cache.put(key(0), reply(0))
    assert kept(cache, 1) == [0]


def test_what_can_be_read_of_a_damaged_file_is_kept(tmp_path: Path) -> None:
    cache = filled(tmp_path, 500)
    content = bytearray(cache.path.read_bytes())
    page = 4096 * (len(content) // 4096 // 2)
    content[page : page + 4096] = b"\xa5" * 4096
    cache.path.write_bytes(bytes(content))
    with pytest.warns(UserWarning, match="damaged-1"):
        found = kept(cache, 500)
    assert 400 < len(found) < 500
    assert kept(ReplyCache(tmp_path), 500) == found


def test_a_file_that_was_cut_short(tmp_path: Path) -> None:
    cache = filled(tmp_path, 500)
    content = cache.path.read_bytes()
    cache.path.write_bytes(content[: len(content) // 2])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        kept(cache, 500)
        for n in range(500):
            cache.put(key(n), reply(n))
    assert any("damaged" in str(warning.message) for warning in said)
    assert kept(ReplyCache(tmp_path), 500) == list(range(500))


def test_any_byte_that_changes_is_found(tmp_path: Path) -> None:
    cache = filled(tmp_path, 20)
    content = cache.path.read_bytes()
    for place in range(0, len(content), 211):
        changed = bytearray(content)
        changed[place] ^= 0x41
        cache.path.write_bytes(bytes(changed))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kept(cache, 20)  # each that is given is as it was written
            cache.put(key(3), reply(3))
            assert 3 in kept(cache, 20)
            cache.close()
        for path in tmp_path.iterdir():
            path.unlink()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be kept"):
        ReplyCache(tmp_path / "file" / "llm").get(key(1))


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path)
    cache.path.mkdir()
    with pytest.raises(InputError, match="unable to open"):
        cache.put(key(1), reply(1))


def test_threads_share_it(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path)

    def use(n: int) -> None:
        cache.put(key(n), reply(n))
        assert cache.get(key(n)) is not None

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(use, range(300)))
    assert kept(cache, 300) == list(range(300))


_OPENS = """
import multiprocessing, sys
from pathlib import Path
from dibs.llm.cache import ReplyCache
from tests.llm.test_cache import key, reply

def use(barrier, n):
    for turn in range(25):
        barrier.wait()
        cache = ReplyCache(Path(sys.argv[1]) / str(turn))
        cache.put(key(n), reply(n))
        cache.close()

forking = multiprocessing.get_context("fork")
barrier = forking.Barrier(4, timeout=30)
processes = [forking.Process(target=use, args=[barrier, n]) for n in range(4)]
for process in processes:
    process.start()
for process in processes:
    process.join()
sys.exit(sum(process.exitcode != 0 for process in processes))
"""


def test_processes_may_begin_it_at_once(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", _OPENS, str(tmp_path)], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert all(kept(ReplyCache(tmp_path / str(turn)), 4) == [0, 1, 2, 3] for turn in range(25))


_WRITES = """
import sys
from pathlib import Path
from dibs.llm.cache import ReplyCache
from tests.llm.test_cache import key, reply
first = int(sys.argv[2])
cache = ReplyCache(Path(sys.argv[1]))
for n in range(first, first + 300):
    cache.put(key(n), reply(n))
    print(n, flush=True)
"""


def writing(folder: Path, first: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _WRITES, str(folder), str(first)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)})


def test_processes_share_it_and_one_is_killed(tmp_path: Path) -> None:
    whole, killed = writing(tmp_path, 0), writing(tmp_path, 300)
    assert killed.stdout is not None
    for _ in range(50):
        killed.stdout.readline()
    killed.kill()
    last = [*killed.communicate()[0].split()][-1:]
    whole.communicate()
    assert whole.returncode == 0
    found = kept(ReplyCache(tmp_path), 600)
    assert found[:350] == list(range(350))
    assert all(int(n) in found for n in last)
