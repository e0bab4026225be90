"""`dibs run --dry-run`: what would be encoded, sent and paid."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from dibs.records import RUN, all_records
from dibs.retrieval.run import read_run
from dibs.workspace import Workspace
from tests.cli.test_cli import Said, add_card
from tests.conftest import DOCUMENTS, QUERIES
from tests.retrieval.rerankers.models import bi_encoder

PAID = """
adapter = "openai"
dimension = 8
tokenizer = "characters"
usd_per_million_tokens = 2.0
key = "DIBS_TEST_API_KEY"
query_prompt = "query: "
"""
RERANKER = """
adapter = "endpoint"
base_url = "http://127.0.0.1:9"
usd_per_million_tokens = 1.0
"""


@pytest.fixture
def place(tiny_workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv("DIBS_TEST_API_KEY", raising=False)
    add_card(tiny_workspace, "models", "paid", PAID)
    add_card(tiny_workspace, "rerankers", "served", RERANKER)
    return tiny_workspace


def dry(*words: str) -> Said:
    said = Said("run", "--task", "Tiny", "--dry-run", "--json", *words)
    assert said.code == 0, said.err
    return said


def tokens(text: str) -> int:
    return math.ceil(len(text) / 4)


def steps(said: Said) -> dict[str, dict[str, object]]:
    return {f"{row['pipeline']}: {row['step']}": row for row in said.json}


def test_an_api_model_is_counted_and_priced_without_its_key(place: Workspace) -> None:
    said = steps(dry("--model", "paid"))
    documents = {text for text in DOCUMENTS.values() if text}
    expected = sum(map(tokens, documents))
    found = said["paid: documents"]
    assert (found["total"], found["to_do"]) == (6, 5), "two documents are equal"
    assert found["tokens"] == expected
    assert found["usd"] == pytest.approx(expected * 2e-6)
    queries = sum(tokens("query: " + text) for text, *_ in QUERIES.values())
    assert said["paid: queries"]["tokens"] == queries


def test_nothing_is_written(place: Workspace) -> None:
    dry("--model", "paid", "--model", "bm25", "--reranker", "served")
    assert not place.results.exists()
    assert not place.vectors.exists()
    assert not (place.cache / "scores").exists()


def test_candidates_are_those_of_the_first_stages_record(place: Workspace) -> None:
    assert Said("run", "--task", "Tiny", "--model", "bm25").code == 0
    said = steps(dry("--model", "bm25", "--reranker", "served", "--candidates", "1"))
    assert said["bm25: recorded"]["to_do"] == 0
    found = said["bm25 > served (1): pairs"]
    best = {
        "q1": "apple-10k-p1",
        "q2": "apple-10k-p2",
        "q3": "boeing-10k-p1",
        "q4": "boeing-10k-p3",
    }
    assert found["to_do"] == len(best), "q5 shares no word with any document"
    expected = sum(tokens(QUERIES[query][0]) + tokens(DOCUMENTS[name]) for query, name in best.items())
    assert found["tokens"] == expected
    assert found["note"] == ""


def test_candidates_that_are_not_known_are_guessed_and_it_is_said(place: Workspace) -> None:
    found = steps(dry("--model", "bm25", "--reranker", "served", "--candidates", "3"))[
        "bm25 > served (3): pairs"
    ]
    assert found["to_do"] == 5 * 3
    assert "not known" in str(found["note"])
    longest = max(map(tokens, DOCUMENTS.values())) + max(tokens(text) for text, *_ in QUERIES.values())
    count = found["tokens"]
    assert isinstance(count, int)
    assert 0 < count < 15 * longest


def test_what_runs_here_costs_nothing(place: Workspace) -> None:
    said = Said("run", "--task", "Tiny", "--model", "bm25", "--dry-run")
    assert said.code == 0
    assert "Nothing is sent to a provider." in said.out


def test_the_sums_name_what_has_no_price(place: Workspace) -> None:
    add_card(place, "models", "unpriced", PAID.replace("usd_per_million_tokens = 2.0", ""))
    said = Said("run", "--task", "Tiny", "--model", "paid", "--model", "unpriced", "--dry-run")
    assert "no price" in said.out
    assert "and what has no price on its card" in said.out


def test_a_tokenizer_that_cannot_be_had_is_no_hindrance(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dibs.encoders import api
    from dibs.errors import MissingError

    def away(name: str | None) -> None:
        raise MissingError(f"the tokenizer {name!r} is not here")

    monkeypatch.setattr(api, "make_tokenizer", away)
    assert steps(dry("--model", "paid"))["paid: documents"]["tokens"]


def test_the_time_of_late_interaction_goes_with_documents_not_pairs(place: Workspace, tmp_path: Path) -> None:
    model = bi_encoder(tmp_path / "model", 32)
    add_card(place, "models", "dense", f'adapter = "sentence-transformers"\nmodel = "{model}"\n')
    add_card(place, "rerankers", "late", f'adapter = "late-interaction"\nmodel = "{model}"\n')
    words = ("--model", "dense", "--reranker", "late", "--candidates")
    assert Said("run", "--task", "Tiny", *words, "1").code == 0
    records = {record.pipeline: record for record in all_records(place.results)}
    done = records["dense > late (1)"].manifest
    run = read_run(records["dense"].folder / RUN, list(QUERIES))
    left = {DOCUMENTS[name] for ranking in run.rankings.values() for name in ranking.documents[1:4]}
    found = steps(dry(*words, "4"))["dense > late (4): pairs"]
    assert len(left) < int(str(found["to_do"]))
    assert found["seconds"] == pytest.approx(
        done["cost"]["search"] / done["about"]["documents_scored"] * len(left)
    )
