"""ONNX graphs of models: made once, held against torch, and made again when damaged."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import util
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dibs.encoders import base, export
from dibs.errors import InputError, MissingError
from tests.encoders.local_models import TEXTS, card, make, make_model
from tests.toys import ROOT

for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(package)
pytestmark = pytest.mark.xdist_group("torch")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    """A cache in which the model has been exported."""
    place = tmp_path_factory.mktemp("cache")
    make(card(folder, backend="onnxruntime"), place).ready()
    return place


def graph_folder(cache: Path) -> Path:
    (found,) = (cache / "onnx").glob("*/model.onnx")
    return found.parent


def state(cache: Path) -> dict[str, tuple[int, int]]:
    files = graph_folder(cache).iterdir()
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def test_a_graph_is_made_once(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state(cache)
    assert "model.onnx" in before

    def fail(*args: Any) -> None:
        raise AssertionError("it is exported again")

    monkeypatch.setattr(export, "_make", fail)
    make(card(folder, backend="onnxruntime"), cache).ready()
    assert state(cache) == before


def test_its_name_has_the_weights_and_the_exporters_version(folder: Path, cache: Path) -> None:
    weights = make(card(folder), cache).settings("query")["weights"]
    assert graph_folder(cache).name.startswith(weights[:32])
    assert f"-torch{version('torch')}-" in graph_folder(cache).name


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "other bytes", "gone", "no hashes"])
def test_a_damaged_graph_is_made_again(folder: Path, cache: Path, damage: str) -> None:
    expected = make(card(folder), cache).encode(TEXTS, "document")
    made = graph_folder(cache)
    victim = (
        made / "sha256.json" if damage == "no hashes" else max(made.iterdir(), key=lambda p: p.stat().st_size)
    )
    content = victim.read_bytes()
    if damage == "cut":
        victim.write_bytes(content[: len(content) // 2])
    elif damage == "other bytes":
        victim.write_bytes(bytes(len(content)))
    else:
        victim.unlink()
    again = make(card(folder, backend="onnxruntime"), cache)
    with pytest.warns(UserWarning, match="the model's ONNX graph is damaged and made anew"):
        vectors = again.encode(TEXTS, "document")
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert export._whole(made)
    assert not list((cache / "onnx").glob(".export-*"))


def test_a_model_that_cannot_be_exported_needs_torch(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise RuntimeError("unsupported operator\nand a page of details")

    monkeypatch.setattr(export, "_export", fail)
    with pytest.raises(
        InputError, match=r"exported to ONNX: unsupported operator\n  Use backend torch"
    ) as caught:
        make(card(folder, backend="onnxruntime"), tmp_path).ready()
    assert "details" not in str(caught.value)
    assert not list((tmp_path / "onnx").glob("*/*"))


@pytest.mark.parametrize("distance", [1e-3, float("nan")])
def test_a_graph_with_other_vectors_is_not_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, distance: float
) -> None:
    monkeypatch.setattr(export, "_distance", lambda *args: distance)
    with pytest.raises(InputError, match=r"gives other vectors than torch \(by .*\)\n  Use backend torch"):
        make(card(folder, backend="onnxruntime"), tmp_path).ready()
    assert not list((tmp_path / "onnx").glob("*/*"))


def test_the_exporters_packages_are_asked_for(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        base, "find_spec", lambda name: None if name == "onnxscript" else util.find_spec(name)
    )
    with pytest.raises(MissingError, match=r'onnxscript.*\n.*pip install "dibs\[onnx\]"'):
        make(card(folder, backend="onnxruntime"), tmp_path).ready()


def test_an_export_says_nothing_and_leaves_warnings_as_they_were(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make(card(folder, backend="onnxruntime"), tmp_path).ready()
    assert capfd.readouterr() == ("", "")


_WITHOUT_TORCH = """
import sys
from pathlib import Path
from tests.encoders.local_models import TEXTS, card, make
encoder = make(card(Path(sys.argv[1]), backend="onnxruntime"), Path(sys.argv[2]))
print(encoder.encode(TEXTS, "document").shape, encoder.about["compared_with_torch"]["texts"])
print(sorted({"torch", "transformers", "sentence_transformers", "onnx"} & sys.modules.keys()))
"""


def test_what_was_exported_runs_without_torch(folder: Path, cache: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _WITHOUT_TORCH, str(folder), str(cache)],
        cwd=ROOT, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("(7, 32) 6\n[]\n", "")
