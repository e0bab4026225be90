from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dibs import resolve
from dibs.retrieval.rerankers.base import Pair, Reranker, ScoredPairs
from dibs.workspace import Workspace
from tests.cli.test_cli import Said, add_card

SERVED: list[Pair] = []
"""Every pair that the reranker of these tests scored."""
BROKEN: set[str] = set()
"""Queries that it fails on."""


class LastFirst(Reranker):
    """Turns the candidates round."""

    name = "last-first"

    def __init__(self) -> None:
        self._failures: list[str] = []

    def settings(self) -> dict[str, Any]:
        return {"adapter": "last-first"}

    def stream(self, pairs: Sequence[Pair]) -> Iterator[ScoredPairs]:
        self._failures = [f"no answer for {query}" for query in BROKEN]
        places = np.array(
            [place for place, pair in enumerate(pairs) if pair.query not in BROKEN], dtype=np.int64
        )
        SERVED.extend(pairs[place] for place in places)
        if len(places):
            yield ScoredPairs(places, places.astype(np.float32))

    @property
    def failures(self) -> list[str]:
        return self._failures


@pytest.fixture
def place(tiny_workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    add_card(tiny_workspace, "rerankers", "last-first", 'adapter = "last-first"')
    monkeypatch.setattr(resolve, "make_reranker", lambda card, context: LastFirst())
    SERVED.clear()
    BROKEN.clear()
    return tiny_workspace


def rerank(*words: str) -> Said:
    said = Said("run", "--model", "bm25", "--task", "Tiny", "--reranker", "last-first", "--json", *words)
    assert said.code == 0, said.err
    return said


def pipelines(said: Said) -> list[str]:
    return [row["pipeline"] for row in said.json if row["subset"] == "all"]


def manifest(place: Workspace, said: Said) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((place.root / said.json[-1]["record"] / "manifest.json").read_text())
    return found


def ranked(place: Workspace, said: Said, query: str) -> list[str]:
    import gzip

    run = Path(place.root / said.json[-1]["record"] / "run.trec.gz")
    lines = gzip.decompress(run.read_bytes()).decode().splitlines()
    return [line.split()[2] for line in lines if line.split()[0] == query]


def test_the_first_stage_is_always_shown(place: Workspace) -> None:
    assert pipelines(rerank()) == ["bm25", "bm25 > last-first (30)"]


def test_the_candidates_are_in_the_rerankers_order(place: Workspace) -> None:
    before = ranked(place, Said("run", "--model", "bm25", "--task", "Tiny", "--json"), "q1")
    assert ranked(place, rerank(), "q1") == before[::-1]
    assert ranked(place, rerank("--top-k", "1"), "q1") == before[-1:]


def test_a_curve_over_candidates_scores_each_pair_once(place: Workspace) -> None:
    said = rerank("--candidates", "1,2,30")
    assert pipelines(said) == ["bm25", *(f"bm25 > last-first ({count})" for count in (30, 2, 1))]
    assert len(SERVED) == len(set(SERVED))


def test_what_happened_to_the_gold_is_recorded_and_told(place: Workspace) -> None:
    gold = manifest(place, rerank())["about"]["gold"]
    assert gold["missing from the candidates"] == {"documents": 1, "queries": ["q5"]}
    told = Said("run", "--model", "bm25", "--task", "Tiny", "--reranker", "last-first")
    assert "1 gold documents missing from the candidates (q5)" in " ".join(told.out.split())


def test_gold_pages_are_not_looked_for_among_chunks(place: Workspace, tmp_path: Path) -> None:
    folder, asked = tmp_path / "texts", tmp_path / "asked.csv"
    folder.mkdir()
    (folder / "apple.txt").write_text("Net sales rose by eight percent in the year to September.")
    asked.write_text("query,gold\nHow did net sales develop?,apple.txt\n")
    words = ("--documents", str(folder), "--queries", str(asked), "--chunk-tokens", "4")
    assert Said("task", "new", "Own", *words).code == 0
    said = Said("run", "--model", "bm25", "--task", "Own", "--reranker", "last-first", "--json")
    assert said.code == 0, said.err
    assert said.json[-1]["measures"]["recall@10"]["value"] == 1.0
    assert "gold" not in manifest(place, said)["about"]


def test_a_failed_query_keeps_its_order_and_is_retried_alone(place: Workspace) -> None:
    plain = ranked(place, Said("run", "--model", "bm25", "--task", "Tiny", "--json"), "q1")
    BROKEN.add("What were Apple's net sales?")
    said = rerank()
    assert manifest(place, said)["about"]["failed"] == ["q1"]
    assert manifest(place, said)["about"]["reasons"] == ["no answer for What were Apple's net sales?"]
    assert ranked(place, said, "q1") == plain
    BROKEN.clear()
    SERVED.clear()
    rerank()
    assert SERVED == []  # recorded, failure and all, until it is asked for
    again = rerank("--retry-errors")
    assert {pair.query for pair in SERVED} == {"What were Apple's net sales?"}
    assert manifest(place, again)["about"]["failed"] == []
    assert ranked(place, again, "q1") == plain[::-1]


def test_the_command_is_in_the_record(place: Workspace) -> None:
    words = "--model bm25 --task Tiny --reranker last-first --candidates 2"
    assert manifest(place, rerank("--candidates", "2"))["command"] == f"dibs run {words}"


@pytest.mark.parametrize(
    ("words", "message"), [("ten", "not whole numbers"), ("0", "leave nothing to rerank")]
)
def test_candidates_that_are_none_are_refused(place: Workspace, words: str, message: str) -> None:
    said = Said("run", "-m", "bm25", "-t", "Tiny", "--reranker", "last-first", "--candidates", words)
    assert said.code == 2
    assert message in said.err


def test_an_unknown_reranker_is_refused_with_the_nearest(place: Workspace) -> None:
    said = Said("run", "-m", "bm25", "-t", "Tiny", "--reranker", "last-frist")
    assert said.code == 2
    assert "no reranker is called 'last-frist'\n  Did you mean last-first?" in said.err


def test_rerankers_are_listed_with_what_they_lack(place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOYAGE_API_KEY", raising=False)
    rows = {row["reranker"]: row for row in Said("rerankers", "--json").json}
    assert rows["last-first"]["ready"]
    assert rows["rerank-2.5"]["get"] == "set VOYAGE_API_KEY"
    assert rows["bge-reranker-base"]["max_tokens"] == 512


def test_more_candidates_than_a_run_holds_are_refused(place: Workspace) -> None:
    said = Said("run", "-m", "bm25", "-t", "Tiny", "--reranker", "last-first", "--candidates", "101")
    assert said.code == 2
    assert "101 candidates are more than the 100 documents of a run" in said.err


def test_a_cut_list_is_another_pipeline(place: Workspace) -> None:
    assert pipelines(rerank("--top-k", "1"))[-1] == "bm25 > last-first (30, top 1)"


def test_options_of_a_reranker_without_one_are_refused(place: Workspace) -> None:
    for option in (("--top-k", "3"), ("--candidates", "20"), ("--retry-errors",)):
        said = Said("run", "-m", "bm25", "-t", "Tiny", *option)
        assert said.code == 2
        assert f"{option[0]} is for rerankers" in said.err
