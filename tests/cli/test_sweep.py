from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from dibs.choices import Choices, setting
from dibs.cli.trials import Trials
from dibs.errors import InputError
from dibs.workspace import Workspace
from tests.cli.test_cli import Said, add_card
from tests.encoders.local_models import make_model

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def model(tiny_workspace: Workspace, tmp_path: Path) -> str:
    """The small local model, as a card of the workspace."""
    pytest.importorskip("sentence_transformers")
    folder = make_model(tmp_path)
    add_card(
        tiny_workspace,
        "models",
        "small",
        'adapter = "sentence-transformers"',
        f'model = "{folder}"',
        'pooling = "mean"',
        'query_prompt = ""',
        'document_prompt = ""',
    )
    return "small"


def test_a_sweep_of_a_model_and_a_run_of_what_it_chose(tiny_workspace: Workspace, model: str) -> None:
    (tiny_workspace.root / "prompts.txt").write_text("net \n\numbrella cash \r\n")
    words = [
        "sweep",
        "--model",
        model,
        "--task",
        "Tiny",
        "--over",
        "pooling=mean,cls",
        "--over",
        "dimension=8",
    ]
    words += ["--query-prompt", "", "--query-prompts", str(tiny_workspace.root / "prompts.txt"), "--json"]
    said = Said(*words)
    assert said.code == 0, said.err
    assert "queries in" in said.err
    found = said.json
    changes = [one["changes"] for one in found["configurations"]]
    assert changes[0] == {}
    assert {"dimension": 8, "query_prompt": "umbrella cash "} in changes
    assert len(changes) == 1 + 2 * 1 * 3
    manifest = json.loads((tiny_workspace.root / found["record"] / "manifest.json").read_text())
    assert manifest["cost"]["documents_encoded"] == 5
    for one in found["configurations"]:
        ran = Said(*shlex.split(one["command"])[1:], "--json")
        assert ran.code == 0, ran.err
        cost = json.loads((tiny_workspace.root / ran.json[0]["record"] / "manifest.json").read_text())["cost"]
        assert (cost["documents_encoded"], cost["queries_encoded"]) == (0, 0)
    again = Said(*shlex.split(manifest["command"])[1:])
    assert again.code == 0, again.err
    assert "recorded before" in again.out


def test_a_sweep_is_shown_as_a_table_and_what_the_choice_is_worth(tiny_workspace: Workspace) -> None:
    options = "options={b=0.75},{b=0.1},{k1=0.2,b=0.0}"
    said = Said("sweep", "--model", "bm25", "--task", "Tiny", "--over", options, "--seed", "3")
    assert said.code == 0, said.err
    assert "Tiny: 4 configurations, recall@10; chosen on" in said.out
    assert "chosen   default" in said.out
    assert "options={k1=0.2, b=0.0}" in said.out
    assert "Sweep: results/Tiny/sweep-bm25/" in said.out
    assert "dibs run --model bm25 --task Tiny" in said.out


def test_a_hybrids_weights_and_fusions(tiny_workspace: Workspace) -> None:
    add_card(tiny_workspace, "models", "bm25-short", 'adapter = "bm25"', "options = { b = 0.1 }")
    words = ["sweep", "--model", "bm25+bm25-short", "--task", "Tiny", "--weights", "3"]
    said = Said(*words, "--json")
    assert said.code == 0, said.err
    changes = [one["changes"] for one in said.json["configurations"]]
    assert changes == [
        {},
        {"weights": [0.0, 1.0]},
        {"weights": [0.0, 1.0], "fusion": "scores"},
        {"fusion": "scores"},
        {"weights": [1.0, 0.0]},
        {"weights": [1.0, 0.0], "fusion": "scores"},
    ]
    commands = [one["command"] for one in said.json["configurations"]]
    assert commands[2].endswith("--fusion scores --weights 0.0,1.0")
    assert len(Said(*words, "--fusion", "rrf", "--json").json["configurations"]) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "nothing is to be tried"),
        (("--over", "b"), "--over b: is not of the form field=value,value"),
        (("--over", "=1"), "--over =1: is not of the form field=value,value"),
        (("--over", "dimension="), "--over dimension=: is not of the form"),
        (("--over", "dimension=1,2", "--over", "dimension=3"), "dimension is given twice"),
        (("--over", "query_prompt=a", "--query-prompt", "b"), "query_prompt is given twice"),
        (("--over", "pooling=mean,median"), "--over pooling=median: field 'pooling'"),
        (("--over", "poling=mean"), "The fields are:"),
        (("--over", "max_tokens=0"), "--over max_tokens=0: field 'max_tokens'"),
        (("--over", "name=a,b"), "cannot change a card's name"),
        (("--over", "stored=int8"), "are for models with vectors"),
        (("--weights", "3"), "--weights and --fusion are for hybrids"),
        (("--fusion", "rrf"), "--weights and --fusion are for hybrids"),
        (("--over", "options={b=0.1}", "--development", "1"), "between 0 and 1"),
        (("--query-prompts", "no-such-file"), "no-such-file: cannot be read"),
    ],
)
def test_what_does_not_fit_is_refused(
    tiny_workspace: Workspace, words: tuple[str, ...], message: str
) -> None:
    said = Said("sweep", "--model", "bm25", "--task", "Tiny", *words)
    assert said.code == 2
    assert message in said.err.replace("\n", " ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--over", "dimension=1"), "a hybrid's parts have cards of their own"),
        (("--query-prompt", "x"), "a hybrid's parts have cards of their own"),
        (("--fusion", "borda"), "no fusion is called 'borda'"),
        (("--weights", "1"), "at least 2 steps"),
    ],
)
def test_what_does_not_fit_a_hybrid_is_refused(
    tiny_workspace: Workspace, words: tuple[str, ...], message: str
) -> None:
    said = Said("sweep", "--model", "bm25+bm25", "--task", "Tiny", *words)
    assert said.code == 2
    assert message in said.err


def test_an_empty_file_of_prompts_is_refused(tiny_workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("\n \n")
    said = Said(
        "sweep", "--model", "bm25", "--task", "Tiny", "--query-prompts", str(tmp_path / "prompts.txt")
    )
    assert said.code == 2
    assert "has no query prompt" in said.err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pooling=mean,cls", ["mean", "cls"]),
        ("pooling= mean , cls", ["mean", "cls"]),
        ("max_tokens=128,256", [128, 256]),
        ("normalise=true,false", [True, False]),
        ('query_prompt="a, b","c"', ["a, b", "c"]),
        ("options={k1=0.9,b=0.4},{}", [{"k1": 0.9, "b": 0.4}, {}]),
        ('revision="1",two', ["1", "two"]),
    ],
)
def test_values_are_toml_or_plain_text(text: str, expected: list[object]) -> None:
    assert list(Trials(over=(text,)).fields().values()) == [expected]


@pytest.mark.parametrize(
    "value", ["Query: ", "", " x", "true", "12", "two\nlines", 'a "b"', "é", 12, 0.5, False, {"k1": 0.9}]
)
def test_a_setting_is_read_back_as_it_was(value: object) -> None:
    assert Choices(settings=(setting("field", value),)).fields() == {"field": value}


def test_a_field_without_values_to_try_is_refused() -> None:
    with pytest.raises(InputError, match="is not of the form"):
        Trials(over=("pooling",)).fields()
