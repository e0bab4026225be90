from __future__ import annotations

import pytest

from dibs.cards.model import ModelCard
from dibs.errors import InputError
from dibs.evaluate import Work
from dibs.labelling.pool import Pooling, pooled
from dibs.labelling.source import Labelled
from dibs.workspace import Workspace
from tests.labelling.made import task
from tests.toys import FixedRetriever

FIRST = {"q1": {"filter": 3.0, "valve": 2.0, "pump": 1.0}, "q2": {"oil": 1.0}}
SECOND = {"q1": {"valve": 3.0, "oil": 2.0, "filter": 1.0}, "q2": {"pump": 1.0, "oil": 0.5}}


def works(found: Labelled, *retrievers: FixedRetriever) -> list[Work]:
    card = ModelCard(name="fixed", adapter="bm25")
    return [Work(found.card, found.dataset, retriever, card) for retriever in retrievers]


def test_the_first_documents_of_all_are_joined_in_a_drawn_order(workspace: Workspace) -> None:
    found = task(workspace)
    two = [FixedRetriever(FIRST), FixedRetriever(SECOND, option="b")]
    orders = {
        seed: pooled(Pooling(("a", "b"), 2, seed), works(found, *two), found.dataset, workspace.cache)
        for seed in range(12)
    }
    for order in orders.values():
        assert {query: set(names) for query, names in order.items()} == {
            "q1": {"filter", "valve", "oil"},
            "q2": {"oil", "pump"},
            "q3": set(),
        }
    assert len({tuple(order["q1"]) for order in orders.values()}) > 3
    assert orders[3] == pooled(Pooling(("a", "b"), 2, 3), works(found, *two), found.dataset, workspace.cache)
    assert [retriever.searches for retriever in two] == [1, 1]  # all but the first read what was kept


def test_another_depth_or_retriever_is_another_pool(workspace: Workspace) -> None:
    found = task(workspace)
    one = FixedRetriever(FIRST)
    assert pooled(Pooling(("a",), 1), works(found, one), found.dataset, workspace.cache)["q1"] == ["filter"]
    assert len(pooled(Pooling(("a",), 3), works(found, one), found.dataset, workspace.cache)["q1"]) == 3
    assert one.searches == 2


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"q1": ["no"], "q2": [], "q3": []}', '{"q1": [[]]}', "null"]
)
def test_a_damaged_pool_is_made_anew(workspace: Workspace, damage: str) -> None:
    found = task(workspace)
    one = FixedRetriever(FIRST)
    first = pooled(Pooling(("a",)), works(found, one), found.dataset, workspace.cache)
    (kept,) = (workspace.cache / "pools").iterdir()
    kept.write_text(damage)
    assert pooled(Pooling(("a",)), works(found, one), found.dataset, workspace.cache) == first
    assert one.searches == 2


def test_a_pool_has_a_depth() -> None:
    with pytest.raises(InputError, match="depth"):
        Pooling(("a",), 0)
