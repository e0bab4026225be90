"""Readers of what comes from outside, each fed with any bytes: a valid object or an error of ours, no other.

    python fuzz/targets.py NAME [-max_total_time=60] [libFuzzer's options]

runs one of them under atheris, which finds new ways through the code by itself. What it finds is written
to crash-*; add it to `FOUND` in tests/failures/test_fuzz.py, which then holds it to be mended.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any


def _card(path: Path) -> None:
    from dibs.cards.model import LLMCard, ModelCard, RerankerCard
    from dibs.cards.read import read_card
    from dibs.cards.task import TaskCard
    from dibs.errors import DibsError

    kinds: tuple[Any, ...] = (TaskCard, ModelCard, RerankerCard, LLMCard)
    for kind in kinds:
        with suppress(DibsError):
            read_card(kind, path)


def _corpus(path: Path) -> None:
    from dibs.data.rows import jsonl, texts_table

    texts_table(jsonl(path), "document", str(path), titles=True)


def _queries(path: Path) -> None:
    from dibs.data.rows import jsonl, texts_table

    texts_table(jsonl(path), "query", str(path), titles=False)


def _qrels(path: Path) -> None:
    from dibs.data.qrels import judgements

    for _ in judgements(path):
        pass


def _run(path: Path) -> None:
    from dibs.retrieval.run import read_run

    read_run(path)


def _labels(path: Path) -> None:
    from dibs.rag.labels import read_labels

    read_labels(path)


def _record(path: Path) -> None:
    """A record's manifest: what reads it raises DamagedError, and faults are told and not raised."""
    from dibs.records import Record, all_records

    record = Record(path.parent)
    record.faults()
    list(all_records(path.parents[3]))
    assert record.kind
    for name in ("scores", "task", "pipeline"):
        with suppress(KeyError, TypeError):  # which `faults` has told
            getattr(record, name)


def _pairs(path: Path) -> None:
    """The pairs themselves, with a manifest that is right about them."""
    import gzip

    from dibs.files import sha256_file, write_json
    from dibs.training.pairs import PAIRS, read_pairs

    packed = path.with_name(PAIRS)
    packed.write_bytes(gzip.compress(path.read_bytes(), 0))
    write_json(path.with_name("manifest.json"), {"files": {PAIRS: sha256_file(packed)}})
    read_pairs(path.parent)


def _pairs_manifest(path: Path) -> None:
    from dibs.training.pairs import read_pairs

    read_pairs(path.parent)


TARGETS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "card": ("card.toml", _card),
    "corpus": ("corpus.jsonl", _corpus),
    "queries": ("queries.jsonl", _queries),
    "qrels-tsv": ("qrels.tsv", _qrels),
    "qrels-jsonl": ("qrels.jsonl", _qrels),
    "run": ("run.trec", _run),
    "run-gzip": ("run.trec.gz", _run),
    "labels-csv": ("labels.csv", _labels),
    "labels-jsonl": ("labels.jsonl", _labels),
    "record": ("results/task/pipeline/hash/manifest.json", _record),
    "pairs": ("pairs.jsonl", _pairs),
    "pairs-manifest": ("manifest.json", _pairs_manifest),
}
"""What each is called: the file that holds the bytes, and what reads it."""


def feed(name: str, content: bytes, folder: Path) -> bool:
    """Whether the reader takes the bytes; False is an error of ours, and any other one is raised."""
    from dibs.errors import DibsError

    file, read = TARGETS[name]
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    try:
        read(path)
    except DibsError as error:
        if not error.where:
            raise AssertionError(f"{error!r} does not say where") from error
        return False
    return True


def main() -> None:
    """Fuzz the target that is named first until libFuzzer's options end it."""
    import atheris

    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=["dibs", "tomllib", "json", "csv"]):
        import dibs.cards.read
        import dibs.data.qrels
        import dibs.rag.labels
        import dibs.records
        import dibs.retrieval.run
        import dibs.training.pairs  # noqa: F401 - imported so that atheris sees into them
    with tempfile.TemporaryDirectory() as folder:

        def one(content: bytes) -> None:
            feed(name, content, Path(folder))

        atheris.Setup(sys.argv, one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
