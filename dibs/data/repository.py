"""Files of a public repository at its pinned commit: from its archive, or from a copy on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

from dibs.cards.task import Repository, Source, TaskCard
from dibs.data.archive import Unpacked, read_archive, refuse_large
from dibs.data.fetch import RemoteFile, fetch
from dibs.data.github import Listed, list_folder
from dibs.data.prepare import SourceRequest
from dibs.errors import DamagedError, InputError, MissingError
from dibs.progress import track

_AGAIN = (
    "Run the same command again: the archive is deleted and will be fetched anew. "
    "If it is so again, give your own copy: --from FOLDER."
)


def named_repository(card: TaskCard, name: str) -> Repository:
    """The repository that the card calls so.

    Raises:
        InputError: it names none.
    """
    if name not in card.source.repositories:
        problem = f"the card of {card.name} names no repository {name!r}"
        todo = f"Set name and revision below [source.repositories.{name}]."
        raise InputError(problem, todo=todo)
    return card.source.repositories[name]


def repository_files(
    request: SourceRequest, repository: Repository, parts: Sequence[str], wanted: Callable[[str], bool]
) -> Mapping[str, bytes]:
    """The wanted files by their path in the repository, in the order of the paths.

    From the user's folder if one was given, which may hold several repositories, each in a folder or an
    archive of its name. Else the archive of the pinned commit is fetched once, and what is read of it is
    compared with what GitHub says that commit holds.

    Args:
        parts: Files and folders in the repository that have to be there; no others are looked into.
        wanted: Which of the files below them are read.

    Raises:
        MissingError: GitHub has no such repository or commit, or the folder no copy of it.
        InputError: a part is not in it, or a file is too large.
        ProviderError, DamagedError: the archive could not be fetched, or is not as the commit says.
    """

    def needed(path: str) -> bool:
        return any(path == part or path.startswith(f"{part}/") for part in parts) and wanted(path)

    if request.folder is not None:
        files, where = _from_copy(request.folder, repository, parts, needed)
    else:
        files, where = _fetched(request, repository, parts, needed)
    for part in parts:
        if not any(path == part or path.startswith(f"{part}/") for path in files):
            problem = f"there is nothing to read in {part!r}"
            todo = f"Check that it is {repository.name} at commit {repository.revision[:12]}."
            raise InputError(problem, where=where, todo=todo)
    return files


def _from_copy(
    folder: Path, repository: Repository, parts: Sequence[str], needed: Callable[[str], bool]
) -> tuple[Mapping[str, bytes], str]:
    archive, checkout = folder / _archive_name(repository), folder / _short(repository)
    if archive.is_file():
        return read_archive(archive, needed).files, str(archive)
    home = next((home for home in (checkout, folder) if all((home / part).exists() for part in parts)), None)
    if home is None:
        raise MissingError(
            f"there is no copy of {repository.name} here, nor data in BEIR's layout",
            where=str(folder),
            todo=f"Put {archive.name} or a checkout called {checkout.name} into it, "
            "or leave out --from to have it fetched.",
        )
    found = ((path.relative_to(home).as_posix(), path) for part in parts for path in _below(home / part))
    return {name: _content(name, path) for name, path in sorted(found) if needed(name)}, str(home)


def _below(part: Path) -> list[Path]:
    """The files; a link is none, wherever it leads."""
    paths = [part] if part.is_file() else part.rglob("*")
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def _content(name: str, path: Path) -> bytes:
    try:
        refuse_large(name, path.stat().st_size, str(path))
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from None


def _fetched(
    request: SourceRequest, repository: Repository, parts: Sequence[str], needed: Callable[[str], bool]
) -> tuple[Mapping[str, bytes], str]:
    source, name = request.card.source, _archive_name(repository)
    url = f"{source.archives}/{repository.name}/tar.gz/{repository.revision}"
    with track(f"Fetching {repository.name}", None, "bytes") as advance:
        fetch([RemoteFile(url, name)], request.downloads, on_bytes=advance)
    path = request.downloads / name
    try:
        unpacked = read_archive(path, needed)
        _compare(unpacked, source, repository, parts, str(path))
    except DamagedError as error:
        path.unlink(missing_ok=True)
        raise DamagedError(error.problem, where=error.where, todo=_AGAIN) from None
    return unpacked.files, str(path)


def _compare(
    unpacked: Unpacked, source: Source, repository: Repository, parts: Sequence[str], where: str
) -> None:
    """Compare the parts with what the commit says: a folder whole where it is equal, else what is in it.

    Raises:
        DamagedError: a file differs, is absent, or is not the commit's.
    """
    ask = cache(partial(list_folder, repository.name, api=source.api))

    def listed(path: str) -> Listed:
        folder, _, name = path.rpartition("/")
        around = ask(listed(folder).sha if folder else repository.revision)
        if name not in around:
            problem = f"there is no {path!r} at commit {repository.revision}"
            raise MissingError(problem, where=repository.name)
        return around[name]

    def compare(path: str, said: Listed) -> None:
        found = unpacked.hashes.get(path)
        if found == said.sha or said.kind == "commit":
            return
        if said.kind != "tree" or found is None:
            problem = "is absent" if found is None else f"has the git hash {found}, not {said.sha}"
            raise DamagedError(f"{path} {problem}", where=where)
        within = ask(said.sha)
        for file in unpacked.files:
            if file.startswith(f"{path}/") and file[len(path) + 1 :].partition("/")[0] not in within:
                raise DamagedError(f"{file} is not in the commit", where=where)
        for name, entry in within.items():
            compare(f"{path}/{name}", entry)

    for part in parts:
        compare(part, listed(part))


def _short(repository: Repository) -> str:
    return repository.name.partition("/")[2]


def _archive_name(repository: Repository) -> str:
    return f"{_short(repository)}-{repository.revision}.tar.gz"
