"""`dibs doctor`: what it says of a workspace, and how quickly."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from typer.testing import CliRunner

from dibs.cli.main import app
from dibs.doctor import machine, network, packages
from dibs.workspace import Workspace

Said = dict[tuple[str, str], dict[str, Any]]


def doctor(*words: str, code: int = 0) -> Said:
    """Each finding by its area and name."""
    found = CliRunner().invoke(app, ["doctor", "--offline", "--json", *words])
    assert found.exit_code == code, found.output
    return {(one["area"], one["name"]): one for one in json.loads(found.stdout)}


def write(place: Workspace, path: str, *lines: str) -> None:
    file = place.root / f"{path}.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join((f'name = "{file.stem}"', *lines)))


def test_what_is_ready_and_what_mends_the_rest(
    tiny_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VOYAGE_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-nobody-may-see-this")
    found = doctor()
    assert found["tasks", "Tiny"]["state"] == "ready"
    assert found["tasks", "DocsQA"] == {
        "area": "tasks",
        "name": "DocsQA",
        "state": "missing",
        "found": "its data is not prepared",
        "todo": "Its data was never released. With a copy: dibs data prepare DocsQA --from FOLDER",
    }
    assert found["models", "bm25"]["state"] == "ready"
    assert found["keys", "VOYAGE_API_KEY"]["todo"] == "export VOYAGE_API_KEY=..."
    assert found["keys", "OPENAI_API_KEY"]["found"] == "set, for openai.com"
    assert found["network", "hub"]["found"] == "not asked (--offline)"
    assert found["packages", "python"]["state"] == "ready"
    assert {one["state"] for one in found.values()} <= {"ready", "missing", "slow", "broken"}
    assert all(one["todo"] for one in found.values() if one["state"] != "ready")
    assert "nobody-may-see" not in json.dumps(list(found.values()))


def test_where_a_card_of_one_s_own_sends_its_key(
    tiny_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "sk-nobody-may-see-this")
    write(tiny_workspace, "models/llm/mine", 'adapter = "openai"', 'base_url = "https://llm.example/v1"',
          'key = "MY_API_KEY"')  # fmt: skip
    write(tiny_workspace, "models/llm/theirs", 'adapter = "openai"', 'base_url = "https://evil.example/v1"',
          'key = "AWS_SECRET_ACCESS_KEY"')  # fmt: skip
    found = doctor()
    assert found["keys", "MY_API_KEY"]["found"] == "set, for llm.example"
    assert "theirs: the key in AWS_SECRET_ACCESS_KEY is not for evil.example" in json.dumps(
        list(found.values())
    )


def test_a_malformed_card_is_broken_and_the_exit_code_says_so(tiny_workspace: Workspace) -> None:
    write(tiny_workspace, "models/bad", "adapter = 3")
    found = doctor(code=2)
    (broken,) = [one for one in found.values() if one["state"] == "broken"]
    assert broken["name"].endswith("bad.toml")
    assert "adapter" in broken["found"]


def test_a_folder_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    found = machine._disk("cache", tmp_path / "cache", "Set DIBS_CACHE.")
    assert (found.state, found.found) == ("broken", f"{tmp_path / 'cache'} cannot be written to")


@pytest.mark.parametrize(("free", "state"), [(100, "ready"), (3, "slow"), (0.1, "broken")])
def test_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, state: str) -> None:
    usage = type("Usage", (), {"free": int(free * 2**30)})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert machine._disk("cache", tmp_path / "not" / "yet", "todo").state == state


def test_what_the_cache_holds(tiny_workspace: Workspace) -> None:
    (tiny_workspace.cache / "vectors" / "a").mkdir(parents=True)
    (tiny_workspace.cache / "vectors" / "a" / "shard").write_bytes(b"x" * 11_000_000)
    assert doctor()["disk", "cache/vectors"]["found"] == "0.01 GiB"


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert machine._threads().state == "ready"
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = machine._threads()
    assert (found.state, found.found, found.todo) == (
        "slow",
        "4 cores, OMP_NUM_THREADS=1",
        "unset OMP_NUM_THREADS",
    )
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert machine._threads().state == "ready"


@pytest.mark.parametrize(
    ("flags", "state", "said"),
    [
        ({"avx2", "avx512f", "amx_bf16"}, "ready", "avx2, avx512f, amx_bf16"),
        ({"sse4_2"}, "slow", "none of the usual"),
        (set(), "ready", "none of the usual"),
    ],
)
def test_the_processor(monkeypatch: pytest.MonkeyPatch, flags: set[str], state: str, said: str) -> None:
    monkeypatch.setattr(machine, "_flags", lambda: frozenset(flags))
    found = machine._processor()
    assert found.state == state
    assert said in found.found


def test_a_package_that_is_too_old_or_absent() -> None:
    old, absent, fine = (Requirement(text) for text in ("numpy>=9999", "no-such-package>=1", "numpy>=1"))
    assert "is not >=9999" in str(packages._lacks(old))
    assert packages._lacks(absent) == "no-such-package is not installed"
    assert packages._lacks(fine) is None
    found = list(packages._needed([old, fine]))
    assert [(one.state, one.todo) for one in found] == [("broken", 'pip install "numpy>=9999"')]


@pytest.mark.parametrize(("answers", "state"), [(lambda: None, "ready"), (lambda: time.sleep(5), "missing")])
def test_the_hub_has_so_long(
    monkeypatch: pytest.MonkeyPatch, answers: Callable[[], None], state: str
) -> None:
    import httpx

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(network, "HUB_PATIENCE", 0.3)
    monkeypatch.setattr(httpx, "head", lambda *words, **more: answers())
    started = time.monotonic()
    assert network.hub_finding(offline=False).state == state
    assert time.monotonic() - started < 2


def test_the_hub_out_of_reach_and_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert network.hub_finding(offline=False).found.startswith("127.0.0.1: Connect")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert network.hub_finding(offline=False).todo == "unset HF_HUB_OFFLINE"


def test_a_chat_server_that_answers_and_one_that_does_not(tiny_workspace: Workspace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        write(
            tiny_workspace, "models/llm/up", 'adapter = "openai"', f'base_url = "http://127.0.0.1:{port}/v1"'
        )
        write(tiny_workspace, "models/llm/down", 'adapter = "openai"', 'base_url = "http://127.0.0.1:9/v1"')
        found = doctor()
    assert found["servers", "up"]["state"] == "ready"
    assert found["servers", "down"]["todo"] == "Start your server at http://127.0.0.1:9/v1."


def test_the_table_puts_many_of_a_kind_on_one_line(tiny_workspace: Workspace) -> None:
    short, long = (
        CliRunner().invoke(app, ["doctor", "--offline", *words]).stdout for words in ((), ("--all",))
    )
    assert "of them" in short
    assert "of them" not in long
    assert len(long.splitlines()) > len(short.splitlines())
    assert " ready, " in short.splitlines()[-1]


def test_nothing_heavy_is_imported_and_it_is_soon_done(tiny_workspace: Workspace) -> None:
    code = (
        "import sys, time; from dibs.cli.main import app\n"
        "try: app(['doctor', '--offline', '--json'])\n"
        "except SystemExit: pass\n"
        "heavy = ('torch', 'mteb', 'transformers', 'sentence_transformers', 'pandas', 'scipy', 'httpx')\n"
        "print(*(name for name in heavy if name in sys.modules), time.process_time(), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    *heavy, seconds = done.stderr.split()
    assert heavy == []
    assert float(seconds) < 2
