from __future__ import annotations

import pytest

from dibs.cards.model import ModelCard
from dibs.cards.task import TaskCard
from dibs.data.prepare import ensure
from dibs.errors import InputError
from dibs.evaluate import Work, evaluate
from dibs.retrieval.hybrid import HybridRetriever
from dibs.workspace import Workspace
from tests.toys import FixedRetriever

FIRST = FixedRetriever({"q1": {"apple-10k-p1": 9.0, "apple-10k-p2": 5.0}, "q2": {"blank": 1.0}}, name="first")
SECOND = FixedRetriever({"q1": {"apple-10k-p2": 0.7, "boeing-10k-p1": 0.1}}, name="second")


def work(place: Workspace, hybrid: HybridRetriever) -> Work:
    card = place.card(TaskCard, "Tiny")
    dataset = ensure(card, place)
    model = ModelCard(name="toy", adapter="toy")
    parts = tuple(Work(card, dataset, part, model) for part in hybrid.parts)
    return Work(card, dataset, hybrid, model, parts=parts)


def test_a_hybrid_fuses_the_stored_runs_of_its_parts(tiny_workspace: Workspace) -> None:
    done = evaluate(work(tiny_workspace, HybridRetriever((FIRST, SECOND))), tiny_workspace)
    assert done.record.pipeline == "first+second"
    assert [part.record.pipeline for part in done.parts] == ["first", "second"]
    assert all((part.record.folder / "manifest.json").exists() for part in done.parts)
    scores = done.record.queries().set_index("query_id")["mrr@10"]
    # q1: apple-10k-p2 is 2nd and 1st, 1/62 + 1/61, so the gold apple-10k-p1 with 1/61 comes second.
    assert scores["q1"] == 0.5


def test_parts_that_are_recorded_are_not_searched_again(tiny_workspace: Workspace) -> None:
    parts = tuple(FixedRetriever(part.scores, name=part.name) for part in (FIRST, SECOND))
    for part in parts:
        plain = work(tiny_workspace, HybridRetriever((part,))).parts[0]
        evaluate(plain, tiny_workspace)
    evaluate(work(tiny_workspace, HybridRetriever(parts)), tiny_workspace)
    evaluate(work(tiny_workspace, HybridRetriever(parts, "scores", (0.2, 0.8))), tiny_workspace)
    assert [part.searches for part in parts] == [1, 1]


def test_another_fusion_or_weight_is_another_record(tiny_workspace: Workspace) -> None:
    folders = {
        evaluate(work(tiny_workspace, hybrid), tiny_workspace).record.folder
        for hybrid in (
            HybridRetriever((FIRST, SECOND)),
            HybridRetriever((FIRST, SECOND), "scores"),
            HybridRetriever((FIRST, SECOND), "rrf", (1.0, 3.0)),
            HybridRetriever((SECOND, FIRST), "rrf", (1.0, 3.0)),
        )
    }
    assert len(folders) == 4


def test_names_say_what_is_not_the_default() -> None:
    assert HybridRetriever((FIRST, SECOND)).name == "first+second"
    assert HybridRetriever((FIRST, SECOND), "scores", (0.25, 0.75)).name == "first+second scores 0.25:0.75"


def test_an_unknown_fusion_is_refused() -> None:
    with pytest.raises(InputError, match="no fusion is called 'rff'\n  Did you mean rrf"):
        HybridRetriever((FIRST, SECOND), "rff")


def test_weights_that_are_not_one_a_part_are_refused(tiny_workspace: Workspace) -> None:
    with pytest.raises(InputError, match="2 runs and the weights 1 cannot be fused"):
        evaluate(work(tiny_workspace, HybridRetriever((FIRST, SECOND), "rrf", (1.0,))), tiny_workspace)
