"""Exact search over more vectors than memory should hold: its peak memory, its time, and whether it is right.

Vectors around random centres are written into a vector store, and their documents into a data set, in a
temporary folder. A process of its own then searches as `dibs run` does. The answer is compared with
faiss's flat index over the same vectors, made anew from their seeds.

    python benchmarks/large.py                           # 2,000,000 x 384: 3.3 GB on disk
    python benchmarks/large.py --documents 100000 --folder /mnt/large
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from ready import Memory, ReadyEncoder, status_mib, store_vectors

from dibs.data.dataset import QRELS_SCHEMA, open_dataset
from dibs.data.write import write_dataset
from dibs.encoders.base import FloatArray, unit_length
from dibs.retrieval.base import Search
from dibs.retrieval.dense import DenseRetriever

BLOCK = 16_384
CENTRES = 1000
CORPUS = pa.schema([("id", pa.string()), ("text", pa.string())])
LIMIT_MIB = 2048
ROUNDING = 1e-6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--documents", type=int, default=2_000_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--queries", type=int, default=128)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    parser.add_argument("--search", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.search:
        search(options)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        write(options, folder)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(
            f"{options.documents:,} documents x {options.dimension}, {options.queries} queries, "
            f"k = {options.k}; {size / 2**30:.2f} GiB on disk",
            flush=True,
        )
        command = [sys.executable, __file__, "--search", str(folder)]
        for option in ("dimension", "k"):
            command += [f"--{option}", str(getattr(options, option))]
        subprocess.run(command, check=True)
        found = json.loads((folder / "found.json").read_text())
        verdict = "under" if found["peak"] < LIMIT_MIB else "NOT under"
        print(
            f"DIBS: {found['seconds']:.1f} s, of these {found['search']:.1f} s search, the rest ids, texts' "
            f"keys and checksums; {found['cpu']:.1f} s of processor time"
        )
        print(
            f"peak memory {found['peak']:,.0f} MiB with mapped files, {found['anonymous']:,.0f} MiB without; "
            f"{verdict} {LIMIT_MIB:,} MiB"
        )
        verify(options, found["run"])


def text(number: int) -> str:
    return f"The text of document {number}."


def block(options: argparse.Namespace, begin: int) -> FloatArray:
    """The vectors of the documents from `begin` on, (n, dimension); of the queries, where it is negative."""
    chance = np.random.default_rng([1, abs(begin), begin < 0])
    count = options.queries if begin < 0 else min(BLOCK, options.documents - begin)
    centres = np.random.default_rng(0).standard_normal((CENTRES, options.dimension), dtype=np.float32)
    spread = chance.standard_normal((count, options.dimension), dtype=np.float32)
    return unit_length(centres[chance.integers(0, CENTRES, count)] + spread)


def write(options: argparse.Namespace, folder: Path) -> None:
    def texts(begin: int) -> list[str]:
        return [text(number) for number in range(begin, min(begin + BLOCK, options.documents))]

    def batches() -> Iterator[pa.RecordBatch]:
        for begin in range(0, options.documents, BLOCK):
            names = [f"d{number:09}" for number in range(begin, min(begin + BLOCK, options.documents))]
            yield pa.record_batch([pa.array(names), pa.array(texts(begin))], schema=CORPUS)

    questions = [f"Question {number}?" for number in range(options.queries)]
    table = pa.table({"id": [f"q{number}" for number in range(options.queries)], "text": questions})
    write_dataset(
        folder / "data", "Large", batches(), table, QRELS_SCHEMA.empty_table(), corpus_schema=CORPUS
    )
    begins = range(0, options.documents, BLOCK)
    store_vectors(folder, "document", ((texts(begin), block(options, begin)) for begin in begins))
    store_vectors(folder, "query", iter([(questions, block(options, -1))]))


def search(options: argparse.Namespace) -> None:
    """What the process that is measured does; `found.json` tells of it."""
    memory = Memory()
    memory.start()
    started = time.perf_counter()
    dataset = open_dataset(options.search / "data")
    retriever = DenseRetriever(ReadyEncoder(options.dimension))
    done = retriever.search(Search(dataset, "{text}", options.search), options.k)
    found = {
        "seconds": time.perf_counter() - started,
        "search": done.cost.search,
        "cpu": time.process_time(),
        "peak": status_mib("VmHWM"),
        "anonymous": memory.anonymous_mib,
        "run": {
            query: [ranking.documents, ranking.scores.tolist()]
            for query, ranking in done.run.rankings.items()
        },
    }
    (options.search / "found.json").write_text(json.dumps(found))


def verify(options: argparse.Namespace, run: dict[str, tuple[list[str], list[float]]]) -> None:
    """Compare with faiss, whose rounding differs: documents may change places within ROUNDING."""
    import faiss

    queries = block(options, -1)
    scores, numbers = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    for begin in range(0, options.documents, BLOCK):
        vectors = block(options, begin)
        best, places = faiss.knn(queries, vectors, min(options.k, len(vectors)), faiss.METRIC_INNER_PRODUCT)
        scores, numbers = np.hstack([scores, best]), np.hstack([numbers, places + begin])
        kept = np.argsort(-scores, axis=1, kind="stable")[:, : options.k]
        scores, numbers = np.take_along_axis(scores, kept, 1), np.take_along_axis(numbers, kept, 1)
    same, wrong, apart = 0, 0, 0.0
    for query, expected, best in zip(run.values(), numbers, scores, strict=True):
        documents = [int(name[1:]) for name in query[0]]
        same += documents == expected.tolist()
        apart = max(apart, float(np.abs(np.array(query[1]) - best).max()))
        others = set(documents) - set(expected.tolist())
        wrong += sum(query[1][documents.index(number)] < best[-1] - ROUNDING for number in others)
    print(
        f"against faiss's flat index: {same} of {len(queries)} rankings equal, {wrong} wrong documents, "
        f"scores at most {apart:.1e} apart"
    )
    if wrong or apart > ROUNDING:
        sys.exit("the search is wrong")


if __name__ == "__main__":
    main()
