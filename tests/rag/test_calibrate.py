from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from dibs.errors import DibsError, InputError
from dibs.rag.calibrate import FOLDS, Calibrating, calibrate, judged, scores_of, with_types
from dibs.rag.calibration import find
from dibs.rag.correct import correct
from dibs.rag.judges.base import Case, Judge, Judgement, Verdict
from dibs.rag.judges.rules import RulesJudge
from dibs.rag.labels import Label, Labels, read_labels
from dibs.records import all_records
from dibs.workspace import Workspace
from tests.shared import shared_data

C, W, R = Verdict.CORRECT, Verdict.INCORRECT, Verdict.REFUSAL


class Reader:
    """Takes the answer itself for the verdict; anything else is unscored."""

    name = "reader"

    def settings(self) -> dict[str, Any]:
        return {"judge": self.name}

    def judge(self, cases: Sequence[Case]) -> list[Judgement]:
        known = set(Verdict)
        return [
            Judgement(Verdict(case.answer) if case.answer in known else None, "read", p_correct=None)
            for case in cases
        ]


@dataclass
class Memory:
    """Says correct of the questions it was fitted on, and notes what it was asked of them."""

    seen: frozenset[str] = frozenset()
    name = "memory"

    def settings(self) -> dict[str, Any]:
        return {"judge": self.name}

    def fit(self, cases: Sequence[Case], correct: Sequence[bool]) -> Judge:
        assert len(cases) == len(correct)
        return Memory(frozenset(case.question for case in cases))

    def judge(self, cases: Sequence[Case]) -> list[Judgement]:
        return [Judgement(C if case.question in self.seen else W, "", clear=True) for case in cases]


def labels(*rows: tuple[str, Verdict, str], types: dict[str, str] | None = None) -> Labels:
    """Rows of question, people's verdict, answer."""
    found = [
        Label(Case(question, "gold", answer), verdict, question, "ours", (types or {}).get(question))
        for question, verdict, answer in rows
    ]
    return Labels(found, {}, 0, "labels.csv")


SOME = labels(
    ("a", C, "correct"), ("a", W, "correct"), ("b", W, "incorrect"), ("c", R, "refusal"), ("d", C, "?")
)


def test_what_is_measured_and_what_is_unscored(workspace: Workspace) -> None:
    record = calibrate(Calibrating(Reader(), SOME), workspace).record
    scores = record.scores
    assert (scores["n"], scores["questions"], scores["unscored"]) == (4, 3, 1)
    assert scores["accuracy"]["value"] == 0.75
    assert list(scores)[:2] == ["accuracy", "kappa"]
    assert scores["three_way"]["confusion"]["incorrect"] == {"correct": 1, "incorrect": 1, "refusal": 0}
    assert scores["sensitivity"]["value"] == 1.0
    assert scores["specificity"]["value"] == pytest.approx(2 / 3)
    assert list(scores["by_system"]) == ["ours"]
    assert scores["by_question_type"] == {}
    assert scores["roc_auc"] is None


def test_the_record_stands_below_its_judge_and_is_found(workspace: Workspace) -> None:
    done = calibrate(Calibrating(Reader(), labels(("a", C, "correct"), ("b", W, "correct"))), workspace)
    assert done.record.folder.parent == workspace.results / "calibration" / "reader"
    assert done.record.faults() == []
    assert [record.name for record in all_records(workspace.results, "calibration")] == [done.record.name]
    assert list(all_records(workspace.results)) == []


def test_the_same_work_finds_its_record_and_other_types_make_another(workspace: Workspace) -> None:
    one = labels(("a", C, "correct"), ("b", W, "correct"))
    work = Calibrating(Reader(), one)
    first, second = calibrate(work, workspace), calibrate(work, workspace)
    assert (first.reused, second.reused) == (False, True)
    typed = with_types(one, {"a": "counts", "z": "other"}, "Toy")
    third = calibrate(Calibrating(Reader(), typed, "Toy"), workspace)
    assert third.record.hash != first.record.hash
    assert third.record.scores["by_question_type"]["counts"]["n"] == 1


def test_a_record_with_unscored_answers_is_made_anew(workspace: Workspace) -> None:
    work = Calibrating(Reader(), SOME)
    assert not calibrate(work, workspace).reused
    assert not calibrate(work, workspace).reused


def test_no_text_of_the_data_is_in_the_record(workspace: Workspace) -> None:
    rows = [
        Label(Case("Which anvil?", "The golden one", f"A secret word {n}"), C, f"id{n}") for n in range(6)
    ]
    record = calibrate(Calibrating(RulesJudge(), Labels(rows, {}, 0, "l.csv")), workspace).record
    written = b"".join(path.read_bytes() for path in record.folder.iterdir())
    for word in (b"anvil", b"golden", b"secret"):
        assert word not in written


def test_a_judge_with_thresholds_is_measured_out_of_fold() -> None:
    rows = labels(*((f"q{number}", C, "x") for number in range(10)), ("q0", W, "x"))
    work = Calibrating(Memory(), rows)
    assert {one.verdict for one in judged(work)} == {W}  # no question was seen by the judge of its fold
    assert work.procedure == f"thresholds chosen on the other {FOLDS - 1} of {FOLDS} folds of the questions"
    assert Calibrating(Reader(), rows).procedure == "the judge as it is"


def test_one_question_cannot_be_folded() -> None:
    work = Calibrating(Memory(), labels(("a", C, "x"), ("a", W, "x")))
    assert work.procedure == "the judge as it is"
    assert len(judged(work)) == 2


def test_a_judge_that_grades_nothing_or_too_little_is_an_error() -> None:
    class Short(Reader):
        def judge(self, cases: Sequence[Case]) -> list[Judgement]:
            return super().judge(cases)[1:]

    with pytest.raises(DibsError, match="graded nothing: read"):
        judged(Calibrating(Reader(), labels(("a", C, "?"), ("b", C, "??"))))
    with pytest.raises(DibsError, match="gave 4 verdicts on 5 answers"):
        judged(Calibrating(Short(), SOME))


def test_the_area_under_the_curve_is_of_what_the_judge_says() -> None:
    rows = labels(("a", C, ""), ("b", W, ""), ("c", W, ""))
    told = [Judgement(C, "", p_correct=p) for p in (0.9, 0.2, 0.95)]
    assert scores_of(rows.rows, told)["roc_auc"] == 0.5
    assert scores_of(rows.rows[:1], told[:1])["roc_auc"] is None


def test_parts_by_deciding_judge_and_by_clearness() -> None:
    told = [
        Judgement(C, "", judge="rules", clear=True),
        Judgement(W, "", judge="big"),
        Judgement(W, "", judge="big"),
    ]
    scores = scores_of(labels(("a", C, ""), ("b", W, ""), ("c", C, "")).rows, told)
    assert {name: part["n"] for name, part in scores["by_judge"].items()} == {"rules": 1, "big": 2}
    assert scores["by_clear"]["clear"]["accuracy"]["value"] == 1.0
    assert scores["by_clear"]["not clear"]["accuracy"]["value"] == 0.5


def test_types_of_another_task_are_refused() -> None:
    with pytest.raises(InputError, match="not one of the labelled questions"):
        with_types(SOME, {"z": "counts"}, "Toy")


def test_own_types_are_kept() -> None:
    own = labels(("a", C, ""), ("b", C, ""), types={"a": "mine"})
    assert [row.question_type for row in with_types(own, {"a": "x", "b": "y"}, "Toy").rows] == ["mine", "y"]


def test_a_calibration_is_read_back_by_the_judges_settings(workspace: Workspace) -> None:
    assert find(workspace.results, Reader().settings()) is None
    calibrate(Calibrating(Reader(), labels(("a", C, "correct"), ("b", W, "correct"))), workspace)
    calibrate(Calibrating(Reader(), SOME, "Toy"), workspace)
    assert find(workspace.results, {"judge": "other"}) is None
    found = find(workspace.results, Reader().settings())
    assert found is not None
    assert found.accuracy.value == 0.75
    assert found.kappa is not None
    assert found.source == "Toy (4 answers)"
    counts = found.labelled
    assert counts.correct.tolist() == [1, 0, 0, 0]  # of the questions a, b, c, d; d's answer is unscored
    assert counts.correct_found.tolist() == [1, 0, 0, 0]
    assert counts.wrong.tolist() == [1, 1, 1, 0]
    assert counts.wrong_found.tolist() == [0, 1, 1, 0]


def test_a_damaged_calibration_is_passed_over(workspace: Workspace) -> None:
    record = calibrate(Calibrating(Reader(), SOME), workspace).record
    (record.folder / "scores.json").write_text("{}")
    assert find(workspace.results, Reader().settings()) is None


def test_a_malformed_manifest_is_passed_over(workspace: Workspace) -> None:
    record = calibrate(Calibrating(Reader(), SOME), workspace).record
    (record.folder / "manifest.json").write_text(json.dumps({"kind": "calibration"}))
    assert find(workspace.results, Reader().settings()) is None


def test_a_corrected_accuracy_can_be_made_of_it(workspace: Workspace) -> None:
    import numpy as np

    rows = [
        (f"q{n}", C if n % 2 else W, "correct" if n % 2 or n % 10 == 0 else "incorrect") for n in range(40)
    ]
    calibrate(Calibrating(Reader(), labels(*rows)), workspace)
    found = find(workspace.results, Reader().settings())
    assert found is not None
    corrected = correct(np.array([True, False] * 50), None, found.labelled).rogan_gladen
    assert corrected is not None
    assert corrected.value == pytest.approx((0.5 - 0.2) / 0.8)  # sensitivity 1, specificity .8


@pytest.mark.real_data
def test_the_rules_agree_with_people_out_of_fold() -> None:
    found = read_labels(shared_data("data", "financebench", "human_labels.jsonl.gz"))
    work = Calibrating(RulesJudge(), found)
    scores = scores_of(found.rows, judged(work))
    assert work.procedure.startswith("thresholds chosen on the other")
    assert scores["n"] == 1440
    assert scores["accuracy"]["value"] >= 0.86
    assert scores["kappa"]["value"] >= 0.72
    assert scores["three_way"]["kappa"]["value"] >= 0.72
    assert scores["by_clear"]["clear"]["accuracy"]["value"] >= 0.95


@pytest.mark.real_data
def test_the_shipped_thresholds_are_those_that_all_labels_give() -> None:
    rows = read_labels(shared_data("data", "financebench", "human_labels.jsonl.gz")).rows
    judge = RulesJudge().fit([row.case for row in rows], [row.verdict is C for row in rows])
    assert judge == RulesJudge()
