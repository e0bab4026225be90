from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dibs.cards.task import Source, TaskCard
from dibs.data.dataset import QRELS_SCHEMA, Dataset
from dibs.data.write import write_dataset
from dibs.retrieval.run import Run, rank
from dibs.scoring.levels import collapse, levels_of, main_level, score_main, unit_qrels
from dibs.scoring.measures import Measure

RECALL = Measure.parse("recall@1")
CARD = TaskCard(
    name="Small",
    description="x",
    source=Source(kind="beir"),
    licence="x",
    citation="x",
    levels=("document", "page", "chunk"),
)
CHUNKS = ["a#1#1", "a#1#2", "a#2#1", "b#1"]
QUERIES = ["q1", "q2"]


def dataset(folder: Path, qrels: dict[str, dict[str, int]]) -> Dataset:
    corpus = pa.table(
        {
            "id": CHUNKS,
            "title": [""] * 4,
            "text": ["x"] * 4,
            "document": ["a", "a", "a", "b"],
            "page": ["a#1", "a#1", "a#2", "b"],
        }
    )
    queries = pa.table({"id": QUERIES, "text": QUERIES})
    rows = [(query, name, grade) for query, grades in qrels.items() for name, grade in grades.items()]
    columns = [pa.array(column) for column in zip(*rows, strict=True)]
    judged = pa.table(columns, names=QRELS_SCHEMA.names).cast(QRELS_SCHEMA)
    return write_dataset(folder, "Small", corpus, queries, judged)


RUN = Run(
    {
        "q1": rank({"a#1#2": 3.0, "b#1": 2.0, "a#2#1": 1.0}),
        "q2": rank({"a#2#1": 1.0, "b#1": 1.0, "a#1#1": 0.5}),
    }
)


def test_a_parent_has_the_score_of_its_best_part_and_ties_go_by_id() -> None:
    parents = {"a#1#1": "a", "a#1#2": "a", "a#2#1": "a", "b#1": "b"}
    found = collapse(RUN, parents)
    assert found.rankings["q1"].documents == ["a", "b"]
    assert found.rankings["q1"].scores.tolist() == [3.0, 2.0]
    assert found.rankings["q2"].documents == ["b", "a"]  # equal scores: the greater id first


def test_gold_chunks_are_gold_at_every_level(tmp_path: Path) -> None:
    data = dataset(tmp_path, {"q1": {"a#1#1": 1, "a#1#2": 2}, "q2": {"b#1": 1}})
    found = levels_of(RUN, CARD, data, 3)
    assert {name: level.qrels for name, level in found.items()} == {
        "document": {"q1": {"a": 2}, "q2": {"b": 1}},
        "page": {"q1": {"a#1": 2}, "q2": {"b": 1}},
        "chunk": {"q1": {"a#1#1": 1, "a#1#2": 2}, "q2": {"b#1": 1}},
    }
    assert {name: level.units for name, level in found.items()} == {"document": 2, "page": 3, "chunk": 4}
    assert main_level(found, 2).name == "chunk"
    assert found["chunk"].run == RUN
    assert found["page"].run.rankings["q1"].documents == ["a#1", "b", "a#2"]
    assert score_main(RUN, CARD, data, [RECALL])[RECALL].tolist() == [0.5, 1.0]


def test_gold_pages_say_nothing_of_chunks(tmp_path: Path) -> None:
    data = dataset(tmp_path, {"q1": {"a#1": 1}, "q2": {"a#2": 1}})
    found = levels_of(RUN, CARD, data, 3)
    assert found["chunk"].qrels == {}
    assert main_level(found, 2).name == "page"
    assert score_main(RUN, CARD, data, [RECALL])[RECALL].tolist() == [1.0, 0.0]


def test_mixed_gold_is_measured_where_every_query_has_some(tmp_path: Path) -> None:
    data = dataset(tmp_path, {"q1": {"a#1#2": 1}, "q2": {"a": 1, "b#1": 1, "a#1": 0}})
    found = levels_of(RUN, CARD, data, 3)
    assert {name: set(level.qrels) for name, level in found.items()} == {
        "document": {"q1", "q2"},
        "page": {"q1"},
        "chunk": {"q1"},
    }
    assert main_level(found, 2).name == "document"
    assert set(found["page"].run.rankings) == {"q1"}


def test_gold_in_units_is_every_chunk_of_it(tmp_path: Path) -> None:
    data = dataset(tmp_path, {"q1": {"a#1": 2, "a#1#2": 1}, "q2": {"a": 1, "b#1": 0}})
    assert unit_qrels(data, CARD.levels) == {
        "q1": {"a#1#1": 2, "a#1#2": 2},
        "q2": {"a#1#1": 1, "a#1#2": 1, "a#2#1": 1, "b#1": 0},
    }
    assert unit_qrels(data, ()) == data.qrels


def test_what_a_cut_run_lacks_is_counted(tmp_path: Path) -> None:
    data = dataset(tmp_path, {"q1": {"a#1#1": 1}, "q2": {"b#1": 1}})
    run = Run({"q1": rank({"a#1#1": 2.0, "a#1#2": 1.0}), "q2": rank({"a#1#1": 1.0})})
    found = levels_of(run, CARD, data, 2)
    assert [found["document"].short(k) for k in (1, 2, 10)] == [0, 1, 1]  # q2 was not cut: it found one
    assert found["chunk"].short(2) == 0


def test_a_task_without_levels_is_scored_as_it_is(tmp_path: Path) -> None:
    data = dataset(tmp_path, {"q1": {"a#1#2": 1}, "q2": {"a#1": 1}})
    plain = CARD.model_copy(update={"levels": ()})
    np.testing.assert_array_equal(score_main(RUN, plain, data, [RECALL])[RECALL], [1.0, 0.0])


@pytest.mark.parametrize("levels", [("chunk",), ("page", "page", "chunk")])
def test_levels_that_are_none_are_refused(levels: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="levels name two or more"):
        TaskCard.model_validate(CARD.model_dump() | {"levels": levels})
