"""The files of a GitHub repository at one revision, as a list to fetch."""

from __future__ import annotations

import os
import re
from contextlib import nullcontext
from functools import partial
from typing import Annotated, NamedTuple
from urllib.parse import quote

import httpx
from pydantic import BaseModel, StringConstraints, ValidationError
from tenacity.wait import wait_base

from dibs.data.fetch import RemoteFile
from dibs.errors import InputError, MissingError, ProviderError
from dibs.keys import may_go
from dibs.retry import POLITE, BusyError, check_status, connected, with_retries

TOKEN = "GITHUB_TOKEN"
_TODO = f"Set {TOKEN} to a token of yours, which raises the limit, or give your own copy: --from FOLDER."


class _Entry(BaseModel):
    path: str
    type: str
    sha: Annotated[str, StringConstraints(pattern="^[0-9a-f]{40}$")]
    size: int | None = None  # absent for a folder


class Listed(NamedTuple):
    """What a folder's list says of one of its parts."""

    kind: str
    """"blob" (a file), "tree" (a folder) or "commit" (another repository, which an archive leaves out)."""
    sha: str


class _Tree(BaseModel):
    tree: list[_Entry]
    truncated: bool


def list_files(
    repository: str,
    revision: str,
    prefix: str,
    client: httpx.Client | None = None,
    api: str = "https://api.github.com",
    raw: str = "https://raw.githubusercontent.com",
    *,
    attempts: int = 5,
    wait: wait_base = POLITE,
) -> list[RemoteFile]:
    """The files below the folder `prefix` (all if it is empty), with size and git hash, in GitHub's order.

    A token in the environment variable GITHUB_TOKEN is sent to GitHub's own `api` (or the one that
    GITHUB_API_URL names) and nowhere else.

    Args:
        repository: "owner/name".
        revision: A commit (best: it never changes), tag or branch.
        client: Left open; by default one with timeouts of 30 seconds.
        attempts: The first included.
        wait: Seconds between attempts.

    Returns:
        Files whose `path` is the whole path in the repository.

    Raises:
        InputError: `repository` or the token is malformed.
        MissingError: there is no such repository, revision or folder.
        ProviderError: the rate limit is reached, the list is cut off or malformed, or GitHub is out of reach.
    """
    tree = _asked(repository, revision, client, api, attempts, wait, recursive=True)
    if tree.truncated:
        problem = "the repository has more files than GitHub lists at once"
        raise ProviderError(problem, where=repository, todo="Give your own copy of its files: --from FOLDER.")
    folder = prefix.rstrip("/") + "/" if prefix else ""
    base = f"{raw}/{repository}/{quote(revision)}"
    files = [
        RemoteFile(f"{base}/{quote(entry.path)}", entry.path, size=entry.size, git_sha1=entry.sha)
        for entry in tree.tree
        if entry.type == "blob" and entry.path.startswith(folder)
    ]
    if not files:
        raise MissingError(f"there is no file below {prefix!r} at revision {revision}", where=repository)
    return files


def list_folder(
    repository: str,
    sha: str,
    client: httpx.Client | None = None,
    api: str = "https://api.github.com",
    *,
    attempts: int = 5,
    wait: wait_base = POLITE,
) -> dict[str, Listed]:
    """What is directly in a folder, by name; arguments as those of `list_files`.

    Args:
        sha: What Git calls the folder; a commit stands for the repository's own.

    Raises:
        InputError: `repository` or the token is malformed.
        MissingError: there is no such repository or folder.
        ProviderError: as `list_files`.
    """
    tree = _asked(repository, sha, client, api, attempts, wait)
    if tree.truncated:
        raise ProviderError("a folder has more files than GitHub lists", where=f"{repository}, {sha}")
    return {entry.path: Listed(entry.type, entry.sha) for entry in tree.tree}


def _asked(
    repository: str,
    sha: str,
    client: httpx.Client | None,
    api: str,
    attempts: int,
    wait: wait_base,
    *,
    recursive: bool = False,
) -> _Tree:
    if not re.fullmatch(r"[A-Za-z0-9][\w-]*/(?!\.\.?$)[\w.-]+", repository, re.ASCII):
        raise InputError(f"{repository!r} is no GitHub repository", todo="Write it as owner/name.")
    url = f"{api}/repos/{repository}/git/trees/{quote(sha, safe='')}{'?recursive=1' if recursive else ''}"
    with nullcontext(client) if client else connected(lambda: httpx.Client(timeout=30)) as http:
        ask = partial(_tree, http, url, _headers(api))
        try:
            return with_retries(ask, url, attempts=attempts, wait=wait)
        except BusyError as error:
            raise ProviderError(
                error.problem, where=url, todo=_TODO if error.status == 429 else None
            ) from error


def _headers(api: str) -> dict[str, str]:
    headers = {"Accept": "application/vnd.github+json"}
    token = os.environ.get(TOKEN, "").strip()
    # Refused here because the HTTP library would quote a malformed header, token and all, in its error.
    if not re.fullmatch(r"[!-~]*", token):
        raise InputError("is not a token: it holds blanks or letters beyond ASCII", where=TOKEN)
    return headers | ({"Authorization": f"Bearer {token}"} if token and may_go(TOKEN, api) else {})


def _tree(client: httpx.Client, url: str, headers: dict[str, str]) -> _Tree:
    response = client.get(url, headers=headers, follow_redirects=True)
    if response.status_code == 403:
        raise ProviderError("GitHub refuses (403), most often for its rate limit", where=url, todo=_TODO)
    check_status(response)
    try:
        return _Tree.model_validate_json(response.content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        problem = f"the answer is not a list of files: {field} {first['msg']}".replace(":  ", ": ")
        raise ProviderError(problem, where=url) from error
