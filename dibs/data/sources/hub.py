"""A data set in MTEB's layout, on the hub or in a folder: configurations corpus, queries and qrels.

The files are those that `configs:` in its README.md lists, and they are read like any others here:
the hub's own reader makes dates of texts that look like some, and its errors name neither file nor line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from dibs.data.prepare import SourceData, SourceRequest
from dibs.data.sources.tables import read_files
from dibs.errors import InputError
from dibs.hub import fetch

_README = "README.md"
_LAYOUT = "MTEB's layout has the configurations corpus, queries and default (the qrels)."
_ENDINGS = (".jsonl", ".jsonl.gz", ".parquet", ".tsv", ".tsv.gz")


class _DataFiles(BaseModel):
    split: str = "train"  # as the hub has it
    path: str | list[str]


class _Configuration(BaseModel):
    config_name: str = "default"
    data_files: str | list[str | _DataFiles] = []

    def splits(self) -> dict[str, list[str]]:
        """The patterns of each split's files."""
        found: dict[str, list[str]] = {}
        for entry in [self.data_files] if isinstance(self.data_files, str) else self.data_files:
            files = _DataFiles(path=entry) if isinstance(entry, str) else entry
            paths = [files.path] if isinstance(files.path, str) else files.path
            found.setdefault(files.split, []).extend(paths)
        return found


class _Header(BaseModel):
    configs: list[_Configuration]


def read(request: SourceRequest) -> SourceData:
    """The hub data set that the card names, at its pinned revision, or a folder of the same layout.

    Raises:
        MissingError: the hub has no such data set, or it needs a token.
        ProviderError: the hub cannot be reached, and its cache has not that revision.
        InputError: the layout or a row is malformed.
    """
    source = request.card.source
    folder = request.folder
    if folder is None:
        if source.repository is None:
            problem = f"the card of {request.card.name} names no repository"
            raise InputError(problem, todo="Set source.repository.")
        folder = _fetched(source.repository, source.revision, source.subset)
    return read_folder(folder, source.split, source.subset)


def is_mteb_folder(folder: Path) -> bool:
    """Whether the folder describes itself as a hub data set does."""
    card = folder / _README
    return card.is_file() and "configs:" in card.read_text(encoding="utf-8", errors="replace")


def read_folder(folder: Path, split: str, subset: str | None = None) -> SourceData:
    """Corpus, queries and qrels of a folder, validated.

    Args:
        split: The one that is meant; of the corpus and the queries there may be just one for all.
        subset: For data sets with several, the one meant; its configurations are `SUBSET-corpus`, ...

    Raises:
        InputError: the layout or a row is malformed.
    """
    corpus, queries, qrels = _configurations(folder, subset)
    return read_files(
        list(_files(folder, corpus, [split, "corpus", *_only(corpus.splits())])),
        list(_files(folder, queries, [split, "queries", *_only(queries.splits())])),
        list(_files(folder, qrels, [split])),
    )


def _configurations(folder: Path, subset: str | None) -> list[_Configuration]:
    """The three that hold corpus, queries and qrels."""
    from huggingface_hub import metadata_load

    path = folder / _README
    try:
        listed = _Header.model_validate((path.is_file() and metadata_load(path)) or {}).configs
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise InputError(f"field {field!r}: {first['msg']}", where=str(path), todo=_LAYOUT) from None
    except Exception as error:  # the parser of YAML has a family of its own
        raise InputError(f"its heading is not YAML: {error}", where=str(path), todo=_LAYOUT) from error
    found = {configuration.config_name: configuration for configuration in listed}
    wanted: list[tuple[str, ...]] = [("corpus",), ("queries",), ("default", "qrels")]
    if subset is not None:
        wanted = [(f"{subset}-corpus",), (f"{subset}-queries",), (f"{subset}-qrels", subset)]
    chosen = []
    for names in wanted:
        name = next((name for name in names if name in found), None)
        if name is None:
            problem = f"there is no configuration {names[0]!r}"
            raise InputError(problem, where=str(path), todo=f"It has: {', '.join(found)}. {_LAYOUT}")
        chosen.append(found[name])
    return chosen


def _only(splits: dict[str, list[str]]) -> list[str]:
    return list(splits) if len(splits) == 1 else []


def _files(folder: Path, configuration: _Configuration, wanted: Sequence[str]) -> Iterator[Path]:
    """The files of the first split of `wanted` that is there."""
    splits = configuration.splits()
    split = next((name for name in wanted if name in splits), None)
    if split is None:
        raise InputError(
            f"the configuration {configuration.config_name!r} has no split {wanted[0]!r}",
            where=str(folder / _README),
            todo=f"It has: {', '.join(splits) or 'none'}.",
        )
    for pattern in splits[split]:
        paths = [] if ".." in pattern or pattern.startswith("/") else sorted(folder.glob(pattern))
        paths = [path for path in paths if path.is_file()]
        if not paths:
            problem = f"there is no file {pattern!r}, which {configuration.config_name!r} is made of"
            raise InputError(problem, where=str(folder), todo=f"Bring it, or correct {_README}.")
        for path in paths:
            if not path.name.endswith(_ENDINGS):
                todo = f"Convert it to one of: {', '.join(_ENDINGS)}."
                raise InputError("is of a kind that is not read here", where=str(path), todo=todo)
            yield path


def _fetched(name: str, revision: str | None, subset: str | None) -> Path:
    """The hub's own cache folder with the files of one revision that are needed."""
    folder = fetch("dataset", name, revision, only=[_README], later=_LATER)
    configurations = _configurations(folder, subset)
    patterns = [p for found in configurations for paths in found.splits().values() for p in paths]
    # The folder is named after the commit; the files are its, even if the hub moves on meanwhile.
    return fetch("dataset", name, folder.name, only=[_README, *patterns], later=_LATER)


_LATER = "Try again later, or give your own copy: --from FOLDER."
