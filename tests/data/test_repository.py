from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tenacity import wait_none

from dibs.cards.task import TaskCard
from dibs.data import archive as archives
from dibs.data import repository as module
from dibs.data.fetch import fetch
from dibs.data.github import list_folder
from dibs.data.prepare import SourceRequest
from dibs.data.repository import named_repository, repository_files
from dibs.errors import DamagedError, InputError, MissingError, ProviderError
from tests.data.servers import Server, content, serving, status
from tests.data.upstream import REVISION, archive, entry, publish, say

NAME = "some/kites"
FILES = {
    "README.md": b"Kites\n",
    "docs/a/one.md": b"one\n",
    "docs/a/picture.png": b"\x89PNG",
    "docs/two.md": b"two\n",
    "other/three.md": b"three\n",
}
WANTED = {"docs/a/one.md": b"one\n", "docs/two.md": b"two\n"}
ROOT = f"/repos/{NAME}/git/trees/{REVISION}"
LOCAL = f"kites-{REVISION}.tar.gz"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *places, **named: None)
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    monkeypatch.setattr(module, "fetch", partial(fetch, wait=wait_none()))
    monkeypatch.setattr(module, "list_folder", partial(list_folder, wait=wait_none()))
    with serving() as server:
        yield server


def request(where: Path, server: Server | None = None, folder: Path | None = None) -> SourceRequest:
    repository = {"name": NAME, "revision": REVISION, "licence": "mit", "attribution": "Kites by some"}
    source: dict[str, Any] = {"kind": "kites", "repositories": {"kites": repository}}
    if server:
        source |= {"api": server.url, "archives": server.url}
    values = {"name": "Tiny", "description": "d", "licence": "mit", "citation": "c", "source": source}
    return SourceRequest(TaskCard.model_validate(values), where / "downloads", folder, complete=False)


def ask(asked: SourceRequest, *parts: str, ending: str = ".md") -> dict[str, bytes]:
    repository = named_repository(asked.card, "kites")
    return dict(repository_files(asked, repository, parts or ("docs",), lambda path: path.endswith(ending)))


def paths(server: Server) -> list[str]:
    asked = [request.path for request in server.asked]
    server.asked.clear()
    return asked


# Fetched


def test_an_archive_is_fetched_once_and_compared_with_the_commit(server: Server, tmp_path: Path) -> None:
    packed = publish(server, NAME, FILES)
    assert list(ask(request(tmp_path, server)).items()) == list(WANTED.items())
    # The list of the repository's own folder names the hash of docs, which covers all that is in it.
    assert paths(server) == [packed, ROOT]
    assert ask(request(tmp_path, server)) == WANTED
    assert paths(server) == [ROOT]


def test_a_download_that_stops_goes_on(server: Server, tmp_path: Path) -> None:
    packed = publish(server, NAME, FILES)
    body = archive(FILES, f"kites-{REVISION}")
    server.on(packed, content(body, etag='"v1"', drop_at=50), content(body, etag='"v1"'))
    assert ask(request(tmp_path, server)) == WANTED
    assert [asked.range for asked in server.asked if asked.path == packed] == [None, "bytes=50-"]


def test_files_and_folders_in_folders_may_be_asked_for(server: Server, tmp_path: Path) -> None:
    publish(server, NAME, FILES)
    found = ask(request(tmp_path, server), "docs/a", "README.md")
    assert found == {"docs/a/one.md": b"one\n", "README.md": b"Kites\n"}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (FILES | {"docs/a/one.md": b"uno\n"}, "docs/a/one.md has the git hash"),
        (FILES | {"docs/a/picture.png": b"gif"}, "docs/a/picture.png has the git hash"),
        (FILES | {"docs/new.md": b"new"}, "docs/new.md is not in the commit"),
        ({path: body for path, body in FILES.items() if path != "docs/two.md"}, "docs/two.md is absent"),
        ({"README.md": b"Kites\n"}, "docs is absent"),
    ],
    ids=["another text", "another picture", "one too many", "one too few", "no folder"],
)
def test_an_archive_that_is_not_as_the_commit_says_is_named_and_fetched_anew(
    server: Server, tmp_path: Path, changed: dict[str, bytes], problem: str
) -> None:
    packed = publish(server, NAME, FILES)
    server.on(packed, content(archive(changed)))
    with pytest.raises(DamagedError, match=problem) as caught:
        ask(request(tmp_path, server))
    assert caught.value.where == str(tmp_path / "downloads" / LOCAL)
    assert "fetched anew" in str(caught.value.todo)
    publish(server, NAME, FILES)
    assert ask(request(tmp_path, server)) == WANTED


def test_what_lies_beside_the_parts_is_not_compared(server: Server, tmp_path: Path) -> None:
    packed = publish(server, NAME, FILES)
    server.on(packed, content(archive(FILES | {"other/three.md": b"changed"})))
    assert ask(request(tmp_path, server)) == WANTED


def test_a_page_in_an_archives_place_is_damaged(server: Server, tmp_path: Path) -> None:
    packed = publish(server, NAME, FILES)
    server.on(packed, content(b"<html>Unicorn</html>"))
    with pytest.raises(DamagedError, match="is not a whole archive"):
        ask(request(tmp_path, server))
    assert not (tmp_path / "downloads" / LOCAL).exists()


def test_another_repository_in_a_folder_is_passed_over(server: Server, tmp_path: Path) -> None:
    # An archive has an empty folder in its place, so the hash of what is around it cannot be made anew.
    publish(server, NAME, FILES)
    blobs = archives.read_archive
    inner = {path: body for path, body in FILES.items() if path.startswith("docs/")}
    (tmp_path / "whole.tar.gz").write_bytes(archive(inner))
    hashes = blobs(tmp_path / "whole.tar.gz", bool).hashes
    listed = [entry("a", "tree", hashes["docs/a"]), entry("two.md", "blob", hashes["docs/two.md"])]
    say(server, NAME, "c" * 40, [*listed, entry("linked", "commit", "d" * 40)])
    say(server, NAME, REVISION, [entry("docs", "tree", "c" * 40)])
    assert ask(request(tmp_path, server)) == WANTED


def test_a_part_that_the_commit_lacks_is_named(server: Server, tmp_path: Path) -> None:
    publish(server, NAME, FILES)
    with pytest.raises(MissingError, match=f"there is no 'doc' at commit {REVISION}"):
        ask(request(tmp_path, server), "doc")
    with pytest.raises(InputError, match="there is nothing to read in 'docs'") as caught:
        ask(request(tmp_path, server), ending=".rst")
    assert f"{NAME} at commit {REVISION[:12]}" in str(caught.value.todo)


def test_a_commit_that_is_gone_is_named(server: Server, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="the server answered 404") as caught:
        ask(request(tmp_path, server))
    assert f"{NAME}/tar.gz/{REVISION}" in str(caught.value.where)


def test_a_list_that_cannot_be_had_leaves_the_archive(server: Server, tmp_path: Path) -> None:
    packed = publish(server, NAME, FILES)
    server.on(ROOT, status(403))
    with pytest.raises(ProviderError, match="GitHub refuses"):
        ask(request(tmp_path, server))
    publish(server, NAME, FILES)
    paths(server)
    assert ask(request(tmp_path, server)) == WANTED
    assert packed not in paths(server)


# From a copy


def put(folder: Path, files: dict[str, bytes] = FILES) -> Path:
    for path, body in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(body)
    return folder


@pytest.mark.parametrize("place", ["kites", "."])
def test_a_checkout_is_read(tmp_path: Path, place: str) -> None:
    put(tmp_path / "copy" / place)
    found = ask(request(tmp_path, folder=tmp_path / "copy"))
    assert list(found.items()) == list(WANTED.items())


def test_an_archive_in_the_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / LOCAL).write_bytes(archive(FILES))
    assert ask(request(tmp_path, folder=tmp_path)) == WANTED


def test_links_of_a_checkout_are_not_followed(tmp_path: Path) -> None:
    copy = put(tmp_path / "copy")
    put(tmp_path / "elsewhere", {"secret.md": b"secret", "in/secret.md": b"secret"})
    (copy / "docs" / "link.md").symlink_to(tmp_path / "elsewhere" / "secret.md")
    (copy / "docs" / "in").symlink_to(tmp_path / "elsewhere" / "in")
    assert ask(request(tmp_path, folder=copy)) == WANTED


def test_a_folder_without_a_copy_says_what_to_put_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingError, match=f"there is no copy of {NAME} here") as caught:
        ask(request(tmp_path, folder=tmp_path / "empty"))
    assert LOCAL in str(caught.value.todo)
    assert "called kites" in str(caught.value.todo)


def test_a_file_of_a_checkout_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = put(tmp_path / "copy")
    monkeypatch.setattr(archives, "MOST_FILE", 3)
    with pytest.raises(InputError, match="no file of more than 3 is read") as caught:
        ask(request(tmp_path, folder=copy))
    assert caught.value.where == str(copy / "docs" / "a" / "one.md")
    monkeypatch.undo()
    (copy / "docs" / "two.md").chmod(0)
    if not os.access(copy / "docs" / "two.md", os.R_OK):  # root may read everything
        with pytest.raises(InputError, match="cannot be read"):
            ask(request(tmp_path, folder=copy))


def test_a_repository_that_the_card_does_not_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the card of Tiny names no repository 'lamps'") as caught:
        named_repository(request(tmp_path).card, "lamps")
    assert "[source.repositories.lamps]" in str(caught.value.todo)
