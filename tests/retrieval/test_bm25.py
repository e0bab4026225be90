from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import bm25s
import numpy as np
import pytest
import Stemmer

from dibs.cards.model import ModelCard
from dibs.errors import InputError
from dibs.retrieval.base import Search
from dibs.retrieval.bm25 import METHODS, BM25Retriever
from dibs.retrieval.run import Run
from tests.toys import ROOT, make_dataset

DOCUMENTS = {
    "d1": "A cat is a feline and likes to purr.",
    "d2": "A dog is the human's best friend and loves to play.",
    "d3": "A bird is a beautiful animal that can fly.",
    "d4": "",
    "d5": "Cats, cats, cats: the cat likes the cat.",
    "d6": "the and of",
    "d10": "A bird is a beautiful animal that can fly.",
}
QUERIES = {
    "cats": "does the cat like cats?",
    "fly": "flying birds and friends",
    "stop": "the of and is",
    "strange": "zyzzyva",
    "none": "",
    "mixed": "zyzzyva dog dog",
}


@pytest.fixture
def search(tmp_path: Path) -> Search:
    return Search(make_dataset(tmp_path / "data", DOCUMENTS, QUERIES), "{text}", tmp_path / "cache")


def retriever(**options: str | int | float | bool) -> BM25Retriever:
    return BM25Retriever(ModelCard(name="bm25", adapter="bm25", options=options))


def ranked(run: Run) -> dict[str, list[str]]:
    return {query: ranking.documents for query, ranking in run.rankings.items()}


def index_folder(search: Search) -> Path:
    (folder,) = (search.cache / "indexes").iterdir()
    return folder


@pytest.mark.parametrize("method", METHODS)
def test_scores_are_those_of_bm25s_itself(search: Search, method: str) -> None:
    stemmer = Stemmer.Stemmer("english")
    index = bm25s.BM25(method=method, k1=1.2, b=0.6, delta=0.7)
    index.index(
        bm25s.tokenize(list(DOCUMENTS.values()), stopwords="en", stemmer=stemmer, show_progress=False),
        show_progress=False,
    )
    words = bm25s.tokenize(list(QUERIES.values()), stopwords="en", stemmer=stemmer, show_progress=False)
    places, scores = index.retrieve(words, k=len(DOCUMENTS), show_progress=False, n_threads=1)
    run = retriever(method=method, k1=1.2, b=0.6, delta=0.7).search(search, 100).run
    assert sum(len(ranking.documents) for ranking in run.rankings.values()) > 5
    for ranking, theirs, values in zip(run.rankings.values(), places, scores, strict=True):
        known = dict(zip((list(DOCUMENTS)[place] for place in theirs), values.tolist(), strict=True))
        assert ranking.scores.tolist() == [known[name] for name in ranking.documents]
        left = known.keys() - {*ranking.documents}
        assert all(known[name] <= ranking.scores.min(initial=np.inf) for name in left)


@pytest.mark.parametrize("method", METHODS)
def test_only_documents_that_share_a_word_are_ranked(search: Search, method: str) -> None:
    # bm25l and bm25+ score every document above 0; those without a word still are no results.
    run = retriever(method=method).search(search, 100).run
    assert {query: set(names) for query, names in ranked(run).items()} == {
        "cats": {"d1", "d5"},
        "fly": {"d2", "d3", "d10"},
        "stop": set(),
        "strange": set(),
        "none": set(),
        "mixed": {"d2"},
    }


def test_equal_texts_tie_and_rank_by_id(search: Search) -> None:
    ranking = retriever().search(search, 100).run.rankings["fly"]
    assert ranking.documents == ["d3", "d10", "d2"]
    assert ranking.scores[0] == ranking.scores[1] > ranking.scores[2]
    assert retriever().search(search, 1).run.rankings["fly"].documents == ["d3"]


def test_a_word_counts_as_often_as_the_query_has_it(search: Search) -> None:
    once = make_dataset(search.cache / "once", DOCUMENTS, {"q": "dog"})
    twice = make_dataset(search.cache / "twice", DOCUMENTS, {"q": "dog dog"})
    scores = [
        retriever().search(Search(data, "{text}", search.cache), 1).run.rankings["q"].scores[0]
        for data in (once, twice)
    ]
    assert scores[1] == 2 * scores[0]


def test_without_stemmer_and_stopwords_words_are_taken_as_they_are(search: Search) -> None:
    run = retriever(stemmer="", stopwords="").search(search, 100).run
    assert set(ranked(run)["stop"]) == {"d1", "d2", "d3", "d5", "d6", "d10"}
    assert ranked(run)["fly"] == [
        "d6",
        "d1",
        "d2",
    ]  # `and` alone: neither flying nor birds nor friends is there


def test_the_index_is_made_once_and_used_again(search: Search) -> None:
    first = retriever().search(search, 10)
    folder = index_folder(search)
    made = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    second = retriever().search(search, 10)
    assert {path.name: path.stat().st_mtime_ns for path in index_folder(search).iterdir()} == made
    assert second.run.scores() == first.run.scores()


def test_other_options_data_or_templates_have_an_index_of_their_own(search: Search) -> None:
    other = make_dataset(search.cache / "other", {"d1": "cat"}, {"q": "cat"})
    retriever().search(search, 10)
    retriever(k1=0.9).search(search, 10)
    retriever().search(Search(search.dataset, "{title} {text}", search.cache), 10)
    retriever().search(Search(other, "{text}", search.cache), 10)
    assert len(list((search.cache / "indexes").iterdir())) == 4


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("done.json", None),
        *((name, kept) for kept in (None, 0, 20) for name in ("params.index.json", "vocab.index.json")),
        *((f"{name}.csc.index.npy", kept) for kept in (None, 0, 20, 130) for name in ("data", "indices")),
    ],
)
def test_an_index_that_is_not_whole_is_made_anew(search: Search, name: str, kept: int | None) -> None:
    before = retriever().search(search, 10).run.scores()
    path = index_folder(search) / name
    content = path.read_bytes()
    path.unlink()
    if kept is not None:
        path.write_bytes(content[:kept])
    with pytest.warns(UserWarning, match="the index is damaged and made anew"):
        assert retriever().search(search, 10).run.scores() == before
    assert retriever().search(search, 10).run.scores() == before


def test_an_index_that_another_process_made_meanwhile_is_taken(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = retriever().search(search, 10).run.scores()
    folder = index_folder(search)
    theirs = search.cache / "theirs"
    folder.rename(theirs)
    save = bm25s.BM25.save

    def save_late(self: bm25s.BM25, work: Path, **options: bool) -> None:
        save(self, work, **options)
        shutil.copytree(theirs, folder)

    monkeypatch.setattr(bm25s.BM25, "save", save_late)
    assert retriever().search(search, 10).run.scores() == before
    assert index_folder(search) == folder  # and nothing half made lies beside it


def test_nothing_is_left_behind_where_the_disk_is_full(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(self: bm25s.BM25, work: Path, **options: bool) -> None:
        (work / "params.index.json").write_text("{")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bm25s.BM25, "save", save)
    with pytest.raises(OSError, match="No space left"):
        retriever().search(search, 10)
    assert list((search.cache / "indexes").iterdir()) == []


def test_a_corpus_without_one_word_is_refused(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", {"d1": "", "d2": "the of", "d3": "? !"}, {"q": "word"})
    with pytest.raises(InputError, match="there is not one word in the corpus of Tiny"):
        retriever().search(Search(data, "{text}", tmp_path / "cache"), 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k2": 1.0}, "no option of the adapter bm25 is called 'k2'\n  Did you mean k1?"),
        ({"stemmer": "englsh"}, "no stemmer is called 'englsh'\n  Did you mean english"),
        ({"method": "lucen"}, "no method of BM25 is called 'lucen'\n  Did you mean lucene?"),
        ({"stopwords": "klingon"}, "bm25: the option stopwords: klingon not recognized"),
        ({"k1": "much"}, "bm25: the option k1 is 'much', not a number at least 0"),
        ({"k1": -1.0}, "bm25: the option k1 is -1.0, not a number at least 0"),
        ({"k1": True}, "bm25: the option k1 is True, not a number at least 0"),
        ({"b": 1.5}, "bm25: the option b is 1.5, not a number from 0 to 1"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_anything_is_done(
    options: dict[str, str | int | float | bool], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        retriever(**options)
    assert str(caught.value).startswith(message)


def test_its_settings_are_all_options_with_their_defaults() -> None:
    assert retriever(k1=0.9).settings() == {
        "retriever": "bm25",
        "method": "lucene",
        "k1": 0.9,
        "b": 0.75,
        "delta": 0.5,
        "stopwords": "en",
        "stemmer": "english",
    }


def test_its_cost_and_what_a_reader_has_to_know(search: Search) -> None:
    found = retriever().search(search, 10)
    assert found.cost.index > 0
    assert (found.cost.documents_encoded, found.cost.documents_cut) == (0, 0)
    assert found.about == {"documents_cut": "none: BM25 reads whole texts"}


_SCRIPT = """
import json, sys
from pathlib import Path
from dibs.cards.model import ModelCard
from dibs.data.dataset import open_dataset
from dibs.retrieval.base import Search
from dibs.retrieval.bm25 import BM25Retriever
data, cache = map(Path, sys.argv[1:])
retriever = BM25Retriever(ModelCard(name="bm25", adapter="bm25"))
print(json.dumps(retriever.search(Search(open_dataset(data), "{text}", cache), 10).run.scores()))
"""


def test_every_process_gives_the_same_run(search: Search, tmp_path: Path) -> None:
    # bm25s numbers its stems by iterating over a set, whose order differs from process to process.
    before = retriever().search(search, 10).run.scores()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, str(tmp_path / "data"), str(tmp_path / f"cache-{seed}")],
            cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert json.loads(done.stdout) == before
        assert list(json.loads(done.stdout)["fly"]) == list(before["fly"])


def test_scores_are_float32(search: Search) -> None:
    run = retriever().search(search, 10).run
    assert {ranking.scores.dtype for ranking in run.rankings.values()} == {np.dtype(np.float32)}


def test_an_index_whose_numbers_were_changed_is_made_anew(search: Search) -> None:
    before = retriever().search(search, 10).run.scores()
    path = index_folder(search) / "data.csc.index.npy"
    content = path.read_bytes()
    path.write_bytes(content[:128] + bytes(len(content) - 128))  # as a crash of the machine leaves files
    with pytest.warns(UserWarning, match="the index is damaged and made anew"):
        assert retriever().search(search, 10).run.scores() == before
