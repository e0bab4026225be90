from __future__ import annotations

import json
from pathlib import Path

import pytest

from dibs.workspace import Workspace
from tests.cli.test_cli import Said


def test_a_document_cannot_speak_to_the_terminal(tiny_workspace: Workspace) -> None:
    corpus = Path(tiny_workspace.root / "tasks" / "tiny" / "corpus.jsonl")
    rows = [json.loads(line) for line in corpus.read_text().splitlines()]
    rows[0]["text"] = "Apple's net sales \x1b[2J\x1b]0;owned\x07 rose\u202e [bold]in 2022[/bold]."
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert Said("run", "--model", "bm25", "--task", "Tiny").code == 0
    shown = Said("show", "Tiny/bm25", "--query", "q1")
    assert shown.code == 0, shown.err
    assert not set("\x1b\x07\u202e") & set(shown.out)
    assert "[bold]in 2022[/bold]" in " ".join(shown.out.split())


@pytest.mark.parametrize("name", ["manifest.json", "scores.json", "queries.parquet", "run.trec.gz"])
@pytest.mark.parametrize("more", [(), ("--query", "q1")])
def test_a_damaged_record_is_named_and_not_shown(
    tiny_workspace: Workspace, name: str, more: tuple[str, ...]
) -> None:
    record = Said("run", "--model", "bm25", "--task", "Tiny", "--json").json[0]["record"]
    (tiny_workspace.root / record / name).write_text("{}")
    shown = Said("show", "Tiny/bm25", *more)
    assert name.split(".")[0] in shown.out + shown.err
    if name != "run.trec.gz" or more:  # the scores of a record stand without its run
        assert (shown.code, shown.out) == (1, "")


def test_a_record_answers_to_the_name_that_tables_print(tiny_workspace: Workspace) -> None:
    assert Said("run", "--model", "bm25", "--task", "Tiny", "--template", "titled").code == 0
    assert Said("show", "Tiny/bm25 (titled)").code == 0
    assert Said("show", "").code == 2
