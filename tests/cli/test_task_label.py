"""`dibs task label`: from queries without gold to a task that runs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from threading import Timer

import pytest
from typer.testing import CliRunner

from dibs.cli.main import app
from dibs.workspace import Workspace
from tests.cli.test_cli import DIBS, Said
from tests.encoders.local_models import make_model
from tests.labelling.made import make_task
from tests.toys import ROOT

pytestmark = pytest.mark.filterwarnings("default")


class Labelled:
    """What the command said while those keys were pressed."""

    def __init__(self, *words: str, keys: str = "") -> None:
        result = CliRunner().invoke(app, ["task", "label", "Works", *words], input=keys, prog_name="dibs")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        self.code, self.out, self.err = result.exit_code, result.stdout, result.stderr


BM25 = ("--model", "bm25", "--labeller", "ann")


@pytest.fixture
def place(workspace: Workspace) -> Workspace:
    make_task(workspace)
    return workspace


def journal(place: Workspace, who: str = "ann") -> list[dict[str, object]]:
    path = place.root / "tasks" / "labels" / "Works" / f"{who}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_from_queries_without_gold_to_a_run(place: Workspace) -> None:
    # bm25 finds "filter" and "valve" for q1, "oil" and "pump" for q2, and nothing for q3.
    assert Said("run", "--model", "bm25", "--task", "Works").code == 2
    first = Labelled(*BM25, keys="yq")
    assert first.code == 0, first.err
    assert "ann: 1 judged" in first.out
    rest = Labelled(*BM25, "--write", keys="yyy")
    assert "query 1 of 2, document 2 of 2; 1 of 4 judged" in rest.out
    assert "4 judgements are in qrels/test.tsv." in rest.out
    assert "2 of 3 queries have a relevant document; 2.0 documents are judged of a query" in rest.out
    assert "without one, and left out of scoring: q3" in rest.out
    assert "pooled: the first 10 of bm25" in rest.out
    assert len({(line["query"], line["document"]) for line in journal(place)}) == 4
    assert journal(place)[0]["pool"] == {"models": ["bm25"], "depth": 10, "seed": 0}
    ran = Said("run", "--model", "bm25", "--task", "Works", "--json")
    assert ran.code == 0, ran.err
    assert ran.json[0]["measures"]["recall@10"]["value"] == 1
    told = Labelled("--status")
    assert re.search(r"bm25 +1\.0", told.out), told.out
    assert "There is nothing left to judge." in Labelled(*BM25).out


def test_two_labellers_disagree_and_settle_it(place: Workspace) -> None:
    Labelled(*BM25, keys="yyyy")
    other = Labelled("--model", "bm25", "--labeller", "bob", "--seed", "0", keys="ynyn")
    assert "ann and bob agree on 2 of 4; Cohen's kappa" in other.out
    assert "2 judged differently" in other.out
    settled = Labelled("--disagreements", "--labeller", "ann", "--write", keys="yn")
    assert "bob said 0" in settled.out
    assert "judged differently" not in settled.out
    assert "ann and bob agree on 2 of 4" in settled.out
    rows = (place.root / "tasks/Works/qrels/test.tsv").read_text().splitlines()[1:]
    assert sorted(row.rsplit("\t")[2] for row in rows) == ["0", "1", "1", "1"]
    assert "There is nothing left to judge." in Labelled("--disagreements", "--labeller", "ann").out


def test_work_is_shared_where_that_is_asked_for(place: Workspace) -> None:
    Labelled(*BM25, keys="yyq")
    other = Labelled("--model", "bm25", "--labeller", "bob", "--unjudged", keys="yyyy")
    assert "0 of 2 judged" in other.out
    assert len(journal(place, "bob")) == 2


def test_queries_with_gold_are_passed_over_where_that_is_asked_for(workspace: Workspace) -> None:
    make_task(workspace, qrels="query-id\tcorpus-id\tscore\nq1\tfilter\t1\n")
    plain = Labelled(*BM25, keys="q")
    assert "0 of 3 judged" in plain.out  # filter is known already
    assert "0 of 2 judged" in Labelled(*BM25, "--without-gold", keys="yyyy").out
    again = Labelled(*BM25, "--without-gold", "--write")
    assert "2 of 3 queries have a relevant document" in again.out
    assert {line["query"] for line in journal(workspace)} == {"q2"}


def test_a_torn_journal_is_said_and_gone_on_with(place: Workspace) -> None:
    Labelled(*BM25, keys="yyyy")
    path = place.root / "tasks/labels/Works/ann.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    again = Labelled(*BM25, keys="n")
    assert "not whole and is dropped" in again.err
    assert "3 of 4 judged" in again.out
    assert [line["grade"] for line in journal(place)] == [1, 1, 1, 0]


@pytest.mark.slow
@pytest.mark.xdist_group("torch")
def test_a_hybrid_and_a_dense_model_are_pooled_too(place: Workspace, tmp_path: Path) -> None:
    model = str(make_model(tmp_path / "model"))
    said = Labelled(
        "--model", f"bm25+{model}", "--model", model, "--depth", "3", "--labeller", "ann", keys="y"
    )
    assert said.code == 0, said.err
    assert "ann: 1 judged" in said.out
    (line,) = journal(place)
    assert line["pool"] == {"models": ["bm25+model", "model"], "depth": 3, "seed": 0}
    assert str(tmp_path) not in json.dumps(line)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "no retriever is named"),
        (("--model", "bm26"), "no model is called 'bm26'"),
        (("--model", "bm25", "--disagreements"), "pools nothing"),
        (("--write",), "nothing is judged yet"),
        (("--model", "bm25", "--depth", "0"), "--depth"),
    ],
)
def test_what_cannot_be_is_said(place: Workspace, words: tuple[str, ...], told: str) -> None:
    said = Labelled(*words)
    assert said.code == 2
    assert told in said.err


def test_a_malformed_journal_and_an_unknown_task_are_said(place: Workspace) -> None:
    Labelled(*BM25, keys="y")
    path = place.root / "tasks/labels/Works/ann.jsonl"
    path.write_text("no\n" + path.read_text())
    broken = Labelled("--status")
    assert broken.code == 1
    assert "ann.jsonl, line 1: is no judgement" in broken.err
    assert "no task is called 'Nothing'" in Said("task", "label", "Nothing", "--status").err


def test_a_kill_loses_nothing_that_was_judged(place: Workspace) -> None:
    """The page's process is killed outright; its token is in no file and the next one goes on."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    words = [*DIBS, "task", "label", "Works", *BM25, "--page"]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = next((line.split()[-1] for line in process.stdout if "http" in line), "")
        body = json.dumps({"act": "judge", "place": 0, "grade": 1}).encode()
        asked = urllib.request.Request(f"{address}act", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=30) as reply:
            assert json.load(reply)["judged"] == 1
        process.send_signal(signal.SIGKILL)
    token = address.rstrip("/").rpartition("/")[2]
    for path in (*place.root.rglob("*"), *place.cache.rglob("*")):
        assert path.is_dir() or token.encode() not in path.read_bytes()
    assert "1 of 4 judged" in Labelled(*BM25, keys="q").out


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are Unix's")
def test_keys_typed_ahead_judge_nothing_unseen(place: Workspace) -> None:
    import pty
    import termios

    def press(keys: bytes) -> None:
        while termios.tcgetattr(side)[3] & termios.ICANON:  # what comes before it reads keys is dropped
            time.sleep(0.01)
        os.write(main, keys)

    Labelled(*BM25, keys="q")  # the pool is made
    main, side = pty.openpty()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "TERM": "dumb"}
    words = [*DIBS, "task", "label", "Works", *BM25]
    with subprocess.Popen(words, env=environment, stdin=side, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        late = Timer(60, process.kill)
        late.start()
        shown = (line for line in process.stdout if "[q] quit" in line)
        assert next(shown, None)
        press(b"yyyy")
        assert next(shown, None)
        press(b"\x03")
        process.communicate()
        late.cancel()
    os.close(main)
    os.close(side)
    assert process.returncode == 130
    assert len(journal(place)) == 1
