from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dibs.records import Record, write_record
from dibs.report import sweep as module
from dibs.report.sweep import as_json, sweep_view


def configuration(changes: dict[str, Any], development: float, held_out: float) -> dict[str, Any]:
    return {
        "changes": changes,
        "command": f"dibs run --model toy {changes}",
        "development": {"recall@10": development},
        "held_out": {"recall@10": held_out},
        "held_out_interval": {"value": held_out, "low": held_out - 0.1, "high": held_out + 0.1},
    }


SCORES: dict[str, Any] = {
    "split": {"development": {"queries": 75, "clusters": 42}, "held_out": {"queries": 1000, "clusters": 42}},
    "default": 0,
    "chosen": 2,
    "hindsight": 3,
    "optimism": 0.025,
    "chosen_less_default": {
        "estimate": {"value": 0.05, "low": -0.01, "high": 0.11},
        "p": 0.04321, "won": 9, "lost": 4, "tied": 987,
    },
    "interval": {"cluster": "filing"},
    "configurations": [
        configuration({}, 0.4, 0.5),
        configuration({"pooling": "cls"}, 0.3, 0.4),
        configuration({"query_prompt": "Query: "}, 0.6, 0.55),
        configuration({"query_prompt": "a\x1bb"}, 0.5, 0.575),
    ],
}  # fmt: skip


def record(root: Path, **scores: Any) -> Record:
    manifest = {
        "kind": "sweep", "pipeline": "sweep toy", "inputs": {}, "task": {"name": "Tiny"},
        "scoring": {"main_measure": "recall@10"},
        "cost": {"documents_encoded": 7000, "queries_encoded": 20, "encode_documents": 61.0,
                 "encode_queries": 0.4},
    }  # fmt: skip
    content = json.dumps(SCORES | scores).encode()
    return write_record(root / "Tiny" / "sweep-toy" / "abc", manifest, {"scores.json": content})


def shown(found: Record, *, reused: bool = False) -> str:
    console = Console(width=150, file=io.StringIO())
    for part in sweep_view(found, reused=reused):
        console.print(part)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_the_best_on_development_is_first_and_marked(tmp_path: Path) -> None:
    text = shown(record(tmp_path))
    names = ("query_prompt='Query: '", "query_prompt='a\\x1bb'", "default", "pooling=cls")
    places = [text.index(name) for name in names]
    assert places == sorted(places)
    assert "chosen on 75 queries, 1,000 held out" in text
    assert "chosen   query_prompt='Query: '" in text


def test_what_the_choice_is_worth(tmp_path: Path) -> None:
    text = " ".join(shown(record(tmp_path), reused=True).split())
    assert "Chosen: query_prompt='Query: ': recall@10 0.550 [0.450, 0.650] held out." in text
    assert "Default: 0.500 [0.400, 0.600]. The difference, paired: +0.050 [-0.010, +0.110], p = 0.043" in text
    assert "of 1,000 queries 9 are better and 4 worse" in text
    assert "would have shown 0.575 [0.475, 0.675] (query_prompt='a\\x1bb'), 2.5 points too much" in text
    assert "bootstrap over clusters of equal filing. Encoded: 7,000 documents, 20 queries, 61 s." in text
    assert "results/Tiny/sweep-toy/abc; recorded before" in text
    assert "A record of the chosen one: dibs run --model toy" in text


def test_a_default_that_stays_and_a_choice_without_optimism(tmp_path: Path) -> None:
    text = shown(record(tmp_path, chosen=0, hindsight=0, optimism=0.0))
    assert "No change was better" in text
    assert "would have shown the same" in text
    assert "too much" not in text


def test_only_the_best_and_those_that_are_spoken_of_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS", 1)
    text = shown(record(tmp_path))
    assert "pooling=cls" not in text
    assert text.count("query_prompt='a\\x1bb'") == 2  # in the table and below it
    assert "The best 1 are shown" in text


def test_json_has_the_record_and_all_scores(tmp_path: Path) -> None:
    found = as_json(record(tmp_path))
    assert found["record"] == "results/Tiny/sweep-toy/abc"
    assert (found["task"], found["main_measure"], found["chosen"]) == ("Tiny", "recall@10", 2)
    assert found["configurations"] == SCORES["configurations"]
