from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tenacity import wait_none

from dibs.data.fetch import RemoteFile, fetch
from dibs.data.github import Listed, list_files, list_folder
from dibs.errors import DibsError, InputError, MissingError, ProviderError
from tests.data.servers import Answer, Server, content, serving, status

TREE = "/repos/some/repo/git/trees/abc123?recursive=1"
SHA1 = "0123456789abcdef0123456789abcdef01234567"
SECRET = "ghp_do_not_tell"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    # The server speaks plain HTTP, and reading the certificates takes 30 ms for each client.
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *places, **named: None)
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    with serving() as server:
        yield server


def blob(path: str, size: int = 1, sha: str = SHA1) -> dict[str, Any]:
    return {"path": path, "mode": "100644", "type": "blob", "sha": sha, "size": size, "url": "https://x"}


def tree(*entries: dict[str, Any], truncated: bool = False) -> Answer:
    answer = {"sha": SHA1, "url": "https://x", "tree": list(entries), "truncated": truncated}
    return content(json.dumps(answer).encode())


def listed(server: Server, prefix: str = "pdfs", **options: Any) -> list[RemoteFile]:
    arguments: dict[str, Any] = {
        "api": server.url,
        "raw": "https://raw.example.org",
        "wait": wait_none(),
    } | options
    return list_files("some/repo", "abc123", prefix, **arguments)


def test_the_files_of_a_folder_become_addresses_with_size_and_hash(server: Server) -> None:
    folder = {"path": "pdfs", "mode": "040000", "type": "tree", "sha": SHA1}
    module = {"path": "pdfs/other", "mode": "160000", "type": "commit", "sha": SHA1}
    server.on(TREE, tree(blob("README.md"), folder, module, blob("pdfs/b.pdf", 7), blob("pdfs/sub/a.pdf", 0)))
    base = "https://raw.example.org/some/repo/abc123"
    assert listed(server) == [
        RemoteFile(f"{base}/pdfs/b.pdf", "pdfs/b.pdf", size=7, git_sha1=SHA1),
        RemoteFile(f"{base}/pdfs/sub/a.pdf", "pdfs/sub/a.pdf", size=0, git_sha1=SHA1),
    ]
    assert [asked.path for asked in server.asked] == [TREE]


@pytest.mark.parametrize("prefix", ["pdfs", "pdfs/"])
def test_a_prefix_is_a_folder(server: Server, prefix: str) -> None:
    server.on(TREE, tree(blob("pdfs2/a.pdf"), blob("pdfs.txt"), blob("x/pdfs/a.pdf"), blob("pdfs/a.pdf")))
    assert [file.path for file in listed(server, prefix)] == ["pdfs/a.pdf"]


def test_no_prefix_is_the_whole_repository(server: Server) -> None:
    server.on(TREE, tree(blob("a"), blob("b/c")))
    assert [file.path for file in listed(server, "")] == ["a", "b/c"]


def test_names_are_quoted_in_addresses_only(server: Server) -> None:
    server.on(TREE, tree(blob("pdfs/ü #1?.pdf")))
    [file] = listed(server)
    assert file.path == "pdfs/ü #1?.pdf"
    assert file.url.endswith("/pdfs/%C3%BC%20%231%3F.pdf")


def test_a_branch_with_a_slash_is_one_part_of_the_address(server: Server) -> None:
    server.on("/repos/some/repo/git/trees/fix%2Fit?recursive=1", tree(blob("a")))
    [file] = list_files("some/repo", "fix/it", "", api=server.url)
    assert file.url == "https://raw.githubusercontent.com/some/repo/fix/it/a"


def test_what_is_listed_can_be_fetched(server: Server, tmp_path: Path) -> None:
    body = b"%PDF-1.7"
    sha = hashlib.sha1(b"blob 8\0" + body).hexdigest()
    server.on(TREE, tree(blob("pdfs/a b.pdf", 8, sha)))
    server.on("/some/repo/abc123/pdfs/a%20b.pdf", content(body))
    fetch(listed(server, raw=server.url), tmp_path)
    assert (tmp_path / "pdfs/a b.pdf").read_bytes() == body


@pytest.mark.parametrize("prefix", ["docs", "pdfs/a.pdf"])
def test_a_folder_without_files_is_missing(server: Server, prefix: str) -> None:
    server.on(TREE, tree(blob("pdfs/a.pdf")))
    with pytest.raises(MissingError, match="no file below") as caught:
        listed(server, prefix)
    assert caught.value.where == "some/repo"
    assert "abc123" in caught.value.problem


def test_a_list_that_is_cut_off_is_refused(server: Server) -> None:
    server.on(TREE, tree(blob("pdfs/a.pdf"), truncated=True))
    with pytest.raises(ProviderError, match="--from FOLDER"):
        listed(server)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"tree": []}',
        b'{"tree": {}, "truncated": false}',
        b'{"tree": [{"path": "a"}], "truncated": false}',
        b'{"tree": [{"path": 1, "type": "blob", "sha": "%b"}], "truncated": false}' % SHA1.encode(),
        b'{"tree": [{"path": "a", "type": "blob", "sha": "xyz"}], "truncated": false}',
        b'{"tree": [], "truncated": fal',
        b"\xff\xfe",
    ],
)
def test_an_answer_that_is_no_list_is_refused(server: Server, body: bytes) -> None:
    server.on(TREE, content(body))
    with pytest.raises(ProviderError, match="is not a list of files") as caught:
        listed(server)
    assert caught.value.where == server.url + TREE
    assert len(server.asked) == 1


def test_a_path_that_leaves_the_folder_is_refused(server: Server) -> None:
    server.on(TREE, tree(blob("pdfs/../../a")))
    with pytest.raises(InputError, match="does not stay inside"):
        listed(server)


@pytest.mark.parametrize(("code", "requests"), [(403, 1), (429, 3)])
def test_the_rate_limit_names_its_remedies(server: Server, code: int, requests: int) -> None:
    server.on(TREE, status(code, b'{"message": "API rate limit exceeded"}'))
    with pytest.raises(ProviderError) as caught:
        listed(server, attempts=3)
    assert str(code) in caught.value.problem
    assert "GITHUB_TOKEN" in str(caught.value)
    assert "--from FOLDER" in str(caught.value)
    assert len(server.asked) == requests


def test_a_busy_server_is_asked_again(server: Server) -> None:
    server.on(TREE, status(502), status(429), tree(blob("pdfs/a.pdf")))
    assert len(listed(server)) == 1
    assert len(server.asked) == 3


def test_a_server_that_stays_busy_is_named(server: Server) -> None:
    server.on(TREE, status(503))
    with pytest.raises(ProviderError, match="503") as caught:
        listed(server, attempts=2)
    assert caught.value.where == server.url + TREE
    assert "GITHUB_TOKEN" not in str(caught.value)


@pytest.mark.parametrize("code", [401, 404, 409])
def test_an_unknown_repository_is_missing(server: Server, code: int) -> None:
    server.on(TREE, status(code, b'{"message": "Not Found"}'))
    with pytest.raises(MissingError, match=str(code)):
        listed(server)
    assert len(server.asked) == 1


def test_without_a_token_none_is_sent(server: Server) -> None:
    server.on(TREE, tree(blob("pdfs/a.pdf")))
    listed(server)
    assert "Authorization" not in server.asked[0].headers


def test_the_token_is_sent_to_the_api_only(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", f" {SECRET}\n")
    server.on(TREE, tree(blob("pdfs/a.pdf", 1, hashlib.sha1(b"blob 1\0x").hexdigest())))
    server.on("/some/repo/abc123/pdfs/a.pdf", content(b"x"))
    fetch(listed(server, raw=server.url), tmp_path)
    assert server.asked[0].headers["Authorization"] == f"Bearer {SECRET}"
    assert "Authorization" not in server.asked[1].headers


@pytest.mark.parametrize(
    "answer", [status(403), status(401), status(404), status(429), status(500), content(b"<html>")]
)
def test_the_token_is_in_no_error_or_log(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, answer: Answer
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", SECRET)
    server.on(TREE, answer)
    with caplog.at_level("DEBUG"), pytest.raises(DibsError) as caught:
        listed(server, attempts=2)
    assert SECRET not in repr(caught.value)
    assert SECRET not in repr(caught.value.__cause__)
    assert SECRET not in caplog.text


@pytest.mark.parametrize("token", [f"{SECRET}\nHost: x", f"{SECRET} two", f"{SECRET}\x7f", f"{SECRET}é"])
def test_a_malformed_token_is_refused_without_quoting_it(
    server: Server, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", token)
    with pytest.raises(InputError, match="GITHUB_TOKEN") as caught:
        listed(server)
    assert SECRET not in str(caught.value)
    assert server.asked == []


@pytest.mark.parametrize(
    "repository",
    ["", "name", "a/b/c", "a/b?x", "../x", "x/..", "x/.", "a /b", "a/b\n", "https://github.com/a/b"],
)
def test_a_repository_is_owner_and_name(server: Server, repository: str) -> None:
    with pytest.raises(InputError, match="owner/name"):
        list_files(repository, "abc123", "pdfs", api=server.url)
    assert server.asked == []


@pytest.mark.parametrize("repository", ["a/b", "patronus-ai/financebench", "A_b/.github", "0/a.b_c-d"])
def test_a_repository_that_may_be_is_asked_for(server: Server, repository: str) -> None:
    server.on(f"/repos/{repository}/git/trees/abc123?recursive=1", tree(blob("a")))
    assert len(list_files(repository, "abc123", "", api=server.url)) == 1


FOLDER = "/repos/some/repo/git/trees/abc123"


def test_a_folder_is_listed_alone(server: Server) -> None:
    other = "fedcba9876543210fedcba9876543210fedcba98"
    parts = [
        blob("README.md"),
        {"path": "docs", "mode": "040000", "type": "tree", "sha": other},
        {"path": "module", "mode": "160000", "type": "commit", "sha": SHA1},
    ]
    server.on(FOLDER, tree(*parts))
    assert list_folder("some/repo", "abc123", api=server.url, wait=wait_none()) == {
        "README.md": Listed("blob", SHA1),
        "docs": Listed("tree", other),
        "module": Listed("commit", SHA1),
    }
    assert [asked.path for asked in server.asked] == [FOLDER]


def test_a_folder_that_is_cut_off_or_gone_is_an_error(server: Server) -> None:
    server.on(FOLDER, tree(blob("a"), truncated=True))
    with pytest.raises(ProviderError, match="a folder has more files than GitHub lists"):
        list_folder("some/repo", "abc123", api=server.url, wait=wait_none())
    with pytest.raises(MissingError, match="404"):
        list_folder("some/repo", "gone", api=server.url, wait=wait_none())
