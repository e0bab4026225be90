"""A first pass that is not exact: documents' vectors as 8 or 1 bits a dimension, a graph, inverted lists.

faiss finds candidates; these are scored again in float32, from the store. What that loses against the
exact search is measured each time, see `DenseRetriever`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dibs.cards.model import SEARCH_OPTIONS, Index, ModelCard, Stored
from dibs.encoders.base import FloatArray, IntArray
from dibs.errors import InputError
from dibs.files import digest
from dibs.progress import track
from dibs.retrieval.distinct import Distinct
from dibs.retrieval.kept import kept
from dibs.retrieval.run import Run

RESCORE = {"float32": 1, "int8": 4, "binary": 10}
"""Candidates for each document wanted. 4 is the multiple of Shakir, Aarsen and Lee (Binary and Scalar
Embedding Quantization, 2024). Bits take more at depth 100: on FinanceBench 4 finds .79 of the exact 100, 10
finds .92, and Yamada, Asai and Hajishirzi (BPR, ACL 2021, 979-986) score 1,000 again."""
LISTS = 4
"""Inverted lists for n vectors: 4 sqrt(n), the least that faiss's guidelines name."""
TRAINING = 64
"""Vectors for each list that k-means is shown; faiss asks for 39 or more."""
_LEAST = 39
_SEED = 20250220
_HELD = 65_536
"""Candidates whose vectors are held at once: of 384 dimensions, 100 MB."""
_FILE = "index.faiss"

_OPTIONS: dict[str, dict[str, tuple[int, int, int]]] = {
    "exact": {},
    "hnsw": {
        "hnsw_m": (32, 2, 512),
        "ef_construction": (200, 1, 100_000),
        "ef_search": (256, 1, 1_000_000),
    },
    "ivf": {"nlist": (0, 0, 10_000_000), "nprobe": (64, 1, 10_000_000)},
}
"""Of each kind of index the options of its card: what holds where the card is silent, least, most."""
_WHEN_SEARCHING = ("rescore", "ef_search", "nprobe")
"""Those that an index is not built with."""


@dataclass(frozen=True)
class Approximate:
    """How candidates are found. `nlist` 0 is LISTS times the root of the number of texts."""

    stored: Stored
    index: Index
    rescore: int
    options: dict[str, int]

    @classmethod
    def of(cls, card: ModelCard) -> Approximate | None:
        """What the card says; None is the exact search in float32.

        Raises:
            InputError: an option is out of its range, or is one of an index that the card does not choose.
        """
        plain = card.stored == "float32" and card.index == "exact"
        known = {} if plain else {"rescore": (RESCORE[card.stored], 1, 10_000)} | _OPTIONS[card.index]
        given = {name: value for name, value in card.options.items() if name in SEARCH_OPTIONS}
        for name in given.keys() - known.keys():
            meant = [f'index = "{kind}"' for kind, options in _OPTIONS.items() if name in options]
            raise InputError(
                f"the option {name} says nothing to stored = {card.stored!r}, index = {card.index!r}",
                where=card.name,
                todo=f"Leave it out, or choose {' or '.join(meant) or 'another of stored or index'}.",
            )
        values = {name: given.get(name, default) for name, (default, _, _) in known.items()}
        options: dict[str, int] = {}
        for name, value in values.items():
            _, least, most = known[name]
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                problem = f"the option {name} is {value!r}, not a whole number from {least:,} to {most:,}"
                raise InputError(problem, where=card.name)
            options[name] = value
        return None if plain else cls(card.stored, card.index, options.pop("rescore"), options)

    def settings(self) -> dict[str, Any]:
        """Everything that changes which candidates are found, as JSON values."""
        return {"stored": self.stored, "index": self.index, "rescore": self.rescore, **self.options}

    def opened(self, corpus: Distinct, cache: Path) -> FirstPass:
        """The first pass over the corpus, with an index that is built once for the same vectors.

        Raises:
            InputError: there are fewer texts than inverted lists.
        """
        import faiss

        factory, binary = self._factory(len(corpus)), self.stored == "binary"
        made_of = {
            "vectors": corpus.fingerprint(),
            "faiss": [faiss.__version__, factory],
            **{name: value for name, value in self.settings().items() if name not in _WHEN_SEARCHING},
        }
        folder = cache / "indexes" / f"{self.index}-{self.stored}-{digest(made_of)[:16]}"
        index = kept(folder, lambda work: _write(self._built(factory, corpus), work, binary), _reader(binary))
        if self.index == "ivf":
            index.nprobe = self.options["nprobe"]
        return FirstPass(self, index, factory, corpus.store.dimension, (folder / _FILE).stat().st_size)

    def _factory(self, texts: int) -> str:
        """faiss's own word for the index."""
        lists = self.options.get("nlist") or max(1, min(int(LISTS * texts**0.5), texts // _LEAST))
        if self.index == "ivf" and lists > texts:
            problem = f"nlist is {lists:,}, and there are {texts:,} distinct texts"
            raise InputError(problem, todo="Set fewer lists, or none: nlist then suits the corpus.")
        prefix = {"exact": "", "hnsw": f"HNSW{self.options.get('hnsw_m')},", "ivf": f"IVF{lists},"}
        if self.stored == "binary":
            return "B" + (prefix[self.index].rstrip(",") or "Flat")
        return prefix[self.index] + {"float32": "Flat", "int8": "SQ8"}[self.stored]

    def _built(self, factory: str, corpus: Distinct) -> Any:
        """On one thread: several of them link a graph in the order in which they happen to come."""
        import faiss

        binary, dimension = self.stored == "binary", corpus.store.dimension
        with _one_thread(), track("Indexing vectors", len(corpus), "texts") as advance:
            index: Any
            if binary:
                index = faiss.index_binary_factory(8 * -(-dimension // 8), factory)
            else:
                index = faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
            if self.index == "hnsw":
                index.hnsw.efConstruction = self.options["ef_construction"]
            if self.index == "ivf":
                index.cp.min_points_per_centroid = 1  # else faiss warns; what few points lose is measured
            if not index.is_trained:
                index.train(_coded(self._training(index, corpus), binary))
            for _, vectors in corpus.blocks():
                index.add(_coded(vectors, binary))
                advance(len(vectors))
        return index

    def _training(self, index: Any, corpus: Distinct) -> FloatArray:
        """What the index learns from: for its lists a sample, for 8 bits the range of each dimension."""
        if self.index == "ivf":
            size = min(len(corpus), TRAINING * index.nlist)
            drawn = np.random.default_rng(_SEED).choice(len(corpus), size, replace=False)
            return corpus.vectors(np.sort(drawn))
        least = np.full(corpus.store.dimension, np.inf, np.float32)
        most = -least
        for _, vectors in corpus.blocks():
            least, most = np.minimum(least, vectors.min(axis=0)), np.maximum(most, vectors.max(axis=0))
        return np.stack([least, most])


@dataclass(frozen=True)
class FirstPass:
    """An index, ready to be searched."""

    how: Approximate
    index: Any
    factory: str
    dimension: int
    size: int
    """Bytes on disk, which are about those in memory."""

    @property
    def about(self) -> dict[str, Any]:
        """What a reader of a record has to know of it."""
        bits = {"float32": 32, "int8": 8, "binary": 1}[self.how.stored]
        return {
            "faiss_index": self.factory,
            "bytes_per_vector": -(-bits * self.dimension // 8),
            "index_bytes": self.size,
            "candidates_per_document": self.how.rescore,
        }

    def search(self, query_ids: list[str], queries: FloatArray, corpus: Distinct, k: int) -> Run:
        """The candidates of each query, scored in float32, ties by id descending."""
        wanted = max(1, min(self.how.rescore * k, len(corpus)))
        if self.how.index == "hnsw":
            self.index.hnsw.efSearch = max(self.how.options["ef_search"], wanted)
        rankings, together = {}, max(1, _HELD // wanted)
        for begin in range(0, len(queries), together):
            block = queries[begin : begin + together]
            _, found = self.index.search(_coded(block, self.how.stored == "binary"), wanted)
            texts: IntArray = np.unique(found[found >= 0])  # -1 stands where there was no further one
            vectors = corpus.vectors(texts)
            for query, vector, row in zip(query_ids[begin:], block, found, strict=False):
                places = np.searchsorted(texts, np.sort(row[row >= 0]))
                rankings[query] = corpus.ranking(texts[places], vectors[places] @ vector, k)
        return Run(rankings)


def overlap(run: Run, exact: Run, k: int) -> float:
    """Of each query's k best documents by `exact` the share that `run` has among its own, on average."""
    shares = [
        len(set(ranking.documents[:k]) & set(run.rankings[query].documents[:k])) / len(ranking.documents[:k])
        for query, ranking in exact.rankings.items()
    ]
    return float(np.mean(shares))


def _coded(vectors: FloatArray, binary: bool) -> Any:
    """As faiss takes them: float32, or the bits of the positive dimensions, filled up to whole bytes."""
    return np.packbits(vectors > 0, axis=1) if binary else np.ascontiguousarray(vectors)


def _write(index: Any, folder: Path, binary: bool) -> None:
    import faiss

    (faiss.write_index_binary if binary else faiss.write_index)(index, str(folder / _FILE))


def _reader(binary: bool) -> Any:
    import faiss

    read = faiss.read_index_binary if binary else faiss.read_index
    return lambda folder: read(str(folder / _FILE))


@contextmanager
def _one_thread() -> Iterator[None]:
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
