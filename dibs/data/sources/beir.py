"""A folder as BEIR lays it out, plain or gzipped, or the same three tables as parquet.

    corpus.jsonl     {"_id": ..., "title": ..., "text": ..., "metadata": {...}}
    queries.jsonl    {"_id": ..., "text": ..., "metadata": {...}}
    qrels/test.tsv   query-id <tab> corpus-id <tab> score, with that heading

MTEB's folders (a README.md that lists `configs:`) are read too.
"""

from __future__ import annotations

from pathlib import Path

from dibs.data.prepare import SourceData, SourceRequest, check_pinned
from dibs.data.sources.hub import is_mteb_folder, read_folder
from dibs.data.sources.tables import read_files
from dibs.data.state import how_to_get
from dibs.errors import InputError, MissingError


def read(request: SourceRequest) -> SourceData:
    """The tables of the folder that was given, else of the card's own.

    Raises:
        InputError: a file is absent or malformed; file, line and id are named.
        MissingError: neither a folder was given nor has the card one.
    """
    card = request.card
    folder = request.folder or (Path(card.source.path) if card.source.path else None)
    if folder is None:
        raise MissingError(f"{card.name} needs a copy of its data", todo=how_to_get(card))
    for name in card.source.files:
        check_pinned(card, name, folder / name)
    if is_mteb_folder(folder):
        return read_folder(folder, card.source.split, card.source.subset)
    corpus, queries = (_find(folder, name) for name in ("corpus", "queries"))
    return read_files([corpus], [queries], [_find_qrels(folder, card.source.split)])


def _find(folder: Path, name: str) -> Path:
    for ending in (".jsonl", ".jsonl.gz", ".parquet"):
        if (path := folder / f"{name}{ending}").is_file():
            return path
    raise InputError(
        f"there is no {name}.jsonl (or .jsonl.gz, .parquet)",
        where=str(folder),
        todo="See docs/data.md for the layout.",
    )


def _find_qrels(folder: Path, split: str) -> Path:
    candidates = [folder / "qrels" / f"{split}{ending}" for ending in (".tsv", ".tsv.gz", ".parquet")]
    for path in (*candidates, folder / "qrels.tsv", folder / "qrels.parquet"):
        if path.is_file():
            return path
    raise InputError(
        f"there is no qrels/{split}.tsv", where=str(folder), todo="See docs/data.md for the layout."
    )
