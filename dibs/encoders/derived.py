"""Vectors that stored ones give without a model: cut to a smaller dimension, scaled to length 1.

A Matryoshka dimension is the leading components of the whole vector, scaled anew. A vector that is
not scaled gives the scaled one, and never the other way.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from dibs.encoders.base import FloatArray, IntArray, unit_length
from dibs.encoders.vectors import Keys, VectorStore, width_of

_OPEN = ("dimension", "normalise")
"""The settings in which the two may differ."""


def gives(wide: dict[str, Any], narrow: dict[str, Any]) -> bool:
    """Whether vectors of the settings `wide` become those of `narrow` by cutting and scaling."""
    if wide == narrow or any(wide.get(key) != narrow.get(key) for key in {*wide, *narrow} - {*_OPEN}):
        return False
    whole, part = wide.get("dimension"), narrow.get("dimension")
    enough = whole is None or (part is not None and whole >= part)
    return enough and bool(narrow.get("normalise")) >= bool(wide.get("normalise"))


def sources(root: Path, settings: dict[str, Any], dimension: int) -> list[VectorStore]:
    """The stores below `root` whose vectors become those of `settings`, of that dimension."""
    return [
        VectorStore(root, path.parent.parent.name, wide, width)
        for path in sorted(root.glob("*/*/settings.json"))
        if (wide := _read(path)) is not None and gives(wide, settings)
        if (width := wide.get("dimension") or width_of(path.parent)) is not None and width >= dimension
    ]


def derive(
    store: VectorStore, found_in: list[VectorStore], keys: Keys, places: IntArray, *, normalise: bool
) -> IntArray:
    """Put into `store` what the stores `found_in` give of `keys[places]`; the places that are left.

    A row whose bytes are not what was written gives nothing.
    """
    for source in found_in:
        rows = source.find(keys[places])
        there = np.flatnonzero(rows >= 0)
        for _, bad in list(source.damaged(rows[there])):
            rows[there[bad]] = -1
        there = np.flatnonzero(rows >= 0)
        if len(there):
            vectors = cut(source.vectors(rows[there]), store.dimension, normalise=normalise)
            store.append(keys[places[there]], vectors, source.tokens(rows[there]))
            places = np.delete(places, there)
    return places


def cut(vectors: FloatArray, dimension: int, *, normalise: bool) -> FloatArray:
    """The leading components of (n, d) vectors, (n, dimension), scaled to length 1 if asked for."""
    kept = vectors[:, :dimension]
    return unit_length(kept) if normalise else kept


def _read(path: Path) -> dict[str, Any] | None:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return settings if isinstance(settings, dict) else None
