from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dibs.cards.model import ModelCard
from dibs.encoders.base import FloatArray, unit_length
from dibs.encoders.embed import Embedded
from dibs.encoders.vectors import VectorStore, text_keys
from dibs.errors import InputError
from dibs.retrieval.approximate import Approximate, overlap
from dibs.retrieval.base import Search
from dibs.retrieval.dense import DenseRetriever
from dibs.retrieval.distinct import Distinct
from dibs.retrieval.exact import exact_search
from dibs.retrieval.run import Run
from tests.toys import HashEncoder, make_dataset

PAIRS = [
    (stored, index)
    for stored in ("float32", "int8", "binary")
    for index in ("exact", "hnsw", "ivf")
    if (stored, index) != ("float32", "exact")
]


def chosen(stored: str = "float32", index: str = "exact", **options: Any) -> Approximate:
    card = ModelCard.model_validate(
        {"name": "m", "adapter": "a", "stored": stored, "index": index, "options": options}
    )
    found = Approximate.of(card)
    assert found is not None
    return found


def corpus_of(folder: Path, vectors: Any, same: int = 0) -> Distinct:
    """Documents d000, d001, ..., each of a text of its own; the first is repeated `same` times at the end."""
    table = np.asarray(vectors, dtype=np.float32)
    texts = [f"text {number}" for number in range(len(table))]
    store = VectorStore(folder, "x", {}, table.shape[1])
    store.append(text_keys(texts), table, None)
    store.reload()
    texts += texts[:1] * same
    rows = store.find(text_keys(texts))
    names = [f"d{number:03}" for number in range(len(texts))]
    return Distinct.of(names, Embedded(store, rows, 0, 0, 0.0))


def searched(how: Approximate, corpus: Distinct, queries: Any, k: int, cache: Path) -> Run:
    table = np.asarray(queries, dtype=np.float32)
    names = [f"q{number}" for number in range(len(table))]
    return how.opened(corpus, cache).search(names, table, corpus, k)


def exactly(corpus: Distinct, queries: Any, k: int) -> Run:
    table = np.asarray(queries, dtype=np.float32)
    return exact_search([f"q{number}" for number in range(len(table))], table, corpus, k)


def whole_numbers(count: int, seed: int, dimension: int = 5) -> FloatArray:
    """Their products are exact in float32, and ties abound."""
    return np.random.default_rng(seed).integers(-2, 3, size=(count, dimension)).astype(np.float32)


def directions(count: int, seed: int, dimension: int = 12) -> FloatArray:
    return unit_length(np.random.default_rng(seed).standard_normal((count, dimension)))


@pytest.mark.parametrize(("stored", "index"), [pair for pair in PAIRS if pair[1] != "hnsw"])
@pytest.mark.parametrize("k", [1, 7, 60])
def test_with_every_text_a_candidate_it_is_the_exact_search(
    tmp_path: Path, stored: str, index: str, k: int
) -> None:
    corpus, queries = corpus_of(tmp_path, whole_numbers(60, 1), same=3), whole_numbers(9, 2)
    options = {"nlist": 4, "nprobe": 4} if index == "ivf" else {}
    how = chosen(stored, index, rescore=60, **options)
    run, exact = searched(how, corpus, queries, k, tmp_path), exactly(corpus, queries, k)
    assert run.scores() == exact.scores()
    assert [r.documents for r in run.rankings.values()] == [r.documents for r in exact.rankings.values()]


@pytest.mark.parametrize("stored", ["float32", "int8", "binary"])
def test_a_graph_that_is_walked_whole_gives_the_exact_search(tmp_path: Path, stored: str) -> None:
    corpus, queries = corpus_of(tmp_path, directions(100, 3)), directions(5, 4)
    run = searched(chosen(stored, "hnsw", rescore=100), corpus, queries, 10, tmp_path)
    assert overlap(run, exactly(corpus, queries, 10), 10) == 1.0


@pytest.mark.parametrize(("stored", "index"), PAIRS)
def test_scores_are_those_of_float32_and_fall(tmp_path: Path, stored: str, index: str) -> None:
    table, queries = directions(80, 5), directions(4, 6)
    corpus = corpus_of(tmp_path, table)
    run = searched(chosen(stored, index, rescore=1), corpus, queries, 8, tmp_path)
    for query, ranking in zip(queries, run.rankings.values(), strict=True):
        expected = [float(table[int(name[1:])] @ query) for name in ranking.documents]
        assert ranking.scores.tolist() == pytest.approx(expected, abs=1e-6)
        assert (np.diff(ranking.scores) <= 0).all()
        assert len(ranking.documents) == len(set(ranking.documents)) <= 8


def test_bits_lose_a_document_that_more_candidates_bring_back(tmp_path: Path) -> None:
    # d000 has the query's signs and a low score; d001, the best, has one sign that differs.
    corpus, query = corpus_of(tmp_path, [[0.1, 0.1, 0.9], [0.7, 0.7, -0.1]]), [[1.0, 1.0, 0.1]]
    exact = exactly(corpus, query, 1)
    assert exact.rankings["q0"].documents == ["d001"]
    lost = searched(chosen("binary", rescore=1), corpus, query, 1, tmp_path)
    assert lost.rankings["q0"].documents == ["d000"]
    assert overlap(lost, exact, 1) == 0.0
    assert overlap(searched(chosen("binary", rescore=2), corpus, query, 1, tmp_path), exact, 1) == 1.0


def on_circle(*degrees: float) -> FloatArray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_lists_lose_what_is_in_those_that_are_not_read(tmp_path: Path) -> None:
    # Five documents near the query and fifteen far from it, in two lists: half of the ten best are far.
    corpus = corpus_of(tmp_path, on_circle(*range(5), *range(90, 105)))
    query = on_circle(2)
    exact = exactly(corpus, query, 10)
    one = searched(chosen("float32", "ivf", nlist=2, nprobe=1), corpus, query, 10, tmp_path)
    assert sorted(one.rankings["q0"].documents) == [f"d{number:03}" for number in range(5)]
    assert (overlap(one, exact, 5), overlap(one, exact, 10)) == (1.0, 0.5)
    both = searched(chosen("float32", "ivf", nlist=2, nprobe=2), corpus, query, 10, tmp_path)
    assert both.rankings["q0"].documents == exact.rankings["q0"].documents


def test_the_overlap_is_the_mean_over_queries_of_what_both_have(tmp_path: Path) -> None:
    exact = Run.of({"a": {"x": 3, "y": 2, "z": 1}, "b": {"x": 1}}, ["a", "b"])
    run = Run.of({"a": {"y": 9, "w": 8, "x": 7}, "b": {"x": 1}}, ["a", "b"])
    assert overlap(run, exact, 2) == (1 / 2 + 1) / 2
    assert overlap(run, exact, 3) == (2 / 3 + 1) / 2


@pytest.mark.parametrize(("stored", "index"), PAIRS)
def test_an_index_is_the_same_each_time_it_is_made(tmp_path: Path, stored: str, index: str) -> None:
    corpus = corpus_of(tmp_path, directions(500, 7))
    for name in ("a", "b"):
        chosen(stored, index).opened(corpus, tmp_path / name)
    (first,), (second,) = (list((tmp_path / name).glob("indexes/*/index.faiss")) for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert first.parent.name == second.parent.name


def test_eight_bits_hold_the_range_of_the_whole_corpus(tmp_path: Path) -> None:
    # The one long vector is the last of many: a range learned from a sample would cut it off.
    table = np.vstack([directions(3000, 8, 4), np.full((1, 4), 50.0, np.float32)])
    index = chosen("int8").opened(corpus_of(tmp_path, table), tmp_path).index
    found = index.reconstruct_n(0, 3001)
    assert float(found.max()) == pytest.approx(50.0, abs=0.2)


@pytest.mark.parametrize(("stored", "index"), PAIRS)
def test_a_kept_index_is_read_and_not_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: str, index: str
) -> None:
    corpus, queries = corpus_of(tmp_path, directions(90, 9)), directions(3, 10)
    how = chosen(stored, index)
    first = searched(how, corpus, queries, 5, tmp_path)
    monkeypatch.setattr(Approximate, "_built", lambda *_: pytest.fail("built again"))
    assert searched(how, corpus, queries, 5, tmp_path).scores() == first.scores()
    for option in {"rescore", "ef_search", "nprobe"} & {"rescore", *how.options}:
        values = {name: value for name, value in how.options.items() if name != "nlist"}
        searched(chosen(stored, index, **(values | {option: 50})), corpus, queries, 5, tmp_path)


def test_other_vectors_and_other_links_make_another_index(tmp_path: Path) -> None:
    table = directions(50, 11)
    chosen("float32", "hnsw").opened(corpus_of(tmp_path / "a", table), tmp_path)
    chosen("float32", "hnsw", hnsw_m=8).opened(corpus_of(tmp_path / "a", table), tmp_path)
    table[49, 0] += 1e-3
    chosen("float32", "hnsw").opened(corpus_of(tmp_path / "b", table), tmp_path)
    assert len(list((tmp_path / "indexes").iterdir())) == 3


@pytest.mark.parametrize("file", ["index.faiss", "done.json"])
@pytest.mark.parametrize("harm", ["cut", "changed", "deleted"])
def test_a_damaged_index_is_made_anew_with_a_warning(tmp_path: Path, file: str, harm: str) -> None:
    corpus, queries, how = corpus_of(tmp_path, directions(90, 9)), directions(3, 10), chosen("int8", "hnsw")
    first = searched(how, corpus, queries, 5, tmp_path)
    (path,) = tmp_path.glob(f"indexes/*/{file}")
    content = path.read_bytes()
    if harm == "deleted":
        path.unlink()
    else:
        middle = len(content) // 2
        path.write_bytes(content[:middle] + (b"" if harm == "cut" else b"\x00\xff" + content[middle + 2 :]))
    with pytest.warns(UserWarning, match="the index is damaged and made anew"):
        again = searched(how, corpus, queries, 5, tmp_path)
    assert again.scores() == first.scores()
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"index": "hnsw", "options": {"ef_search": 0}}, "ef_search is 0, not a whole number from 1"),
        ({"index": "hnsw", "options": {"hnsw_m": 2.5}}, "hnsw_m is 2.5"),
        ({"index": "ivf", "options": {"nprobe": True}}, "nprobe is True"),
        ({"index": "ivf", "options": {"nlist": "many"}}, "nlist is 'many'"),
        ({"stored": "int8", "options": {"rescore": 0}}, "rescore is 0"),
        ({"index": "hnsw", "options": {"nprobe": 3}}, "nprobe says nothing .*index = 'hnsw'(.|\n)*\"ivf\""),
        ({"stored": "int8", "options": {"ef_search": 3}}, "ef_search says nothing"),
        ({"options": {"rescore": 4}}, "rescore says nothing"),
    ],
)
def test_options_that_do_not_fit_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Approximate.of(ModelCard.model_validate({"name": "m", "adapter": "a", **fields}))


def test_more_lists_than_texts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nlist is 9, and there are 4 distinct texts"):
        chosen("float32", "ivf", nlist=9).opened(corpus_of(tmp_path, directions(4, 1)), tmp_path)


def test_the_adapters_own_options_are_left_alone() -> None:
    card = ModelCard(name="m", adapter="a", index="hnsw", options={"output": "x", "ef_search": 300})
    found = Approximate.of(card)
    assert found is not None
    assert found.settings() == {
        "stored": "float32",
        "index": "hnsw",
        "rescore": 1,
        "hnsw_m": 32,
        "ef_construction": 200,
        "ef_search": 300,
    }


DOCUMENTS = {f"d{number}": f"word{number % 40} word{number % 7} common" for number in range(150)}
QUERIES = {"q1": "word3 common", "q2": "word5", "q3": "word39 word4"}


def test_a_record_says_what_was_lost_and_what_it_took(tmp_path: Path) -> None:
    search = Search(make_dataset(tmp_path / "data", DOCUMENTS, QUERIES), "{text}", tmp_path / "cache")
    exact = DenseRetriever(HashEncoder()).search(search, 100)
    retriever = DenseRetriever(HashEncoder(), chosen("binary", "exact", rescore=1))
    done = retriever.search(search, 100)
    about = done.about["search"]
    assert about["faiss_index"] == "BFlat"
    assert about["bytes_per_vector"] == 2
    assert about["index_bytes"] > 2 * 140
    assert about["candidates_per_document"] == 1
    assert about["seconds"] == done.cost.search > 0
    assert about["exact_seconds"] > 0
    lost = {str(cut): overlap(done.run, exact.run, cut) for cut in (10, 100)}
    assert about["recall_of_exact"] == lost
    assert lost["100"] < 1
    assert set(retriever.search(search, 20).about["search"]["recall_of_exact"]) == {"10"}


def test_the_exact_search_says_what_it_always_said(tmp_path: Path) -> None:
    search = Search(make_dataset(tmp_path / "data", DOCUMENTS, QUERIES), "{text}", tmp_path / "cache")
    plain = DenseRetriever(HashEncoder(), Approximate.of(ModelCard(name="m", adapter="a")))
    assert set(plain.settings()) == {"retriever", "query", "document"}
    assert plain.search(search, 10).about == {}
    settings = replace(plain, approximate=chosen("int8")).settings()
    assert settings == plain.settings() | {"search": {"stored": "int8", "index": "exact", "rescore": 4}}


def test_vectors_are_found_whatever_the_model_is_called(tmp_path: Path) -> None:
    search = Search(make_dataset(tmp_path / "data", DOCUMENTS, QUERIES), "{text}", tmp_path / "cache")
    DenseRetriever(HashEncoder()).search(search, 10)
    other = HashEncoder("hash-on-a-graph")
    cost = DenseRetriever(other, chosen("float32", "hnsw")).search(search, 10).cost
    assert other.asked == []
    assert (cost.documents_encoded, cost.queries_encoded) == (0, 0)
