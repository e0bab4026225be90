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
    corpus, queries = (find_table(folder, name) for name in ("corpus", "queries"))
    qrels = find_qrels(folder, card.source.split)
    if qrels is None:
        raise InputError(
            f"there is no qrels/{card.source.split}.tsv",
            where=str(folder),
            todo="See docs/data.md for the layout.",
        )
    return read_files([corpus], [queries], [qrels], parents=card.levels[:-1], scratch=request.downloads)


def is_ready(folder: Path | None) -> bool:
    """Whether the folder holds a corpus in one of these layouts."""
    return folder is not None and (is_mteb_folder(folder) or bool([*folder.glob("corpus.*")]))


def find_table(folder: Path, name: str) -> Path:
    """The file of the corpus or the queries.

    Raises:
        InputError: it is not there.
    """
    for ending in (".jsonl", ".jsonl.gz", ".parquet"):
        if (path := folder / f"{name}{ending}").is_file():
            return path
    raise InputError(
        f"there is no {name}.jsonl (or .jsonl.gz, .parquet)",
        where=str(folder),
        todo="See docs/data.md for the layout.",
    )


def find_qrels(folder: Path, split: str) -> Path | None:
    """The file of the qrels, if there is one."""
    candidates = [folder / "qrels" / f"{split}{ending}" for ending in (".tsv", ".tsv.gz", ".parquet")]
    files = (*candidates, folder / "qrels.tsv", folder / "qrels.parquet")
    return next((path for path in files if path.is_file()), None)
