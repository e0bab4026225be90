"""How near a backend's vectors are to torch's in float32, on a few texts."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dibs.cards.model import Precision
from dibs.encoders.base import FloatArray
from dibs.errors import InputError
from dibs.files import digest, write_bytes

TEXTS = (
    "",
    "cash",
    "Net sales rose by 8 percent to $394,328 million in fiscal 2022.",
    "What was the company's gross margin?\nÉtat au 31 décembre \u2014 \u5229\u76ca \U0001f4c8",
    "Property, plant and equipment are carried at cost less accumulated depreciation. " * 25,
    "1,234 (567) 89.0% n/a | " * 300,
)
"""Empty and short ones, numbers, other scripts, and two that most models have to cut."""

ROUNDING = 1e-5
"""The most that a value of a vector of length 1 may differ in float32. MiniLM's differ by 3e-7."""
COSINE = 0.999
"""The least cosine in bfloat16, which keeps 8 bits of each value. MiniLM's is .9999."""


@dataclass(frozen=True)
class Check:
    """What the comparison found."""

    texts: int
    largest_difference: float
    """Of any value of any vector."""
    least_cosine: float


def check(own: FloatArray, reference: FloatArray, precision: Precision, where: str) -> Check:
    """Compare vectors of `TEXTS`, (n, dimension), both of length 1.

    Raises:
        InputError: they differ by more than the precision accounts for.
    """
    cosine = float(np.einsum("nd,nd->n", own, reference).min())
    found = Check(len(own), float(np.abs(own - reference).max()), min(cosine, 1.0))
    near = found.largest_difference <= ROUNDING if precision == "float32" else cosine >= COSINE
    if not near:
        raise InputError(
            f"its vectors differ from torch's by up to {found.largest_difference:.1e} "
            f"(cosine {found.least_cosine:.4f})",
            where=where,
            todo="Use backend torch.",
        )
    return found


def reference(folder: Path, fingerprint: str, encode: Callable[[], FloatArray]) -> FloatArray:
    """Torch's vectors of `TEXTS` as kept in `folder` for that fingerprint, else made and kept."""
    path = folder / f"{digest([fingerprint, *TEXTS])[:32]}.npy"
    try:
        kept: FloatArray = np.load(path)
        if kept.shape[0] == len(TEXTS) and kept.dtype == np.float32:
            return kept
    except (OSError, ValueError):  # not there, or not whole
        pass
    made, content = encode(), io.BytesIO()
    np.save(content, made)
    write_bytes(path, content.getvalue())
    return made
