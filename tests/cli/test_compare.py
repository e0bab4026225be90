"""`dibs compare`: paired, on equal data only, down to the queries."""

from __future__ import annotations

import json

import pytest

from dibs.workspace import Workspace
from tests.cli.test_cli import Said, run


def ranked(place: Workspace, name: str, **gold: int) -> None:
    """A record in which the gold of each query stands at that rank; others have none."""
    right = {"q1": "apple-10k-p1", "q2": "apple-10k-p2", "q3": "boeing-10k-p1", "q5": "blank"}
    lines = []
    for query, rank in gold.items():
        fillers = [
            f for f in ("boeing-10k-p2", "boeing-10k-p3", "apple-10k-p1", "blank") if f != right[query]
        ]
        documents = [*fillers[: rank - 1], right[query]]
        lines += [f"{query} Q0 {doc} 0 {10 - place} x\n" for place, doc in enumerate(documents)]
    path = place.root / f"{name}.run"
    path.write_text("".join(lines))
    said = Said("import", str(path), "--task", "Tiny")
    assert said.code == 0, said.err


pytestmark = pytest.mark.filterwarnings("ignore:.*queries are not in the run")


@pytest.fixture
def place(tiny_workspace: Workspace) -> Workspace:
    card = tiny_workspace.root / "tasks" / "Tiny.toml"
    card.write_text(card.read_text().replace("licence", 'main_measure = "mrr@10"\nlicence', 1))
    ranked(tiny_workspace, "first", q1=1, q2=3, q3=2)
    ranked(tiny_workspace, "second", q1=2, q2=1, q3=2, q5=1)
    return tiny_workspace


def test_each_measure_is_compared_query_by_query(place: Workspace) -> None:
    found = Said("compare", "first", "second", "--task", "Tiny", "--json").json["measures"]
    assert list(found) == ["mrr@10", "recall@1", "recall@10"], "the main measure comes first"
    main = found["mrr@10"]
    assert main["first"] == pytest.approx((1 + 1 / 3 + 1 / 2) / 5)
    assert main["second"] == pytest.approx((1 / 2 + 1 + 1 / 2 + 1) / 5)
    assert main["difference"]["value"] == pytest.approx(main["second"] - main["first"])
    assert (main["won"], main["lost"], main["tied"]) == (2, 1, 2)
    assert 0 < main["p"] <= 1


def test_the_other_way_round_is_the_same_with_its_sign_turned(place: Workspace) -> None:
    one, other = (
        Said("compare", a, b, "--task", "Tiny", "--json").json["measures"]["mrr@10"]
        for a, b in (("first", "second"), ("second", "first"))
    )
    assert other["difference"]["value"] == pytest.approx(-one["difference"]["value"])
    assert other["difference"]["low"] == pytest.approx(-one["difference"]["high"])
    assert (other["won"], other["lost"], other["p"]) == (one["lost"], one["won"], one["p"])


def test_the_queries_that_moved_most_come_first_with_their_gold(place: Workspace) -> None:
    moved = Said("compare", "first", "second", "--task", "Tiny", "--json").json["moved"]
    assert [one["query_id"] for one in moved] == ["q5", "q2", "q1"]
    assert moved[0]["text"] == "Unrelated umbrella?"
    assert [(one["first_rank"], one["second_rank"]) for one in moved] == [(None, 1), (3, 1), (1, 2)]


def test_the_terminal_says_what_the_numbers_say(place: Workspace) -> None:
    said = Said("compare", "first", "second", "--task", "Tiny", "--queries", "1")
    assert "The data do not tell which is better by mrr@10." in said.out
    assert "Unrelated umbrella?" in said.out
    assert "What were Apple's net sales?" not in said.out
    assert "pipeline.sha256" in said.out, "what differs between them"


def test_settings_of_one_alone_are_counted(place: Workspace) -> None:
    assert run().code == 0
    said = Said("compare", "first", "bm25", "--task", "Tiny")
    assert "settings are of one of them alone" in said.out
    assert "pipeline.retriever" in said.out


def test_records_of_other_data_are_refused_and_it_is_said_what_differs(place: Workspace) -> None:
    corpus = place.root / "tasks" / "tiny" / "corpus.jsonl"
    corpus.write_text(corpus.read_text() + json.dumps({"_id": "new", "title": "", "text": "new"}) + "\n")
    assert run().code == 0
    said = Said("compare", "first", "bm25", "--task", "Tiny")
    assert said.code == 2
    assert "other data: data " in said.err
    assert "documents 6 and 7" in said.err


def test_records_of_other_tasks_or_one_record_are_refused(place: Workspace) -> None:
    said = Said("compare", "Tiny/first", "Tiny/first")
    assert (said.code, "both are the same record" in said.err) == (2, True)
    assert Said("compare", "Tiny/first", "Tiny/third").code == 2
    card = place.root / "tasks" / "Other.toml"
    card.write_text((place.root / "tasks" / "Tiny.toml").read_text().replace('"Tiny"', '"Other"'))
    assert run(task="Other").code == 0
    said = Said("compare", "Tiny/first", "Other/bm25")
    assert "they are of two tasks: Tiny and Other" in said.err


@pytest.mark.filterwarnings("always:texts and gold ranks")
def test_scores_are_compared_where_the_data_is_not(place: Workspace) -> None:
    import shutil

    shutil.rmtree(place.data)
    said = Said("compare", "first", "second", "--task", "Tiny", "--json")
    assert "texts and gold ranks are left out: Tiny" in said.err
    found = said.json
    assert found["measures"]["mrr@10"]["won"] == 2
    assert {(one["text"], one["first_rank"]) for one in found["moved"]} == {("", None)}


def test_an_edited_record_is_refused(place: Workspace) -> None:
    (queries,) = place.results.glob("Tiny/first/*/queries.parquet")
    queries.write_bytes(queries.read_bytes()[:-1] + b"x")
    said = Said("compare", "first", "second", "--task", "Tiny")
    assert said.code == 1
    assert "queries.parquet is not as it was written" in said.err
