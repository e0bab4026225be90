"""BM25 through bm25s, with an index that is built once for each corpus and set of options."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from dibs.cards.model import ModelCard
from dibs.errors import InputError, unknown
from dibs.files import digest
from dibs.progress import track
from dibs.retrieval.base import Cost, Retrieved, Search
from dibs.retrieval.kept import kept
from dibs.retrieval.run import Ranking, Run
from dibs.retrieval.top import best, id_order

if TYPE_CHECKING:
    import bm25s

DEFAULTS: dict[str, str | int | float | bool] = {
    "method": "lucene",
    "k1": 1.5,
    "b": 0.75,
    "delta": 0.5,
    "stopwords": "en",
    "stemmer": "english",
}
METHODS = ("atire", "bm25+", "bm25l", "lucene", "robertson")


class BM25Retriever:
    """Word matching. Documents without a word of the query are not in its ranking.

    Texts are not cut: the token limit of a task is one of encoders.
    """

    def __init__(self, card: ModelCard) -> None:
        for option in card.options.keys() - DEFAULTS.keys():
            raise unknown("option of the adapter bm25", option, DEFAULTS)
        self._options = DEFAULTS | card.options
        self._name = card.name
        _check(self._options, card.name)

    @property
    def name(self) -> str:
        return self._name

    def settings(self) -> dict[str, Any]:
        return {"retriever": "bm25", **self._options}

    def search(self, search: Search, k: int) -> Retrieved:
        dataset = search.dataset
        started = time.perf_counter()
        index = self._index(search)
        indexed = time.perf_counter()
        ids = dataset.document_ids
        order = id_order(ids)
        rankings: dict[str, Ranking] = {}
        with track(f"Searching with {self._name}", dataset.info.queries, "queries") as advance:
            for query, words in zip(dataset.query_ids, self._words(dataset.query_texts()), strict=True):
                known = [word for word in words if word in index.vocab_dict]
                scores = index.get_scores(known)[order] if known else np.zeros(len(ids), np.float32)
                top = best(scores, k)
                top = top[scores[top] > _score_without_words(index, known)]
                rankings[query] = Ranking(
                    [ids[order[place]] for place in top], scores[top].astype(np.float32)
                )
                advance(1)
        cost = Cost(index=indexed - started, search=time.perf_counter() - indexed)
        return Retrieved(Run(rankings), cost, {"documents_cut": "none: BM25 reads whole texts"})

    def _index(self, search: Search) -> bm25s.BM25:
        import bm25s

        made_of = {
            "data": search.dataset.info.sha256,
            "template": search.template,
            "versions": [version("bm25s"), version("PyStemmer")],
            **self.settings(),
        }
        folder = search.cache / "indexes" / f"bm25-{digest(made_of)[:16]}"
        return kept(
            folder,
            lambda work: self._built(search).save(work, show_progress=False),
            lambda whole: bm25s.BM25.load(whole, mmap=True),
        )

    def _built(self, search: Search) -> bm25s.BM25:
        import bm25s

        index = bm25s.BM25(
            method=str(self._options["method"]),
            k1=float(self._options["k1"]),
            b=float(self._options["b"]),
            delta=float(self._options["delta"]),
        )
        with track("Indexing words", search.dataset.info.documents, "documents") as advance:
            words = self._tokenised(search.document_texts())
            if not words.vocab:
                raise InputError(f"there is not one word in the corpus of {search.dataset.info.task}")
            index.index(words, show_progress=False)
            advance(search.dataset.info.documents)
        return index

    def _words(self, texts: list[str]) -> list[list[str]]:
        tokenised = self._tokenised(texts)
        spelled = {number: word for word, number in tokenised.vocab.items()}
        return [[spelled[number] for number in numbers] for numbers in tokenised.ids]

    def _tokenised(self, texts: list[str]) -> Any:
        import bm25s
        import Stemmer

        language = str(self._options["stemmer"])
        return bm25s.tokenize(
            texts,
            stopwords=str(self._options["stopwords"]) or None,
            stemmer=Stemmer.Stemmer(language) if language else None,
            show_progress=False,
        )


def _check(options: dict[str, str | int | float | bool], card: str) -> None:
    import bm25s
    import Stemmer

    if options["method"] not in METHODS:
        raise unknown("method of BM25", str(options["method"]), METHODS)
    for name, most in (("k1", np.inf), ("b", 1), ("delta", np.inf)):
        value = options[name]
        if isinstance(value, str | bool) or not 0 <= value <= most:
            limit = "at least 0" if most == np.inf else f"from 0 to {most}"
            raise InputError(f"the option {name} is {value!r}, not a number {limit}", where=card)
    language = str(options["stemmer"])
    if language and language not in Stemmer.algorithms():
        raise unknown("stemmer", language, Stemmer.algorithms())
    try:
        bm25s.tokenize([], stopwords=str(options["stopwords"]) or None, show_progress=False)
    except ValueError as error:
        raise InputError(f"the option stopwords: {error}", where=card) from None


def _score_without_words(index: bm25s.BM25, words: list[str]) -> float:
    """What a document without any of `words` scores: not 0 with the methods bm25l and bm25+."""
    if index.nonoccurrence_array is None or not words:
        return 0.0
    return float(index.nonoccurrence_array[index.get_tokens_ids(words)].sum())
