"""Public repositories in small: archives and lists as GitHub gives them. All texts are invented."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping

from tests.data.servers import Server, content

REVISION = "0123456789abcdef0123456789abcdef01234567"


def archive(files: Mapping[str, bytes], root: str = "name-abc", **members: tarfile.TarInfo) -> bytes:
    """A .tar.gz of one folder with the files; `members` are put in after them, without content."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path, body in files.items():
            member = tarfile.TarInfo(f"{root}/{path}")
            member.size, member.mode = len(body), 0o664
            tar.addfile(member, io.BytesIO(body))
        for member in members.values():
            tar.addfile(member)
    return packed.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, to: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, to
    return made


def publish(server: Server, name: str, files: Mapping[str, bytes], revision: str = REVISION) -> str:
    """Let the server have a repository's archive and the lists of its folders; the archive's path."""
    folders: dict[str, dict[str, bytes]] = {"": {}}
    for path, body in files.items():
        folder = path.rpartition("/")[0]
        folders.setdefault(folder, {})[path] = body
        while folder:
            folder = folder.rpartition("/")[0]
            folders.setdefault(folder, {})
    entries: dict[str, list[dict[str, str]]] = {folder: [] for folder in folders}
    for path, body in files.items():
        entries[path.rpartition("/")[0]].append(entry(path, "blob", _sha(b"blob", body)))
    for folder in sorted(filter(None, folders), key=lambda folder: -folder.count("/")):
        listed = sorted(entries[folder], key=lambda e: e["path"] + ("/" if e["type"] == "tree" else ""))
        rows = (
            (b"40000" if e["type"] == "tree" else b"100644")
            + f" {e['path']}\0".encode()
            + bytes.fromhex(e["sha"])
            for e in listed
        )
        sha = _sha(b"tree", b"".join(rows))
        entries[folder.rpartition("/")[0]].append(entry(folder, "tree", sha))
        say(server, name, sha, entries[folder])
    say(server, name, revision, entries[""])
    path = f"/{name}/tar.gz/{revision}"
    server.on(path, content(archive(files, f"{name.partition('/')[2]}-{revision}"), etag='"v1"'))
    return path


def say(server: Server, name: str, sha: str, entries: list[dict[str, str]]) -> str:
    """Let the server list a folder so; the list's path."""
    path = f"/repos/{name}/git/trees/{sha}"
    server.on(path, content(json.dumps({"sha": sha, "tree": entries, "truncated": False}).encode()))
    return path


def entry(path: str, kind: str, sha: str) -> dict[str, str]:
    return {"path": path.rpartition("/")[2], "type": kind, "sha": sha}


def _sha(kind: bytes, body: bytes) -> str:
    return hashlib.sha1(kind + b" %d\0" % len(body) + body).hexdigest()
