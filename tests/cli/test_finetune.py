from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dibs.training.pairs import write_pairs
from dibs.workspace import Workspace
from tests.cli.test_cli import Said, add_card
from tests.conftest import QUERIES
from tests.encoders.local_models import WORDS as VOCABULARY
from tests.encoders.local_models import make_model
from tests.training.small_pairs import small_pairs

pytestmark = pytest.mark.filterwarnings("default")
for needed in ("accelerate", "optuna"):
    pytest.importorskip(needed)

WORDS = ["--model", "small", "--task", "Tiny", "--json"]
WORDS_OF_TEXTS = VOCABULARY[4:10]


@pytest.fixture
def place(tiny_workspace: Workspace, tmp_path: Path) -> Workspace:
    """A workspace with the small local model, and pairs to finetune it on."""
    folder = make_model(tmp_path)
    add_card(
        tiny_workspace,
        "models",
        "small",
        'adapter = "sentence-transformers"',
        f'model = "{folder}"',
        'query_prompt = ""',
        'document_prompt = ""',
    )
    add_pairs(tiny_workspace, "good")
    return tiny_workspace


def add_pairs(
    place: Workspace, name: str, *, query: str | None = None, task: str | None = None, easy: bool = False
) -> None:
    """Pairs in the workspace, the first with that query.

    Their queries have each word's neighbour in the vocabulary in its place, so the base finds few of the
    documents; easy ones have the document's own words, so it finds all.
    """
    pairs = small_pairs(train=24, development=12).pairs
    if not easy:
        after = dict(pairwise([*WORDS_OF_TEXTS, WORDS_OF_TEXTS[0]]))
        pairs = [replace(p, query=" ".join(after[word] for word in p.document.split())) for p in pairs]
    first = pairs[0] if query is None else replace(pairs[0], query=query)
    manifest: dict[str, Any] = {"task": task, "leakage": [], "generator": "structure", "licence": "none"}
    write_pairs(place.root / "pairs" / name, [first, *pairs[1:]], manifest)


def test_a_model_is_finetuned_and_runs_by_its_name(place: Workspace) -> None:
    words = ["finetune", *WORDS, "--pairs", "good", "--name", "tuned", "--learning-rate", "0.01"]
    words += ["--batch-size", "4", "--epochs", "4", "--evaluations", "1", "--patience", "0"]
    said = Said(*words)
    assert said.code == 0, said.err
    found = said.json
    assert found["improved"]
    assert found["development"]["finetuned"] > found["development"]["base"]
    assert "base: development recall@10" in said.err
    (gain,) = found["tasks"]
    assert (gain["task"], gain["measure"], gain["queries"]) == ("Tiny", "recall@10", 5)
    assert gain["difference"]["value"] == pytest.approx(gain["finetuned"] - gain["base"])
    readme = (place.root / "finetuned" / "tuned" / "README.md").read_text()
    for said_of in ("# tuned", "`small`, finetuned by DIBS on 24 pairs of good", "| Tiny | recall@10 | 5 |"):
        assert said_of in readme
    run = Said("run", "--model", "tuned", "--task", "Tiny", "--json")
    assert run.code == 0, run.err
    manifest = json.loads((place.results / gain["records"][1] / "manifest.json").read_text())
    assert manifest["model"]["base"] == "small"
    again = Said(*words)
    assert again.json["reused"]
    other = Said(*words, "--seed", "1")
    assert other.code == 2
    assert "another finetuned model has that name" in other.err
    assert Said(*[word for word in words if word != "--json"]).out.count("Tiny") >= 1


def test_a_finetuned_models_records_tell_seen_queries_from_others(place: Workspace) -> None:
    card, tuned = (place.root / folder for folder in ("models/tuned.toml", "finetuned/tuned.json"))
    card.write_text(
        (place.root / "models" / "small.toml").read_text().replace("small", "tuned") + 'base = "small"\n'
    )
    (tuned.parent / "tuned").mkdir(parents=True)
    reports = [{"task": "Tiny", "seen": {"queries": ["q2"]}}, {"task": "Other", "seen": {"queries": ["q1"]}}]
    tuned.write_text(json.dumps({"pairs": {"leakage": reports}}))
    for model in ("tuned", "bm25+tuned"):
        said = Said("run", "--model", model, "--task", "Tiny", "--json")
        assert said.code == 0, said.err
        last = [row for row in said.json if row["pipeline"] == said.json[-1]["pipeline"]]
        counts = {row["subset"]: row["n_queries"] for row in last if row["subset"] != "checked"}
        assert counts == {"all": 5, "seen": 1, "unseen": 4}


def test_a_model_no_better_than_its_base_is_kept_marked_and_refused(place: Workspace) -> None:
    add_pairs(place, "easy", easy=True)
    said = Said(
        "finetune", *WORDS, "--pairs", "easy", "--name", "idle", "--batch-size", "4", "--evaluations", "1"
    )
    assert said.code == 2
    assert (
        "idle: it is no better than its base on the development pairs; it is kept, and marked so" in said.err
    )
    assert not said.json["improved"]
    mark = "No better than its base on the development pairs."
    assert mark in (place.root / "models" / "idle.toml").read_text()
    assert "no better than its base" in (place.root / "finetuned" / "idle" / "README.md").read_text()


def test_pairs_that_leak_are_refused(place: Workspace) -> None:
    add_pairs(place, "leaking", query=QUERIES["q1"][0])
    said = Said("finetune", *WORDS, "--pairs", "leaking")
    assert said.code == 2
    assert "1 of 36 training queries leak from Tiny, such as pair 1: equal with q1" in said.err
    assert "dibs filter leaking --task Tiny" in said.err
    add_pairs(place, "unguarded", task="Tiny")
    assert "nobody looked for queries of Tiny" in Said("finetune", *WORDS, "--pairs", "unguarded").err
    assert not (place.root / "finetuned").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--pairs", "none-such"], "none-such"),
        (["--pairs", "good", "--batch-size", "1"], "no negatives"),
        (["--pairs", "good", "--matryoshka", "a"], "--matryoshka a"),
        (["--pairs", "good", "--name", "bm25"], "a model has that name"),
        (["--pairs", "good", "--name", "../up"], "is no name of a card"),
        (["--pairs", "good", "--negatives", "1", "--miner", "no-such-model"], "no-such-model"),
    ],
)
def test_wrong_input_is_said(place: Workspace, words: list[str], told: str) -> None:
    said = Said("finetune", *WORDS, *words)
    assert said.code == 2
    assert told in said.err


def test_a_sweep_chooses_on_development_and_says_what_the_test_would_have_claimed(place: Workspace) -> None:
    words = [
        "sweep-finetune",
        *WORDS,
        "--pairs",
        "good",
        "--trials",
        "2",
        "--over",
        "learning_rate=0.01,0.02",
    ]
    words += ["--set", "batch_size=4", "--set", "evaluations=1", "--set", "epochs=4", "--name", "best"]
    said = Said(*words)
    assert said.code == 0, said.err
    sweep = said.json["sweep"]
    assert [trial["state"] for trial in sweep["trials"]] == ["complete", "complete"]
    recalls = [trial["recall"] for trial in sweep["trials"]]
    assert recalls[sweep["chosen"]] == max(recalls)
    test = sweep["tests"]["Tiny"]
    assert test["optimism"] == pytest.approx(test["best"] - test["chosen"])
    assert test["chosen"] == said.json["tasks"][0]["finetuned"]
    assert "trial 1 of 2: learning_rate=0.0" in said.err
    table = Said(*[word for word in words if word != "--json"])
    assert table.code == 0, table.err
    assert "chosen" in table.out
    wrong = Said("sweep-finetune", *WORDS, "--pairs", "good", "--set", "colour=1")
    assert wrong.code == 2
    assert "no setting is called 'colour'" in wrong.err
