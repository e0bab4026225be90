from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from dibs.workspace import Workspace

DOCUMENTS = {
    "apple-10k-p1": "Apple's net sales rose in fiscal 2022.",
    "apple-10k-p2": "Apple's gross margin was 43 percent.",
    "boeing-10k-p1": "Boeing delivered 480 airplanes.",
    "boeing-10k-p2": "Boeing's backlog grew to 404 billion dollars.",
    "boeing-10k-p3": "Boeing's backlog grew to 404 billion dollars.",
    "blank": "",
}
QUERIES = {
    "q1": ("What were Apple's net sales?", "apple", "metric", "yes"),
    "q2": ("What was the gross margin?", "apple", "metric", "no"),
    "q3": ("How many airplanes were delivered?", "boeing", "count", "yes"),
    "q4": ("How large is the backlog?", "boeing", "metric", "no"),
    "q5": ("Unrelated umbrella?", "corning", "count", "no"),
}
_QRELS = [
    ("q1", "apple-10k-p1", 1),
    ("q2", "apple-10k-p2", 1),
    ("q3", "boeing-10k-p1", 1),
    ("q4", "boeing-10k-p2", 1),
    ("q4", "boeing-10k-p3", 1),
    ("q5", "blank", 1),
]
_CARD = """
name = "Tiny"
description = "Six documents and five queries."
measures = ["recall@1", "recall@10", "mrr@10"]
cluster = "filing"
split_by = "kind"
licence = "apache-2.0"
citation = "none"

[source]
kind = "beir"
path = "tiny"

[documents]
template = "{text}"

[documents.variants]
titled = "{title}: {text}"

[subsets.checked]
field = "checked"
value = "yes"
"""


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c() -> None:
    """What tests start can be interrupted: a shell's background job hands down that Ctrl-C is ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """An empty workspace with a cache of its own, which commands find through the environment."""
    place = Workspace(tmp_path / "workspace", tmp_path / "cache")
    place.root.mkdir()
    monkeypatch.setenv("DIBS_WORKSPACE", str(place.root))
    monkeypatch.setenv("DIBS_CACHE", str(place.cache))
    return place


@pytest.fixture
def tiny_workspace(workspace: Workspace) -> Workspace:
    """A workspace with the task Tiny: three clusters, two documents of equal text, one empty, and a
    query (q5) that shares no word with any document."""
    folder = workspace.root / "tasks" / "tiny"
    (folder / "qrels").mkdir(parents=True)
    (folder.parent / "Tiny.toml").write_text(_CARD)
    corpus = ({"_id": name, "title": name, "text": text} for name, text in DOCUMENTS.items())
    queries = (
        {"_id": name, "text": text, "metadata": {"filing": filing, "kind": kind, "checked": checked}}
        for name, (text, filing, kind, checked) in QUERIES.items()
    )
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    rows = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in _QRELS)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(rows) + "\n")
    return workspace
