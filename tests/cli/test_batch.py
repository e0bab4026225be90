"""`--batch-api` and `--no-wait`, from the command line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import pytest

from dibs.workspace import Workspace
from tests.cli.test_cli import Said, add_card
from tests.conftest import DOCUMENTS, QUERIES
from tests.llm.batch_server import KEY, BatchServer, serving
from tests.rag.helpers import with_answers

TEXTS = {text for text in DOCUMENTS.values() if text}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchServer]:
    monkeypatch.setenv("DIBS_TEST_API_KEY", KEY)
    monkeypatch.setattr("dibs.llm.waiting.FIRST", 0.01)
    with serving() as api:
        yield api


@pytest.fixture
def place(tiny_workspace: Workspace, server: BatchServer) -> Workspace:
    url, key = f'base_url = "{server.url}"', 'key = "DIBS_TEST_API_KEY"'
    prices = ("usd_per_million_tokens = 2.0", "batch_discount = 0.5", 'tokenizer = "characters"')
    add_card(tiny_workspace, "models", "paid", 'adapter = "openai"', "dimension = 8", url, key, *prices)
    more = "usd_per_million_output_tokens = 4.0"
    add_card(tiny_workspace, "models/llm", "talker", 'adapter = "openai"', url, key, *prices, more)
    return tiny_workspace


def run(*words: str, code: int = 0) -> Said:
    said = Said("run", "--task", "Tiny", "--model", "paid", *words)
    assert said.code == code, said.err
    return said


def test_documents_are_handed_over_and_collected_by_the_same_command(
    place: Workspace, server: BatchServer
) -> None:
    server.slow = True
    said = run("--batch-api", "--no-wait")
    assert "1 in_progress; 0 of 4 requests done\n  The same command collects what is done." in said.err
    assert "error" not in said.err
    assert not place.results.exists()
    assert "1 in_progress" in run("--batch-api", "--no-wait").err
    server.slow = False
    run("--batch-api", "--no-wait")
    (manifest,) = place.results.rglob("manifest.json")
    kept = json.loads(manifest.read_text())
    assert "--batch-api" not in kept["command"]
    assert kept["cost"]["usd"] < kept["cost"]["billed_tokens"] * 2e-6
    assert server.paid == Counter(TEXTS)
    assert len(server.batches) == 1
    assert server.direct == Counter(text for text, *_ in QUERIES.values())


def test_a_wait_ends_with_the_table(place: Workspace, server: BatchServer) -> None:
    said = run("--batch-api", "--model", "bm25+paid")
    assert "bm25+paid" in said.out.replace("\n", "")
    assert server.paid == Counter(TEXTS)


def test_what_has_no_batches_is_refused(place: Workspace, server: BatchServer) -> None:
    said = Said("run", "--task", "Tiny", "--model", "bm25", "--batch-api")
    assert said.code == 2
    assert "bm25: has no batch interface\n  Run it without --batch-api." in said.err
    assert "--no-wait is for --batch-api" in run("--no-wait", code=2).err
    said = Said("synthesize", "--task", "Tiny", "--batch-api")
    assert said.code == 2
    assert "the generator structure asks none" in said.err


def test_one_that_waits_does_not_hide_one_that_fails(place: Workspace, server: BatchServer) -> None:
    server.slow = True
    said = run("--batch-api", "--no-wait", "--model", "nobody", code=2)
    assert "error: no " in said.err
    assert "1 in_progress" in said.err


def test_a_dry_run_has_both_prices(place: Workspace) -> None:
    rows = {row["step"]: row for row in run("--dry-run", "--json").json}
    assert rows["documents"]["batch_usd"] == pytest.approx(rows["documents"]["usd"] / 2)
    assert rows["queries"]["batch_usd"] == pytest.approx(rows["queries"]["usd"])
    assert "With --batch-api 0.00 USD" in run("--dry-run").out


def test_arms_are_answered_together_and_judged_together(place: Workspace, server: BatchServer) -> None:
    with_answers(place)
    assert Said("run", "--task", "Tiny", "--model", "bm25").code == 0
    words = ("rag", "--retrieval", "Tiny/bm25", "--generator", "talker", "--controls", "--judge", "rules")
    dry = Said(*words, "--dry-run", "--json")
    assert all(row["batch_usd"] == pytest.approx(row["usd"] / 2) for row in dry.json)
    server.slow = True
    said = Said(*words, "--batch-api", "--no-wait")
    assert (said.code, len(server.batches)) == (0, 4), said.err
    assert "4 in_progress" in said.err
    server.slow = False
    said = Said(*words, "--batch-api", "--json")
    assert said.code == 0, said.err
    assert len(said.json) == 4
    assert set(server.paid.values()) == {1}
    assert not server.direct
    cost = said.json[0]["cost"]
    full = (cost["prompt_tokens"] * 2 + cost["completion_tokens"] * 4) / 1e6
    assert cost["usd"] == pytest.approx(full / 2)
    refused = Said(*words, "--batch-api", "--engine", "ray")
    assert refused.code == 2
    assert "--batch-api and --engine do not go together" in refused.err


def test_an_llm_judge_asks_by_batch_too(place: Workspace, server: BatchServer) -> None:
    with_answers(place)
    assert Said("run", "--task", "Tiny", "--model", "bm25").code == 0
    said = Said(
        "rag",
        "--retrieval",
        "Tiny/bm25",
        "--generator",
        "talker",
        "--judge",
        "talker",
        "--batch-api",
        "--json",
    )
    assert said.code == 0, said.err
    assert not server.direct
    assert len(server.batches) == 3, "answers, verdicts, and the verdicts that could not be read once more"
