from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dibs.rag.correct import Labelled
from dibs.rag.diagnose import Diagnosis, diagnose
from dibs.rag.diagnose_gold import GoldPlaces
from dibs.rag.diagnose_levers import NONE, OPEN, Size
from dibs.rag.diagnose_records import Sheet
from dibs.scoring.statistics import Estimate

PLACES = ("context", "next", "later", "absent")


def sheet(questions: int = 200, clusters: int | None = None, **correct: Sequence[float]) -> Sheet:
    """A sheet of arms; `retrieved=[1, 0]` gives the first half of the questions 1, and the second 0."""
    labels = None if clusters is None else [f"c{place % clusters}" for place in range(questions)]
    return Sheet(
        queries=[f"q{place}" for place in range(questions)],
        clusters=labels,
        correct={name.replace("_", "-"): spread(values, questions) for name, values in correct.items()},
        passages=[["d"] * 10] * questions,
        unscored=0,
        disputed=0,
    )


def spread(values: Sequence[float], questions: int) -> np.ndarray:
    return np.repeat(np.array(values, dtype=float), questions // len(values))


def gold(
    questions: int = 200, other: Mapping[str, Sequence[float]] | None = None, **shares: Sequence[float]
) -> GoldPlaces:
    """Where gold stood, as `sheet` takes values; what is not named is 0."""
    placed = {name: spread(shares.get(name, [0]), questions) for name in PLACES}
    others = {name: spread(values, questions) for name, values in (other or {}).items()}
    return GoldPlaces(**placed, other=others, recorded={}, depth=100)


def names(found: Diagnosis) -> list[str]:
    return [lever.name for lever in found.levers]


def test_shares_sum_to_what_was_lost() -> None:
    found = diagnose(sheet(retrieved=[1, 1, 0, 0, 0], oracle=[1, 0, 1, 1, 0]), None, None)
    assert found.lost.value == pytest.approx(0.6)
    assert found.retrieval.value == pytest.approx(0.2)
    assert found.reading.value == pytest.approx(0.4)
    assert (found.judging, found.corrected, found.places) == (None, {}, {})
    assert found.uncorrected_because == "the judge's error was not measured"


def test_the_parts_of_retrieval_sum_to_the_whole() -> None:
    places = gold(
        context=[0.5, 0, 0, 0, 0], next=[0.5, 1, 0, 0, 0], later=[0, 0, 1, 0, 0.5], absent=[0, 0, 0, 1, 0.5]
    )
    found = diagnose(sheet(retrieved=[0, 1, 0, 0, 0], oracle=[1, 0, 1, 1, 0]), places, None)
    assert {name: round(points.value, 6) for name, points in found.places.items()} == {
        "context": 0.1, "next": -0.1, "later": 0.2, "absent": 0.2
    }  # fmt: skip
    assert sum(points.value for points in found.places.values()) == pytest.approx(found.retrieval.value)


def test_the_interval_is_paired() -> None:
    """The arms differ on the same tenth of the questions, whatever a resample holds besides."""
    alike = diagnose(
        sheet(retrieved=[1, 1, 1, 1, 0, 0, 0, 0, 0, 0], oracle=[1, 1, 1, 1, 1, 0, 0, 0, 0, 0]), None, None
    )
    low, high = alike.retrieval.low, alike.retrieval.high
    assert low is not None
    assert high is not None
    assert 0.05 < low < 0.1 < high < 0.15


@pytest.mark.parametrize(
    ("places", "levers"),
    [
        (gold(next=[0, 1, 1, 1], context=[1, 0, 0, 0]), ["more context", "reranker"]),
        (gold(later=[0, 1, 1, 1], context=[1, 0, 0, 0]), ["reranker"]),
        (gold(absent=[0, 1, 1, 1], context=[1, 0, 0, 0]), ["embedding"]),
        (gold(absent=[0, 1, 1, 1], context=[1, 0, 0, 0], other={"bm25": [0, 1, 1, 1]}), ["hybrid"]),
        (
            gold(absent=[0, 1, 1, 1], context=[1, 0, 0, 0], other={"bm25": [0, 0, 1, 0]}),
            ["embedding", "hybrid"],
        ),
        (gold(absent=[0, 1, 1, 1], context=[1, 0, 0, 0], other={"bm25": [0] * 4}), ["embedding"]),
        (gold(context=[1, 1, 1, 1]), ["generator"]),
        (gold(later=[0, 1, 0, 0], absent=[0, 0, 1, 1], context=[1, 0, 0, 0]), ["embedding", "reranker"]),
        (None, ["retrieval"]),
    ],
    ids=["next", "later", "absent", "union", "half", "no union", "distracted", "both", "no data"],
)
def test_what_is_lost_in_retrieval_has_the_lever_of_its_place(
    places: GoldPlaces | None, levers: list[str]
) -> None:
    found = diagnose(sheet(retrieved=[1, 0, 0, 0], oracle=[1, 1, 1, 1]), places, None)
    assert names(found) == levers
    assert found.verdict == ", ".join(levers)
    assert found.levers[0].points.value >= found.levers[-1].points.value


def test_what_is_lost_with_the_gold_at_hand_has_the_generator_as_lever() -> None:
    found = diagnose(sheet(retrieved=[1, 1, 0, 0], oracle=[1, 1, 0, 0]), gold(context=[1, 1, 1, 1]), None)
    assert names(found) == ["generator"]
    assert found.levers[0].points.value == pytest.approx(0.5)


def test_every_lost_answer_belongs_to_one_lever() -> None:
    """The second question is lost with the gold among other passages, the third with it alone."""
    places = gold(context=[1, 1, 1, 0], absent=[0, 0, 0, 1])
    found = diagnose(sheet(retrieved=[1, 0, 0, 0], oracle=[1, 1, 0, 1]), places, None)
    assert {lever.name: lever.points.value for lever in found.levers} == {"generator": 0.5, "embedding": 0.25}
    assert {name: share.value for name, share in found.gold.items()} == {
        "context": 0.75, "next": 0, "later": 0, "absent": 0.25
    }  # fmt: skip


def test_other_pipelines_are_told_by_what_they_could_bring_back() -> None:
    places = replace(
        gold(context=[1, 0, 0, 0], absent=[0, 1, 1, 1]),
        recorded={"worse": spread([0, 0, 0, 0], 200), "better": spread([1, 0.5, 0.5, 0], 200)},
    )
    found = diagnose(sheet(retrieved=[1, 0, 0, 0], oracle=[1, 1, 1, 0]), places, None)
    assert {name: points.value for name, points in found.recorded.items()} == {"better": 0.25, "worse": 0}
    assert list(found.recorded) == ["better", "worse"]


def test_where_nothing_worth_is_lost_there_is_no_lever() -> None:
    good = [1.0] * 99 + [0.0]
    found = diagnose(sheet(1000, retrieved=good, oracle=good), gold(1000, context=[1]), None)
    assert (found.levers, found.verdict, found.notes) == ((), NONE, ())


def test_few_questions_decide_nothing_and_it_says_how_many_would() -> None:
    few = sheet(20, retrieved=[1] * 9 + [0], oracle=[1])
    found = diagnose(few, gold(20, later=[0] * 9 + [1], context=[1] * 9 + [0]), None)
    assert (found.levers, found.verdict) == ((), OPEN)
    assert found.notes[0].startswith("Whether what was lost in retrieval is worth 5 points is open; about ")
    assert "too near" not in found.notes[0]


def test_as_many_as_it_says_do_decide() -> None:
    few = sheet(40, retrieved=[1] * 8 + [0] * 2, oracle=[1] * 9 + [0])
    note = diagnose(few, None, None).notes[0]
    needed = int(note.split("about ")[1].split(" ")[0].replace(",", ""))
    assert 60 < needed < 1000
    many = 10 * (needed // 10 + 3)
    decided = diagnose(sheet(many, retrieved=[1] * 8 + [0] * 2, oracle=[1] * 9 + [0]), None, None)
    assert Size.of(decided.retrieval) is Size.LARGE


def test_what_the_questions_leave_open_between_two_levers_is_said() -> None:
    places = gold(later=[0, 1, 0, 0], absent=[0, 0, 1, 0], context=[1, 0, 0, 1])
    found = diagnose(sheet(retrieved=[1, 0, 0, 1], oracle=[1, 1, 1, 1]), places, None)
    assert set(names(found)) == {"reranker", "embedding"}
    assert "Which of reranker and embedding has more to gain is open." in found.notes


def test_loss_that_no_place_explains_asks_for_retrieval() -> None:
    """Sixteen points lost, four at each place: all of it is large, no place is."""
    rows: dict[str, Any] = {
        name: [float(at == place) for at in range(25)] for place, name in enumerate(PLACES)
    }
    lost = sheet(250, retrieved=[0.0] * 4 + [1.0] * 21, oracle=[1.0] * 25)
    found = diagnose(lost, gold(250, **rows), None)
    assert names(found) == ["retrieval"]
    assert "does not decide by which lever" in found.levers[0].evidence


def test_a_strict_judge_takes_its_part_of_what_was_lost() -> None:
    """Of 400 labelled answers people call 200 correct; the judge misses 40, and calls 20 others so."""
    counts = (np.full(20, 10.0), np.full(20, 8.0), np.full(20, 10.0), np.full(20, 9.0))
    labelled = Labelled(counts[0], counts[1], counts[2], counts[3], "Toy")
    judged = sheet(100, retrieved=[1.0] * 45 + [0.0] * 55, oracle=[1.0] * 73 + [0.0] * 27)
    found = diagnose(judged, None, labelled)
    assert found.corrected["retrieved"].value == pytest.approx(0.5)
    assert found.corrected["oracle"].value == pytest.approx(0.78)
    assert found.lost.value == pytest.approx(0.55)
    assert found.retrieval.value == pytest.approx(0.28)
    assert found.reading.value == pytest.approx(0.22)
    assert found.judging is not None
    assert found.judging.value == pytest.approx(0.05)
    assert (found.calibrated_on, found.uncorrected_because) == ("Toy", "")


def test_a_judge_by_chance_is_left_in_and_said() -> None:
    half = np.full(20, 5.0)
    labelled = Labelled(np.full(20, 10.0), half, np.full(20, 10.0), half, "Toy")
    found = diagnose(sheet(retrieved=[1, 0], oracle=[1, 1]), None, labelled)
    assert (found.judging, found.corrected) == (None, {})
    assert found.uncorrected_because.startswith("the judge is no better than chance")
    assert found.retrieval.value == pytest.approx(0.5)


def test_controls_are_compared_where_both_have_a_verdict() -> None:
    nan = float("nan")
    arms = sheet(
        retrieved=[1, 0, 0, 0], oracle=[1, 1, 1, 1], closed_book=[1, 1, 0, nan], random=[0, 1, nan, 1]
    )
    found = diagnose(arms, None, None)
    assert found.measured["closed-book"].value == pytest.approx(2 / 3)
    assert found.measured["random"].value == pytest.approx(2 / 3)
    assert found.distraction is not None
    assert found.distraction.value == pytest.approx(0.5)


def test_clusters_widen_the_interval() -> None:
    values = {"retrieved": [1.0, 0.0] * 50, "oracle": [1.0] * 100}
    alone, grouped = (diagnose(sheet(100, n, **values), None, None).retrieval for n in (None, 10))
    assert width(grouped) > 2 * width(alone)


def width(points: Estimate) -> float:
    assert points.low is not None
    assert points.high is not None
    return points.high - points.low
