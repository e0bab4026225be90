"""Files that are not as they were written: found, named, and made anew, or named with what makes them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dibs import plugins
from dibs.workspace import Workspace
from tests.cli.test_cli import Said, add_card
from tests.failures.commands import ENCODER, asked, state

pytestmark = pytest.mark.filterwarnings("default")  # a warning of ours is a line on standard error
RETRIEVE = ("run", "--model", "logged", "--model", "bm25", "--task", "Tiny")


Damages = dict[str, Callable[[bytes], bytes]]


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0x01]) + content[middle + 1 :]


DAMAGE: Damages = {
    "a bit flipped": flipped,
    "cut in half": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
}
MORE = DAMAGE | {
    "the first bit flipped": lambda content: bytes([content[0] ^ 0x01]) + content[1:],
    "the last bit flipped": lambda content: content[:-1] + bytes([content[-1] ^ 0x01]),
    "without its last byte": lambda content: content[:-1],
    "zeros": lambda content: bytes(len(content)),
}


@pytest.fixture(params=[DAMAGE, pytest.param(MORE, marks=pytest.mark.slow)], ids=["some", "more"])
def damages(request: pytest.FixtureRequest) -> Damages:
    found: Damages = request.param
    return found


@pytest.fixture
def place(tiny_workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with two records."""
    known = plugins._registered() | {ENCODER.name: ENCODER}
    monkeypatch.setattr(plugins, "_registered", lambda: known)
    monkeypatch.setenv("ASKED", str(tiny_workspace.root.parent / "asked"))
    add_card(tiny_workspace, "models", "logged", 'adapter = "logged"')
    assert Said(*RETRIEVE).code == 0
    return tiny_workspace


def one(place: Workspace, pattern: str) -> Path:
    (path,) = (*place.root.glob(pattern), *place.cache.glob(pattern))
    return path


@pytest.mark.parametrize(
    "name", ["manifest.json", "run.trec.gz", "scores.json", "queries.parquet", "mteb.json"]
)
def test_a_record(place: Workspace, name: str, damages: Damages) -> None:
    """It is made anew; until then, whatever reads it names it and none of its numbers is believed."""
    before, path = state(place), one(place, f"results/Tiny/logged/*/{name}")
    whole = path.read_bytes()
    record = "/".join(path.parts[-4:-1])
    for damage, broken in damages.items():
        path.write_bytes(broken(whole))
        for words in (("show", record), ("compare", record, "Tiny/bm25"), ("export", record, "--to", "flat")):
            said = Said(*words)  # which raises what is no error of ours
            assert said.code != 0 or path.parent.name in said.err + said.out, (damage, words)
        said = Said(*RETRIEVE)
        assert said.code == 0, (damage, said.err)
        assert record in said.err, damage
        assert "made anew" in said.err
        assert state(place) == before
    assert len(asked(place)) == 10  # nothing was encoded again


@pytest.mark.parametrize("name", ["*.vec", "*.idx", "settings.json"])
def test_vectors(place: Workspace, name: str, damages: Damages) -> None:
    before = state(place)
    paths = sorted((place.cache / "vectors").rglob(name))
    assert len(paths) == (2 if name == "settings.json" else len(paths)) > 0
    for damage, broken in damages.items():
        # The newest: what was made anew stands beside what is damaged, and alone counts.
        path = max((place.cache / "vectors").rglob(name), key=lambda path: path.name)
        whole = path.read_bytes()
        path.write_bytes(broken(whole))
        shutil.rmtree(place.results / "Tiny" / "logged")
        said = Said(*RETRIEVE)
        if said.code:  # settings that are those of others, as if a folder had been copied there
            assert name == "settings.json", (damage, said.err)
            assert "delete this file alone, and its vectors are kept" in " ".join(said.err.split())
            path.unlink()
            said = Said(*RETRIEVE)
        assert said.code == 0, (damage, said.err)
        assert state(place) == before, damage
        if name == "*.vec":
            assert str(path) in said.err, damage


def test_an_index(place: Workspace, damages: Damages) -> None:
    before = state(place)
    for path in sorted(path for path in (place.cache / "indexes").rglob("*") if path.is_file()):
        whole = path.read_bytes()
        for damage, broken in damages.items():
            if broken(whole) == whole or (path.name, damage) == ("done.json", "without its last byte"):
                continue  # which is a line's end
            path.write_bytes(broken(whole))
            shutil.rmtree(place.results / "Tiny" / "bm25")
            said = Said(*RETRIEVE)
            assert said.code == 0, (path.name, damage, said.err)
            assert f"{path.parent}: the index is damaged and made anew" in said.err, (path.name, damage)
            assert state(place) == before


@pytest.mark.parametrize("name", ["corpus.arrow", "queries.arrow", "qrels.arrow", "dataset.json", "current"])
def test_a_data_set(place: Workspace, name: str, damages: Damages) -> None:
    """What can be told when it is opened is made anew; a flipped bit in a text, when work begins."""
    before = state(place)
    for damage, broken in damages.items():
        (path,) = (*(place.data / "Tiny").glob(f"*/{name}"), *(place.data / "Tiny").glob(name))
        whole = path.read_bytes()
        path.write_bytes(broken(whole))
        shutil.rmtree(place.results)
        said = Said(*RETRIEVE)
        if said.code:
            assert said.code == 1, (damage, said.err)
            assert re.search(r"Make it anew: dibs data prepare Tiny", said.err), (damage, said.err)
            assert Said("data", "prepare", "Tiny").code == 0
            assert Said(*RETRIEVE).code == 0
        assert state(place) == before, damage


def test_a_data_set_that_is_older_than_its_files_hashes(place: Workspace) -> None:
    path = next((place.data / "Tiny").glob("*/dataset.json"))
    values = json.loads(path.read_text())
    del values["files"]
    path.write_text(json.dumps(values))
    before = state(place)
    shutil.rmtree(place.results)
    assert Said(*RETRIEVE).code == 0
    assert state(place) == before


def test_a_record_that_is_older_than_the_hash_of_its_manifest(place: Workspace) -> None:
    path = one(place, "results/Tiny/logged/*/manifest.json")
    values = json.loads(path.read_text())
    del values["sha256"]
    path.write_text(json.dumps(values))
    said = Said(*RETRIEVE)
    assert (said.code, said.err) == (0, "")
    assert "sha256" not in json.loads(path.read_text())
