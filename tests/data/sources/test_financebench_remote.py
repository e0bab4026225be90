"""From the card to the data set over the network: a mirror on this machine stands for GitHub."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tenacity import wait_none

from dibs.cards.task import TaskCard
from dibs.data.dataset import open_dataset
from dibs.data.fetch import fetch
from dibs.data.prepare import prepare
from dibs.data.sources.financebench import FILINGS, QUESTIONS, remote
from dibs.errors import DamagedError, MissingError
from dibs.workspace import Workspace
from tests.data.financebench import ASKED, KITES, LAMPS, LISTED, ROPES, jsonl, put_pdf
from tests.data.servers import Server, content, serving, status

TREE = "/repos/some/filings/git/trees/abc123?recursive=1"
TABLES = {QUESTIONS: jsonl(*ASKED), FILINGS: jsonl(*LISTED)}


def at(path: str) -> str:
    return f"/some/filings/abc123/{path}"


def git_hash(body: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()


@pytest.fixture
def pdfs(tmp_path: Path) -> dict[str, bytes]:
    """The filings that the mirror has, by path; one that is listed is absent, one is not listed."""
    made = {}
    for name, pages in (
        (KITES, ("Umbral Kites Inc.", "Kites sold: 1,200.", "Last page")),
        (LAMPS, ("Lampworks", "Lamps lit: 40.")),
        ("UNLISTED_2020_10K", ("Not among the listed.",)),
    ):
        put_pdf(tmp_path / "made.pdf", *pages)
        made[f"pdfs/{name}.pdf"] = (tmp_path / "made.pdf").read_bytes()
    return made


@pytest.fixture
def mirror(pdfs: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    monkeypatch.setattr(remote, "fetch", partial(fetch, wait=wait_none()))
    entries = [
        {"path": path, "type": "blob", "sha": git_hash(body), "size": len(body)}
        for path, body in pdfs.items()
    ]
    with serving() as server:
        server.on(TREE, content(json.dumps({"tree": entries, "truncated": False}).encode()))
        for name, body in TABLES.items():
            server.on(at(f"data/{name}"), content(body))
        for path, body in pdfs.items():
            server.on(at(path), content(body))
        yield server


def card(mirror: Server, **source: Any) -> TaskCard:
    pins = {name: hashlib.sha256(body).hexdigest() for name, body in TABLES.items()}
    where = {"kind": "financebench", "repository": "some/filings", "revision": "abc123", "files": pins}
    where |= {"api": mirror.url, "raw": mirror.url}
    values = {"name": "Tiny", "description": "d", "licence": "mit", "citation": "c"}
    return TaskCard.model_validate(values | {"source": where | source})


def asked(mirror: Server) -> Counter[str]:
    """How often each path was asked for since the last call."""
    paths = Counter(request.path for request in mirror.asked)
    mirror.asked.clear()
    return paths


def test_what_the_card_names_is_fetched_once_and_prepared(
    mirror: Server, pdfs: dict[str, bytes], workspace: Workspace
) -> None:
    kites, lamps = (f"pdfs/{name}.pdf" for name in (KITES, LAMPS))
    body = pdfs[kites]
    mirror.on(at(kites), content(body, etag='"v1"', drop_at=100), content(body, etag='"v1"'))
    first = prepare(card(mirror), workspace)
    assert first.document_ids == [
        f"{LAMPS}_p0000",
        f"{LAMPS}_p0001",
        *(f"{KITES}_p000{number}" for number in range(3)),
        f"{ROPES}_p0007",
    ]
    assert first.document(f"{KITES}_p0001")["text"] == "Kites sold: 1,200."
    assert first.document(f"{ROPES}_p0007")["origin"] == "question file"
    assert first.info.source["raw"] == mirror.url
    assert [request.range for request in mirror.asked if request.path == at(kites)] == [None, "bytes=100-"]
    tables = {at(f"data/{name}"): 1 for name in TABLES}
    assert asked(mirror) == {TREE: 1, at(kites): 2, at(lamps): 1} | tables

    second = prepare(card(mirror), workspace)
    assert asked(mirror) == {TREE: 1}
    assert second.info == first.info
    folders = [path for path in (workspace.data / "Tiny").iterdir() if path.is_dir()]
    assert folders == [second.folder]


@pytest.mark.parametrize(
    ("answers", "kind", "problem"),
    [
        (lambda body: content(bytes(len(body))), DamagedError, "expected git hash"),
        (lambda body: status(404), MissingError, "the server answered 404"),
    ],
    ids=["other bytes", "not there"],
)
def test_a_filing_that_cannot_be_had_is_named_and_the_others_are_kept(
    mirror: Server,
    pdfs: dict[str, bytes],
    workspace: Workspace,
    answers: Any,
    kind: type[Exception],
    problem: str,
) -> None:
    lamps = f"pdfs/{LAMPS}.pdf"
    url = mirror.on(at(lamps), answers(pdfs[lamps]))
    with pytest.raises(kind) as caught:
        prepare(card(mirror), workspace)
    assert url in str(caught.value)
    assert problem in str(caught.value)
    with pytest.raises(FileNotFoundError):
        open_dataset(workspace.data / "Tiny")

    asked(mirror)
    mirror.on(at(lamps), content(pdfs[lamps]))
    assert prepare(card(mirror), workspace).info.documents == 6
    assert asked(mirror) == {TREE: 1, at(lamps): 1}


def test_a_table_that_is_not_the_pinned_one_is_refused(mirror: Server, workspace: Workspace) -> None:
    url = mirror.on(at(f"data/{FILINGS}"), content(TABLES[FILINGS] + b"\n"))
    with pytest.raises(DamagedError, match="expected SHA-256") as caught:
        prepare(card(mirror), workspace)
    assert caught.value.where == url
    assert TREE not in asked(mirror)
