"""No name from outside leads out of its folder."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

import dibs
from dibs.cards.model import ModelCard
from dibs.cards.read import read_card
from dibs.cards.task import TaskCard
from dibs.data.archive import read_archive
from dibs.data.fetch import RemoteFile
from dibs.data.prepare import ensure
from dibs.data.sources.hub import read_folder
from dibs.encoders.weights import packaged
from dibs.errors import DamagedError, InputError
from dibs.files import slug
from dibs.records import MTEB, record_folder
from dibs.resolve import card_name
from dibs.workspace import Workspace

HOSTILE = {
    "up": "../evil",
    "up and down": "a/../../evil",
    "absolute": "/etc/evil",
    "a drive": "C:\\evil",
    "a share": "\\\\host\\evil",
    "backslashes": "..\\evil",
    "a NUL": "a\0evil",
    "dots": "..",
    "one dot": ".",
    "nothing": "",
    "a device": "NUL",
    "a device with an ending": "con.txt",
    "a stream": "file:evil",
    "line end": "a\nevil",
    "very long": "x" * 5000,
    "right to left": "a\u202eevil",
    "a home": "~root/evil",
}
names = pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())


@names
def test_a_slug_is_one_component_everywhere(name: str, tmp_path: Path) -> None:
    made = slug(name)
    assert (tmp_path / made).parent == tmp_path
    assert made not in ("", ".", "..")
    assert not set(made) & set('/\\:*?"<>|\0\n~')
    assert len(made) < 200
    assert made.partition(".")[0].upper() not in ("NUL", "CON")
    (tmp_path / made).touch()


def test_long_names_stay_apart() -> None:
    assert slug("x" * 5000) != slug("x" * 5001)


@names
def test_a_record_stays_in_results(name: str, tmp_path: Path) -> None:
    folder = record_folder(tmp_path, name, name, {"a": 1})
    assert folder.resolve().is_relative_to(tmp_path.resolve())
    assert len(folder.relative_to(tmp_path).parts) == 3


@names
def test_no_card_has_such_a_name(name: str, tmp_path: Path) -> None:
    if name in ("NUL", "con.txt"):
        return  # a name like any other, which `slug` makes usable as a file's
    path = tmp_path / "card.toml"
    path.write_text(f"name = {json.dumps(name)}\nadapter = 'bm25'\n")
    with pytest.raises(InputError, match="name"):
        read_card(ModelCard, path)


@names
def test_the_name_of_an_imported_run_becomes_a_card_s(name: str) -> None:
    ModelCard(name=card_name(name), adapter="imported")


@names
def test_a_download_stays_in_its_folder(name: str, tmp_path: Path) -> None:
    safe = ("NUL", "con.txt", "file:evil", "a\nevil", "x" * 5000, "a\u202eevil", "~root/evil")
    if name in safe:  # one component of this system's
        assert (tmp_path / RemoteFile("https://host/x", name).path).resolve().is_relative_to(tmp_path)
        return
    with pytest.raises(InputError, match="does not stay inside its folder"):
        RemoteFile("https://host/x", name)


def archive(path: Path, member: tarfile.TarInfo, content: bytes = b"") -> Path:
    """A .tar.gz with one member."""
    member.size = len(content)
    with tarfile.open(path, "w:gz") as made:
        made.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["../evil", "repo/../../evil", "/etc/evil", "repo//evil", "repo/./evil"])
def test_an_archive_s_names_are_checked(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / "a.tar.gz", tarfile.TarInfo(name), b"x")
    with pytest.raises(InputError, match="leads out of its folder"):
        read_archive(path, lambda name: True)
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_an_archive_are_not_followed(tmp_path: Path, kind: bytes) -> None:
    (tmp_path / "secret").write_text("secret")
    member = tarfile.TarInfo("repo/link")
    member.type, member.linkname = kind, str(tmp_path / "secret")
    path = archive(tmp_path / "a.tar.gz", member)
    assert dict(read_archive(path, lambda name: True).files) == {}


@pytest.mark.parametrize("pattern", ["../corpus.jsonl", "/etc/passwd", "a/../../corpus.jsonl"])
def test_a_data_set_s_patterns_stay_in_its_folder(tmp_path: Path, pattern: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "corpus.jsonl").write_text('{"_id": "secret", "text": "secret"}\n')
    listed = "".join(
        f"- config_name: {name}\n  data_files:\n  - split: test\n    path: {pattern}\n"
        for name in ("corpus", "queries", "default")
    )
    (folder / "README.md").write_text(f"---\nconfigs:\n{listed}---\n")
    with pytest.raises(InputError, match="there is no file"):
        read_folder(folder, "test")


def test_a_document_s_id_names_no_file(tiny_workspace: Workspace, tmp_path: Path) -> None:
    corpus = tiny_workspace.root / "tasks" / "tiny" / "corpus.jsonl"
    rows = [json.loads(line) for line in corpus.read_text().splitlines()]
    rows += [
        {"_id": f"{name} {place}", "title": "", "text": "x"}
        for place, name in enumerate(HOSTILE.values())
        if "\0" not in name and "\n" not in name
    ]
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
    before = set(tmp_path.rglob("*"))
    dataset = ensure(tiny_workspace.card(TaskCard, "Tiny"), tiny_workspace)
    assert "../evil 0" in dataset.document_ids
    new = set(tmp_path.rglob("*")) - before
    assert all(path.is_relative_to(tiny_workspace.cache) for path in new)
    assert not any("evil" in path.name for path in new)


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/b"])
def test_the_task_of_a_stranger_s_record_names_no_file_elsewhere(tmp_path: Path, name: str) -> None:
    from dibs.mteb.folder import _task_name  # importing MTEB takes seconds

    (tmp_path / MTEB).write_text(json.dumps({"task_name": name}))
    with pytest.raises(DamagedError, match="no name of a file"):
        _task_name(SimpleNamespace(folder=tmp_path))  # type: ignore[arg-type]


@names
def test_a_package_path_stays_in_the_package(name: str) -> None:
    try:
        found = packaged(f"dibs/{name}")
    except InputError:
        return
    home = Path(dibs.__file__).parent
    assert found is None or found.resolve().is_relative_to(home)
