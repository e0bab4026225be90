from __future__ import annotations

import json
from pathlib import Path

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
