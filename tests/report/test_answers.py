from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from dibs.llm.chat import Estimate as Cost
from dibs.rag.arms import Arm
from dibs.rag.record import Done, answer_arm
from dibs.report.answered import answer_view, answers_view
from dibs.report.answers import account, answer_rows, answer_tables, cost_rows, cost_table
from dibs.workspace import Workspace
from tests.rag.helpers import GIVEN, WordsJudge, mock_card, tiny_work, with_answers


@pytest.fixture
def place(tiny_workspace: Workspace) -> Workspace:
    return with_answers(tiny_workspace)


def done(place: Workspace, folder: Path, **changes: Any) -> Done:
    return answer_arm(tiny_work(place, mock_card(folder), **changes), place)


def shown(parts: Iterable[RenderableType]) -> str:
    console = Console(width=200)
    with console.capture() as said:
        for part in parts:
            console.print(part)
    return said.get()


def test_one_row_an_arm(place: Workspace, tmp_path: Path) -> None:
    closed = Arm("closed-book", "closed-book", None, {})
    arms = [done(place, tmp_path), done(place, tmp_path, arm=closed)]
    lines = shown(answer_tables(arms, place)).splitlines()
    assert lines[0].strip() == "Tiny: 5 questions, answered by scripted, judged by words"
    bm25 = next(line.split() for line in lines if line.strip().startswith("bm25 "))
    assert bm25[:2] == ["bm25", "0.500"]
    assert bm25[4:13] == ["2", "1", "1", "1", "0.667", "(3)", "0.000", "(1)", bm25[12]]
    book = next(line.split() for line in lines if line.strip().startswith("closed-book "))
    assert book[1] == "0.000"


def test_a_column_without_anything_is_left_out(place: Workspace, tmp_path: Path) -> None:
    plain = shown(answer_tables([done(place, tmp_path)], place))
    assert "corrected [95 %]" not in plain
    assert "undisputed" not in plain
    assert "usd" in plain
    disputed = done(place, tmp_path, known_issues={"q3": "Two readings."})
    assert "0.667 (3)" in shown(answer_tables([disputed], place))


def test_without_a_verdict_there_is_no_accuracy(place: Workspace, tmp_path: Path) -> None:
    unscored = done(place, tmp_path, judge=WordsJudge("blind", unscored=""))
    (row,) = answer_rows([unscored.record], place)
    assert row["subsets"]["all"]["accuracy"] is None
    assert row["correction"] == "no answer is scored"
    said = shown(answer_tables([unscored], place))
    assert "5 unscored, in no rate" in said
    assert "-" in next(line.split() for line in said.splitlines() if line.strip().startswith("bm25 "))


def test_what_a_terminal_would_obey_is_not_printed(place: Workspace, tmp_path: Path) -> None:
    hostile = Arm("retrieved", "bm25\x1b[2J", GIVEN, {})
    one = done(place, tmp_path, arm=hostile)
    assert "\x1b" not in shown(answer_tables([one], place))
    assert "\x1b" not in shown(answers_view(one.record, place))


def test_a_question_from_its_passages_to_its_verdict(place: Workspace, tmp_path: Path) -> None:
    record = done(place, tmp_path, known_issues={"q1": "Two readings."}).record
    said = shown(answer_view(record, "q1", place))
    for text in (
        "q1: What were Apple's net sales?",
        "gold: They rose",
        "disputed: Two readings.",
        "apple-10k-p1",
        "answer: They rose.",
        "verdict of words: correct; word by word",
    ):
        assert text in said


def test_an_answer_that_was_cut_off_or_is_not_there(place: Workspace, tmp_path: Path) -> None:
    record = done(place, tmp_path, max_tokens=2).record
    assert "answer (cut off): They ro" in shown(answer_view(record, "q1", place))
    assert "answer: none: the question has no gold answer" in shown(answer_view(record, "q5", place))


def test_what_was_asked_in_words() -> None:
    spent = {"requests": 3, "cached": 2, "failed": 1, "prompt_tokens": 1000, "completion_tokens": 20}
    assert account(spent | {"usd": None}) == "3 requests (1 failed), 2 from the cache, 1,020 tokens paid"
    assert account(spent | {"usd": 0.5}).endswith(", 0.5000 USD")


@pytest.mark.parametrize(("usd", "shown_sum"), [(0.25, "0.5000"), (None, "")])
def test_what_it_would_cost(usd: float | None, shown_sum: str) -> None:
    cost = Cost(
        requests=3, cached=1, prompt_tokens=1000, completion_tokens=60, usd=usd, exact=usd is not None
    )
    rows = cost_rows({"bm25": cost, "oracle": cost})
    said = shown(cost_table(rows))
    total = next(line for line in said.splitlines() if line.strip().startswith("all "))
    assert total.split() == ["all", "6", "2", "2,000", "120", *([shown_sum] if shown_sum else [])]
    assert ("estimated" in said) is (usd is None)
