from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dibs.encoders.derived import cut, derive, gives, sources
from dibs.encoders.vectors import VectorStore, text_keys, width_of

FULL = {"adapter": "toy", "role": "document", "dimension": 4, "normalise": True}
KEYS = text_keys(["a", "b", "c"])
TABLE = np.arange(1, 13, dtype=np.float32).reshape(3, 4)


def kept(root: Path, settings: dict[str, Any], rows: int = 3, width: int = 4) -> VectorStore:
    store = VectorStore(root, "toy", settings, width)
    store.append(KEYS[:rows], TABLE[:rows, :width], np.array([5, 6, 7])[:rows])
    store.reload()
    return store


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ({}, {"dimension": 2}, True),
        ({"dimension": None}, {"dimension": 2}, True),
        ({"normalise": False}, {}, True),
        ({"normalise": False}, {"normalise": False, "dimension": 3}, True),
        ({}, {}, False),
        ({"dimension": 2}, {}, False),
        ({}, {"dimension": None}, False),
        ({}, {"normalise": False}, False),
        ({}, {"normalise": False, "dimension": 2}, False),
        ({"role": "query"}, {"dimension": 2}, False),
        ({"prompt": "x"}, {"dimension": 2}, False),
        ({}, {"dimension": 2, "prompt": "x"}, False),
    ],
)
def test_what_gives_what(wide: dict[str, Any], narrow: dict[str, Any], expected: bool) -> None:
    assert gives(FULL | wide, FULL | narrow) is expected


def test_a_cut_is_the_leading_components_scaled_anew() -> None:
    vectors = np.array([[3, 4, 12], [0, 0, 5]], dtype=np.float32)
    np.testing.assert_allclose(cut(vectors, 2, normalise=True), np.array([[0.6, 0.8], [0, 0]]))
    np.testing.assert_array_equal(cut(vectors, 2, normalise=False), vectors[:, :2])


def test_what_is_derived_is_kept_with_its_tokens(tmp_path: Path) -> None:
    kept(tmp_path, FULL, rows=2)
    narrow = FULL | {"dimension": 2}
    store = VectorStore(tmp_path, "narrow", narrow, 2)
    left = derive(store, sources(tmp_path, narrow, 2), KEYS, np.array([0, 1, 2]), normalise=True)
    store.reload()
    assert left.tolist() == [2]
    rows = store.find(KEYS[:2])
    np.testing.assert_array_equal(store.vectors(rows), cut(TABLE[:2], 2, normalise=True))
    assert store.tokens(rows).tolist() == [5, 6]


def test_a_damaged_row_gives_nothing(tmp_path: Path) -> None:
    source = kept(tmp_path, FULL)
    (file,) = source.folder.glob("*.vec")
    content = bytearray(file.read_bytes())
    content[20] ^= 1  # in the second row
    file.write_bytes(content)
    narrow = FULL | {"dimension": 2}
    store = VectorStore(tmp_path, "narrow", narrow, 2)
    assert derive(store, sources(tmp_path, narrow, 2), KEYS, np.arange(3), normalise=True).tolist() == [1]


def test_a_store_whose_settings_leave_the_dimension_open_is_measured(tmp_path: Path) -> None:
    opened = kept(tmp_path, FULL | {"dimension": None})
    assert width_of(opened.folder) == 4
    narrow = FULL | {"dimension": 2}
    assert [store.dimension for store in sources(tmp_path, narrow, 2)] == [4]
    (file,) = opened.folder.glob("*.vec")
    file.write_bytes(file.read_bytes() * 3)  # rows without an entry, as a killed process leaves them
    assert width_of(opened.folder) is None
    assert sources(tmp_path, narrow, 2) == []
    assert width_of(tmp_path / "nothing") is None


@pytest.mark.parametrize("content", ["", "{", "[1]", json.dumps({"adapter": "other"})])
def test_a_store_that_cannot_be_read_gives_nothing(tmp_path: Path, content: str) -> None:
    (kept(tmp_path, FULL).folder / "settings.json").write_text(content)
    assert sources(tmp_path, FULL | {"dimension": 2}, 2) == []
