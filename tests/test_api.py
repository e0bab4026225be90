from __future__ import annotations

import doctest
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import dibs
from dibs.workspace import Workspace
from tests.cli.test_cli import Said, add_card
from tests.cli.test_cli import run as command
from tests.toys import ROOT

NAMES = [
    "DamagedError",
    "DibsError",
    "InputError",
    "MissingError",
    "ProviderError",
    "Record",
    "Result",
    "__version__",
    "load",
    "models",
    "run",
    "tasks",
]
_IMPORT = """
import sys
import dibs
print(sorted(name for name in sys.modules if name.startswith("dibs.") or name in ("pandas", "pydantic")))
dibs.run
print("pandas" in sys.modules or "torch" in sys.modules)
"""
_SCRIPT = """
import pandas as pd
import dibs

result = dibs.run(model=["bm25"], task="DocsQA-Sample", settings={"max_tokens": 128}, candidates=30)
frame: pd.DataFrame = result.table()
reveal_type(result["bm25"].compare(result))
reveal_type([one.record.pipeline for one in result])
reveal_type(dibs.load("DocsQA-Sample/bm25"))
dibs.rum
dibs.run(model="bm25", task="DocsQA-Sample", fusion="sum")
"""


@pytest.fixture
def place(tiny_workspace: Workspace) -> Workspace:
    """Tiny, and beside BM25 a model that ranks by rare words alone."""
    options = 'options = { k1 = 0.1, stopwords = "", stemmer = "" }'
    add_card(tiny_workspace, "models", "other", 'adapter = "bm25"', options)
    return tiny_workspace


def test_the_exported_names() -> None:
    assert sorted(dibs.__all__) == NAMES
    assert set(NAMES) <= set(dir(dibs))
    for name in NAMES:
        assert getattr(dibs, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'rum'"):
        dibs.rum  # type: ignore[attr-defined] # noqa: B018


def test_the_import_is_instant() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["[]", "False"]


@pytest.mark.slow
def test_a_script_of_a_users_is_checked_for_its_types(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    config = str(ROOT / "pyproject.toml")
    cache = str(ROOT / ".mypy_cache")  # that of `make types`, which spares minutes
    options = ["--no-error-summary", f"--config-file={config}", f"--cache-dir={cache}"]
    mypy = [sys.executable, "-m", "mypy", *options, str(script)]
    done = subprocess.run(mypy, cwd=ROOT, capture_output=True, text=True)
    told = [
        line.partition(": ")[2] for line in (done.stdout + done.stderr).replace("builtins.", "").splitlines()
    ]
    assert told[:3] == [
        'note: Revealed type is "pandas.core.frame.DataFrame"',
        'note: Revealed type is "list[str]"',
        'note: Revealed type is "dibs.result.Result"',
    ]
    assert told[3].startswith('error: Module has no attribute "rum"')
    assert told[4].startswith('error: Argument "fusion" to "run" has incompatible type')
    assert len(told) == 5


def test_the_docstrings_example(workspace: Workspace) -> None:
    (example,) = doctest.DocTestFinder(recurse=False).find(dibs.run, "run", globs={})
    lines: list[str] = []
    runner = doctest.DocTestRunner()
    runner.run(example, out=lines.append)
    assert runner.summarize(verbose=False).attempted == 3
    assert lines == []


def test_the_command_and_the_function_make_one_record(place: Workspace) -> None:
    words = [
        "--set",
        "options={k1=1.0}",
        "--template",
        "titled",
        "--fusion",
        "scores",
        "--weights",
        "0.3,0.7",
    ]
    result = dibs.run(
        model="bm25+other",
        task="Tiny",
        settings={"options": {"k1": 1.0}},
        template="titled",
        fusion="scores",
        weights=[0.3, 0.7],
    )
    assert len(result) == 3, "a hybrid stands after its parts"
    said = command(*words, model="bm25+other")
    assert said.code == 0, said.err
    assert said.out.count("recorded before") == 3
    shell = Said(*shlex.split(result.record.manifest["command"])[1:], "--json")
    assert [row["record"] for row in shell.json if row["subset"] == "all"] == [
        f"results/{record.name}" for record in result.records
    ]


def test_the_table(place: Workspace) -> None:
    table = dibs.run(model=["bm25", "other"], task=["Tiny"]).table()
    assert list(table.columns) == [
        "task", "subset", "pipeline", "queries", "documents",
        "recall@1", "recall@1 low", "recall@1 high", "recall@10", "recall@10 low", "recall@10 high",
        "mrr@10", "mrr@10 low", "mrr@10 high", "record",
    ]  # fmt: skip
    assert table["pipeline"].tolist() == ["bm25", "bm25", "other", "other"]
    assert table["subset"].tolist() == ["all", "checked"] * 2
    assert table.iloc[0][["queries", "documents", "recall@10", "mrr@10"]].tolist() == [5, 6, 0.8, 0.8]
    assert dibs.load(table["record"][0]).table()["recall@10"].tolist() == table["recall@10"][:2].tolist()


def test_the_table_by_a_field(place: Workspace) -> None:
    result = dibs.run(model="bm25", task="Tiny")
    assert result.table(by="kind")["subset"].tolist() == ["all", "checked", "kind=count", "kind=metric"]
    with pytest.raises(dibs.InputError, match="knid"):
        result.table(by="knid")


def test_each_query(place: Workspace) -> None:
    result = dibs.run(model=["bm25", "other"], task="Tiny")
    queries = result.per_query()
    assert len(queries) == 10
    assert {"task", "pipeline", "query_id", "cluster", "split", "in:checked", "mrr@10"} <= set(
        queries.columns
    )
    bm25 = queries[queries["pipeline"] == "bm25"].set_index("query_id")
    assert bm25.loc["q4", "query"] == "How large is the backlog?"
    assert list(bm25.loc["q4", ["gold", "gold_ranks", "first_rank"]]) == [
        ["boeing-10k-p2", "boeing-10k-p3"],
        [2, 1],
        1,
    ]
    assert bm25.loc["q5", "gold_ranks"] == [None]
    assert bm25["first_rank"].isna().tolist() == [False, False, False, False, True]
    assert bm25["mrr@10"].mean() == pytest.approx(0.8)


def test_each_query_without_the_data_at_hand(place: Workspace) -> None:
    result = dibs.run(model="bm25", task="Tiny")
    shutil.rmtree(place.data)
    queries = result.per_query()
    assert queries["gold"].isna().all()
    assert queries["mrr@10"].mean() == pytest.approx(0.8)


def test_the_comparison_is_the_commands(place: Workspace) -> None:
    result = dibs.run(model=["bm25", "other"], task="Tiny")
    found = result["bm25"].compare(result["other"])
    told = Said("compare", "bm25", "other", "--task", "Tiny", "--json").json["measures"]
    assert list(found.index) == list(told)
    for name, one in told.items():
        row = found.loc[name]
        assert row["difference"] == one["difference"]["value"]
        assert (row["low"], row["high"]) == (one["difference"]["low"], one["difference"]["high"])
        assert row[["first", "second", "p", "won", "lost", "tied"]].tolist() == [
            one[key] for key in ("first", "second", "p", "won", "lost", "tied")
        ]


def test_other_data_and_the_same_record_are_refused_as_by_the_command(place: Workspace) -> None:
    before = dibs.run(model="bm25", task="Tiny")
    with pytest.raises(dibs.InputError, match="both are the same record"):
        before.compare(before)
    queries = place.root / "tasks" / "tiny" / "queries.jsonl"
    queries.write_text(queries.read_text().replace("umbrella", "parasol"))
    after = dibs.run(model="bm25", task="Tiny")
    with pytest.raises(dibs.InputError, match="may be any of 2 records"):
        dibs.load("Tiny/bm25")
    said = Said("compare", before.record.name, after.record.name)
    assert "they were made with other data" in said.err
    with pytest.raises(dibs.InputError) as refused:
        before.compare(after)
    assert said.err == f"error: {refused.value}\n"


def test_one_of_several_is_chosen_by_its_name(place: Workspace) -> None:
    result = dibs.run(model=["bm25", "bm25+other"], task="Tiny")
    assert [record.pipeline for record in result.records] == ["bm25", "other", "bm25+other"]
    assert [one.record.pipeline for one in result] == ["bm25", "other", "bm25+other"]
    assert result["other"].record.pipeline == "other", "a part may be chosen"
    assert len(result["Tiny"]) == 3
    with pytest.raises(dibs.InputError, match=r"holds 2 records \(Tiny: bm25, Tiny: bm25\+other\)"):
        result.record  # noqa: B018
    with pytest.raises(dibs.InputError, match=r"Did you mean other, bm25\+other\?"):
        result["othr"]


def test_a_hybrid_is_what_was_asked_for(place: Workspace) -> None:
    assert dibs.run(model="bm25+other", task="Tiny").record.pipeline == "bm25+other"


def test_at_a_glance(place: Workspace) -> None:
    result = dibs.run(model="bm25", task="Tiny")
    head, row = repr(result).splitlines()
    assert head.split() == ["task", "pipeline", "measure", "mean", "[95", "%]", "record"]
    assert row.split() == ["Tiny", "bm25", "recall@10", "0.800", "[0.000,", "1.000]", result.record.name]
    assert "<td>0.800 [0.000, 1.000]</td>" in result._repr_html_()


def test_a_pair_that_fails_does_not_lose_the_others(place: Workspace) -> None:
    with pytest.raises(dibs.InputError, match="bm52") as failed:
        dibs.run(model=["bm52", "bm25", "otter"], task="Tiny")
    assert ["otter" in note for note in failed.value.__notes__] == [True]
    assert dibs.load("Tiny/bm25").record.finished


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"model": []}, "no model is named"),
        ({"task": ()}, "no task is named"),
        ({"model": ""}, "--model has no name"),
        ({"task": "Tinny"}, "Did you mean Tiny"),
        ({"fusion": "sum"}, "no fusion is called 'sum'"),
        ({"backend": "tensorflow"}, "no backend is called 'tensorflow'"),
        ({"precision": "int4"}, "no precision is called 'int4'"),
        ({"engine": "spark"}, "no engine is called 'spark'"),
        ({"workers": 2}, "engine"),
        ({"candidates": 10}, "--candidates is for rerankers"),
        ({"candidates": []}, "no number of candidates"),
        ({"top_k": 0}, "top_k is 0"),
        ({"top_k": 3}, "--top-k is for rerankers"),
        ({"retry_errors": True}, "--retry-errors is for rerankers"),
        ({"weights": [0.5, 0.5]}, "--weights are for hybrids"),
        ({"model": "bm25+other", "weights": [float("nan"), 1]}, "weights are [nan, 1]"),
        ({"settings": {"max_tokens": None}}, "max_tokens cannot be set to None"),
        ({"settings": {"options": {"k1": Path()}}}, "options cannot be set to"),
        ({"settings": {"maxtokens": 3}}, "maxtokens"),
        ({"template": "titeld"}, "titeld"),
        ({"workspace": "nowhere"}, "the workspace is not a folder"),
        ({"reranker": "nobody"}, "no reranker is called 'nobody'"),
    ],
)
def test_what_does_not_fit_is_refused(place: Workspace, arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(dibs.InputError, match=re.escape(told)):
        dibs.run(**{"model": "bm25", "task": "Tiny", **arguments})


def test_a_record_is_loaded(place: Workspace) -> None:
    with pytest.raises(dibs.InputError, match="no record is called 'Tiny/bm25'"):
        dibs.load("Tiny/bm25")
    dibs.run(model="bm25", task="Tiny")
    assert dibs.load("Tiny/bm25").record.pipeline == "bm25"


def test_the_lists(place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks, models = dibs.tasks(), dibs.models(workspace=place.root)
    assert list(tasks.set_index("task").loc["Tiny", ["ready", "description"]]) == [
        True,
        "Six documents and five queries.",
    ]
    assert models.set_index("model").loc["other", "adapter"] == "bm25"
    add_card(place, "models", "bad")
    with pytest.warns(UserWarning, match="adapter"):
        assert len(dibs.models()) == len(models)
