from __future__ import annotations

import random
from math import log2

import ir_measures
import numpy as np
import pytest
import pytrec_eval
from ir_measures import AP, RR, P, R, Success, nDCG

from dibs.data.dataset import Qrels
from dibs.errors import InputError
from dibs.retrieval.run import Run
from dibs.scoring.measures import KINDS, Measure, parse_measures, score

# q1 has three relevant documents, found at ranks 2 and 3; q2 found nothing; q3 has grades.
QRELS: Qrels = {
    "q1": {"a": 1, "b": 1, "c": 1, "z": 0},
    "q2": {"x": 1},
    "q3": {"m": 2, "n": 1},
}
RUN = Run.of(
    {"q1": {"z": 0.9, "a": 0.8, "b": 0.7, "y": 0.6}, "q3": {"n": 3.0, "m": 2.0, "o": 1.0}}, list(QRELS)
)


def values(measure: str, run: Run = RUN, qrels: Qrels = QRELS) -> list[float]:
    parsed = Measure.parse(measure)
    return [float(value) for value in score(run, qrels, [parsed])[parsed]]


@pytest.mark.parametrize("text", [f"{kind}@{k}" for kind in KINDS for k in (1, 10, 1000)])
def test_a_measure_prints_as_it_reads(text: str) -> None:
    assert str(Measure.parse(text)) == text


def test_letter_case_and_blanks_around_do_not_matter() -> None:
    assert Measure.parse(" nDCG@10 ") == Measure("ndcg", 10)


def test_measures_are_values() -> None:
    assert Measure.parse("recall@10") == Measure("recall", 10)
    assert len({Measure.parse("recall@10"), Measure.parse("recall@10")}) == 1
    assert parse_measures(["mrr@10", "recall@5", "MRR@10"]) == [Measure("mrr", 10), Measure("recall", 5)]


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("recal@10", "Did you mean recall?"),
        ("ncdg@10", "Did you mean ndcg?"),
        ("bleu@4", "Known: map, mrr, ndcg, precision, recall, success."),
    ],
)
def test_an_unknown_name_is_told_the_nearest(text: str, advice: str) -> None:
    with pytest.raises(InputError, match=f"no measure is called '{text.partition('@')[0]}'") as caught:
        Measure.parse(text)
    assert caught.value.todo == advice


@pytest.mark.parametrize(
    "text",
    ["", "recall", "recall@", "recall@0", "recall@-1", "recall@1.5", "recall@010", "@10", "recall@ 10"],
)
def test_what_has_not_the_form_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a measure\n  Write it as recall@10"):
        Measure.parse(text)


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        ("recall@1", [0, 0, 1 / 2]),
        ("recall@2", [1 / 3, 0, 1]),
        ("recall@3", [2 / 3, 0, 1]),
        ("recall@10", [2 / 3, 0, 1]),
        ("success@1", [0, 0, 1]),
        ("success@2", [1, 0, 1]),
        ("precision@2", [1 / 2, 0, 1]),
        ("precision@10", [2 / 10, 0, 2 / 10]),
        ("map@1", [0, 0, 1 / 2]),
        ("map@10", [(1 / 2 + 2 / 3) / 3, 0, 1]),
        ("mrr@1", [0, 0, 1]),
        ("mrr@10", [1 / 2, 0, 1]),
        ("ndcg@1", [0, 0, 1 / 2]),
        (
            "ndcg@10",
            [(1 / log2(3) + 1 / 2) / (1 + 1 / log2(3) + 1 / 2), 0, (1 + 2 / log2(3)) / (2 + 1 / log2(3))],
        ),
    ],
)
def test_values_made_by_hand(measure: str, expected: list[float]) -> None:
    assert values(measure) == pytest.approx(expected, abs=1e-12)


def test_recall_is_a_share_and_success_is_any() -> None:
    assert values("recall@2")[0] == pytest.approx(1 / 3)
    assert values("success@2")[0] == 1


def test_ndcg_has_linear_gains() -> None:
    exponential = (1 + 3 / log2(3)) / (3 + 1 / log2(3))
    assert values("ndcg@10")[2] != pytest.approx(exponential, abs=0.01)


def test_mrr_looks_no_deeper_than_its_cut() -> None:
    scores = {f"d{place:02}": float(-place) for place in range(1, 13)}
    run, qrels = Run.of({"q": scores}, ["q"]), {"q": {"d11": 1}}
    assert values("mrr@10", run, qrels) == [0]
    assert values("mrr@11", run, qrels) == [1 / 11]


def test_a_query_without_results_counts_0_in_its_place() -> None:
    found = score(RUN, QRELS, [Measure.parse(f"{kind}@10") for kind in KINDS])
    assert all(column.shape == (3,) and column[1] == 0 for column in found.values())
    nothing = score(Run.of({}, list(QRELS)), QRELS, parse_measures(["recall@10", "mrr@10"]))
    assert all(column.tolist() == [0, 0, 0] for column in nothing.values())


def test_a_query_that_the_run_does_not_even_name_counts_0() -> None:
    assert values("recall@10", Run.of({"q3": {"m": 1.0}}, ["q3"])) == [0, 0, 1 / 2]


def test_a_query_that_has_nothing_relevant_counts_0() -> None:
    assert values("recall@10", Run.of({"q": {"a": 1.0}}, ["q"]), {"q": {"a": 0}}) == [0]


def test_values_stand_in_the_order_of_the_qrels_whatever_the_order_of_the_run() -> None:
    turned = Run(dict(reversed(RUN.rankings.items())))
    assert values("mrr@10", turned) == values("mrr@10")


def test_queries_nobody_judged_are_refused() -> None:
    run = Run.of({"q9": {"a": 1.0}, "q8": {}}, ["q8", "q9"])
    with pytest.raises(InputError, match=r"2 queries that nobody judged, such as 'q8'"):
        score(run, QRELS, [Measure.parse("recall@10")])


def test_no_measures_give_no_values() -> None:
    assert score(RUN, QRELS, []) == {}


def test_mteb_names() -> None:
    names = [Measure.parse(f"{kind}@10").mteb_name for kind in KINDS]
    assert names == [
        "recall_at_10",
        "hit_rate_at_10",
        "precision_at_10",
        "ndcg_at_10",
        "map_at_10",
        "mrr_at_10",
    ]


# 1 and 1 + 1e-9 are one float32, and so are 1e-50 and 0; ids differ in case, length and alphabet.
TIED_SCORES = [0.0, -0.0, 1e-50, 0.5, 1.0, 1.0 + 1e-9, 1.0 - 1e-9, -2.0]
IDS = ["d1", "d10", "d2", "D2", "d", "é", "ü1", "zz", "Z", "日本", "日", "😀", "\uffff", "_", "~"]


def tied_run(seed: int) -> dict[str, float]:
    chance = random.Random(seed)
    return {name: chance.choice(TIED_SCORES) for name in chance.sample(IDS, chance.randint(1, len(IDS)))}


@pytest.mark.parametrize("seed", range(25))
def test_the_ranking_order_is_that_of_pytrec_eval_on_runs_full_of_ties(seed: int) -> None:
    scores = tied_run(seed)
    # With one relevant document alone, the reciprocal rank tells where pytrec_eval put it.
    ranks = {}
    for name in scores:
        found = pytrec_eval.RelevanceEvaluator({"q": {name: 1}}, {"recip_rank"}).evaluate({"q": scores})
        ranks[name] = round(1 / found["q"]["recip_rank"])
    ours = Run.of({"q": scores}, ["q"]).rankings["q"]
    assert ours.documents == sorted(ranks, key=ranks.__getitem__)


@pytest.mark.parametrize("seed", range(25))
def test_cuts_among_ties_score_as_the_order_says(seed: int) -> None:
    run = Run.of({"q": tied_run(seed)}, ["q"])
    ranked = run.rankings["q"].documents
    relevant = ranked[len(ranked) // 2]
    place = ranked.index(relevant) + 1
    for k in range(1, len(ranked) + 1):
        assert values(f"recall@{k}", run, {"q": {relevant: 1}}) == [1.0 if place <= k else 0.0]
        assert values(f"mrr@{k}", run, {"q": {relevant: 1}}) == [1 / place if place <= k else 0.0]


def graded(chance: random.Random) -> Qrels:
    return {
        f"q{n}": {name: chance.choice([0, 1, 1, 2]) for name in chance.sample(IDS, 6)} | {"gold": 1}
        for n in range(40)
    }


def test_ir_measures_gives_the_same_values_on_runs_full_of_ties() -> None:
    qrels = graded(random.Random(7))
    run = Run.of({query: tied_run(n) for n, query in enumerate(qrels) if n % 9}, list(qrels))
    assert_ir_measures_agrees(
        run,
        qrels,
        {
            "recall@3": R @ 3,
            "recall@10": R @ 10,
            "success@3": Success @ 3,
            "precision@5": P @ 5,
            "ndcg@5": nDCG @ 5,
            "ndcg@10": nDCG @ 10,
            "map@10": AP @ 10,
            "mrr@1000": RR,
        },
    )


def test_ir_measures_gives_the_same_cut_mrr_where_nothing_ties() -> None:
    # Cut, its reciprocal rank comes from another provider, which settles ties by chance.
    chance = random.Random(8)
    qrels = graded(chance)
    scores = {query: {name: chance.random() for name in chance.sample(IDS, 9)} for query in qrels}
    assert_ir_measures_agrees(
        Run.of(scores, list(qrels)), qrels, {"mrr@1": RR @ 1, "mrr@3": RR @ 3, "mrr@10": RR @ 10}
    )


def assert_ir_measures_agrees(run: Run, qrels: Qrels, pairs: dict[str, ir_measures.Measure]) -> None:
    rows = ir_measures.iter_calc(list(pairs.values()), qrels, run.scores())
    theirs = {(row.query_id, row.measure): row.value for row in rows}
    for measure, column in score(run, qrels, parse_measures(pairs)).items():
        expected = [theirs[query, pairs[str(measure)]] for query in qrels]
        np.testing.assert_allclose(column, expected, atol=1e-12, err_msg=str(measure))
