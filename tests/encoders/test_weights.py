from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dibs.cards.model import ModelCard
from dibs.encoders.weights import locate, packaged, weights_sha256
from dibs.errors import InputError, MissingError
from tests.hub_server import (
    CLOSED,
    COMMIT,
    DROPPING,
    FAILING,
    GATED,
    GATED_WITHOUT_TOKEN,
    PRIVATE,
    python_on_hub,
    serving_hub,
)

FILES: dict[str, str | bytes] = {
    "README.md": "# Tiny",
    "config.json": "{}",
    "model.safetensors": b"\0\1\2\3",
    "1_Pooling/config.json": '{"pooling_mode_cls_token": true}',
}
PICKLED: dict[str, str | bytes] = {
    "pytorch_model.bin": b"\x80\x04.",
    "extra.pt": b"\x80\x04.",
    "tf_model.h5": b"x",
    "onnx/model.onnx": b"x",
}


def card(**values: str) -> ModelCard:
    return ModelCard.model_validate({"name": "tiny", "adapter": "sentence-transformers"} | values)


def put(folder: Path, files: Mapping[str, str | bytes] = FILES) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


# Where they are


def test_a_folder(tmp_path: Path) -> None:
    assert locate(card(model=str(tmp_path))) == tmp_path


def test_a_package_comes_first_and_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    put(
        tmp_path / "dibs_toy_weights",
        {"__init__.py": "raise RuntimeError('imported')", "model/config.json": "{}"},
    )
    expected = tmp_path / "dibs_toy_weights" / "model"
    assert packaged("dibs_toy_weights/model") == expected
    assert packaged("dibs_toy_weights") == tmp_path / "dibs_toy_weights"
    found = locate(card(package="toy", package_path="dibs_toy_weights/model", model=str(tmp_path)))
    assert found == expected
    assert "dibs_toy_weights" not in sys.modules


@pytest.mark.parametrize(
    "path",
    [
        "dibs_toy_absent/model",
        "dibs/absent",
        "json.decoder/model",
        "dibs_toy_absent.inner/x",
        "json.decoder.x/y",
    ],
)
def test_what_no_package_has(path: str, tmp_path: Path) -> None:
    assert packaged(path) is None
    assert locate(card(package="toy", package_path=path, model=str(tmp_path))) == tmp_path


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(MissingError) as caught:
        locate(card(package="toy-weights", package_path="dibs_toy_absent/model"))
    assert caught.value.problem == "the weights of tiny are not here"
    assert caught.value.todo == "Run: pip install --no-deps toy-weights"


def test_weights_without_a_package_are_not_said_to_come_from_one() -> None:
    with pytest.raises(MissingError) as caught:
        locate(card(package_path="dibs_toy_absent/model"))
    assert caught.value.todo == "Name a folder or a model of the hub as `model` in its card."


@pytest.mark.parametrize("path", ["/x", "", "/", "../x", ".x/y", "a..b/x", "no module/x"])
def test_a_path_that_names_no_package(path: str, tmp_path: Path) -> None:
    asks: list[Callable[[], object]] = [
        lambda: packaged(path),
        lambda: locate(card(package_path=path, model=str(tmp_path))),
    ]
    for ask in asks:
        with pytest.raises(InputError) as caught:
            ask()
        assert caught.value.problem == f"the package_path {path!r} does not begin with a package's name"
        assert caught.value.todo == "Write it as package/folder."


# The hub

LOCATE = """
import json, sys
from pathlib import Path
from dibs.cards.model import ModelCard
from dibs.encoders.weights import locate, weights_sha256
from dibs.errors import DibsError

told = []
for values in map(json.loads, sys.argv[1:]):
    card = ModelCard.model_validate({"name": "tiny", "adapter": "x"} | values)
    try:
        folder = locate(card)
        files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        told.append([files, weights_sha256(folder, Path("hashes.json"))])
    except DibsError as error:
        told.append([type(error).__name__, error.where, error.problem, error.todo])
print(json.dumps(told))
"""


def told(url: str, home: Path, *models: str, offline: bool = False, **values: str) -> list[Any]:
    """What files each model has and their hash, or the kind, where, problem and todo of its error."""
    asked = (json.dumps({"model": name} | values) for name in models)
    program = f"import os; os.chdir({str(home)!r})\n{LOCATE}"
    found: list[Any] = python_on_hub(url, home, program, *asked, offline=offline)
    return found


def test_the_hub_and_its_ways_to_refuse(tmp_path: Path) -> None:
    with serving_hub() as hub:
        tiny = hub.add("model", "some/tiny", FILES | PICKLED)
        refusals = {
            hub.refuse("model", f"some/{name}", refusal): expected
            for name, refusal, *expected in (
                ("gated", GATED, "MissingError", "the model is gated", "set HF_TOKEN"),
                ("gated-too", GATED_WITHOUT_TOKEN, "MissingError", "the model is gated", "set HF_TOKEN"),
                ("private", PRIVATE, "MissingError", "nor a model on the hub", "Check the name"),
                ("failing", FAILING, "MissingError", "the hub cannot be reached", "Go online"),
            )
        } | {
            "some/absent": ["MissingError", "nor a model on the hub", "Check the name"],
            "no name": ["InputError", "is not a name of the hub", "owner/name"],
        }
        found, *others = told(hub.url, tmp_path, tiny, *refusals)
        local = weights_sha256(put(tmp_path / "copy"), tmp_path / "copy.json")
        assert found == [sorted(FILES), local]
        assert hub.fetched("model", tiny) == set(FILES)
        for (name, expected), error in zip(refusals.items(), others, strict=True):
            assert error[:2] == [expected[0], name], error
            assert expected[1] in error[2], error
            assert expected[2] in error[3], error


def test_a_pinned_revision_and_one_that_is_not_there(tmp_path: Path) -> None:
    with serving_hub() as hub:
        tiny = hub.add("model", "some/tiny", FILES)
        [[files, _]] = told(hub.url, tmp_path, tiny, revision=COMMIT)
        assert files == sorted(FILES)
        [error] = told(hub.url, tmp_path, tiny, revision="f" * 40)
        assert error[:3] == ["InputError", tiny, f"the hub has no revision '{'f' * 40}' of it"]
    [[files, _]] = told(CLOSED, tmp_path, tiny, revision=COMMIT, offline=True)
    assert files == sorted(FILES)


def test_a_hub_that_drops_the_connection(tmp_path: Path) -> None:
    with serving_hub() as hub:
        [error] = told(hub.url, tmp_path, hub.refuse("model", "some/dropping", DROPPING))
    assert error[:2] == ["ProviderError", "some/dropping"]
    assert "Server disconnected" in error[2]


@pytest.mark.parametrize("offline", [False, True])
def test_without_the_hub_the_way_to_get_it_is_said(tmp_path: Path, offline: bool) -> None:
    [error] = told(CLOSED, tmp_path, "some/tiny", package="toy-weights", offline=offline)
    problem = "the model is not on this machine and the hub cannot be reached"
    assert error[:3] == ["MissingError", "some/tiny", problem]
    assert error[3] == (
        "Go online once to fetch it. Or install a package with the same weights: "
        "pip install --no-deps toy-weights"
    )


# Their hash


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return put(tmp_path / "model")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "hashes.json"


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "1_Pooling/config.json"])
def test_a_changed_byte_changes_the_hash(model: Path, cache: Path, name: str) -> None:
    before = weights_sha256(model, cache)
    content = (model / name).read_bytes()
    (model / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(model / name, ns=(1, 1))
    assert weights_sha256(model, cache) != before


def test_a_new_a_missing_and_a_renamed_file_change_the_hash(model: Path, cache: Path) -> None:
    hashes = [weights_sha256(model, cache)]
    (model / "tokenizer.json").write_text("{}")
    hashes.append(weights_sha256(model, cache))
    (model / "tokenizer.json").rename(model / "vocab.json")
    hashes.append(weights_sha256(model, cache))
    (model / "vocab.json").unlink()
    assert len(set(hashes)) == 3
    assert weights_sha256(model, cache) == hashes[0]


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "LICENSE.md",
        "plot.png",
        "docs/paper.PDF",
        "inner/.gitignore",
        "__pycache__/x.py",
        "x.pyc",
    ],
)
def test_what_is_not_the_model_does_not_change_the_hash(model: Path, cache: Path, name: str) -> None:
    before = weights_sha256(model, cache)
    put(model, {name: "other"})
    assert weights_sha256(model, cache) == before


def test_code_of_the_model_changes_the_hash(model: Path, cache: Path) -> None:
    before = weights_sha256(model, cache)
    put(model, {"modeling.py": "x = 1"})
    assert weights_sha256(model, cache) != before


def test_gits_own_files_do_not_change_the_hash(model: Path, cache: Path) -> None:
    before = weights_sha256(model, cache)
    put(model, {".gitattributes": "*.safetensors filter=lfs"})
    assert weights_sha256(model, cache) == before


def test_a_moved_folder_has_the_same_hash(model: Path, cache: Path, tmp_path: Path) -> None:
    before = weights_sha256(model, cache)
    shutil.move(model, tmp_path / "elsewhere")
    assert weights_sha256(tmp_path / "elsewhere", cache) == before


def test_a_folder_in_the_users_cache_has_the_same_hash(model: Path, cache: Path, tmp_path: Path) -> None:
    # The hub's own cache is ~/.cache/huggingface.
    before = weights_sha256(model, cache)
    shutil.copytree(model, tmp_path / ".cache" / "huggingface" / "model")
    assert weights_sha256(tmp_path / ".cache" / "huggingface" / "model", cache) == before


def test_what_the_hub_leaves_in_a_folder_does_not_change_the_hash(model: Path, cache: Path) -> None:
    before = weights_sha256(model, cache)
    put(model, {".cache/huggingface/download/config.json.metadata": "x"})
    assert weights_sha256(model, cache) == before


def test_hashes_of_files_are_kept_and_a_damaged_note_is_made_anew(model: Path, cache: Path) -> None:
    first = weights_sha256(model, cache)
    kept = json.loads(cache.read_text())
    assert len(kept) == 3
    # What is kept is used: the hash of a file that has neither another size nor another time.
    cache.write_text(json.dumps(dict.fromkeys(kept, "0" * 64)))
    assert weights_sha256(model, cache) != first
    for damaged in ("", "{", "\ud800"):
        cache.write_bytes(damaged.encode("utf-8", "surrogatepass"))
        assert weights_sha256(model, cache) == first
        assert json.loads(cache.read_text()) == kept


def test_a_folder_without_a_model(tmp_path: Path, cache: Path) -> None:
    put(tmp_path / "empty", {"README.md": "# Nothing"})
    with pytest.raises(InputError) as caught:
        weights_sha256(tmp_path / "empty", cache)
    assert caught.value.where == str(tmp_path / "empty")
