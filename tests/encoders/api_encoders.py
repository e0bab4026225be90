"""What the tests of the API encoders share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dibs.encoders.api import ApiEncoder
from dibs.encoders.base import FloatArray, unit_length
from dibs.encoders.openai import OpenAIEncoder
from dibs.encoders.voyage import VoyageEncoder
from tests.encoders.api_server import vector

KEY = "sk-test-Xy7secret0042"
ENCODERS: dict[str, type[ApiEncoder]] = {"openai": OpenAIEncoder, "voyage": VoyageEncoder}
Make = Callable[..., ApiEncoder]


def expected(encoder: ApiEncoder, texts: list[str], role: str = "document") -> FloatArray:
    kind = role if isinstance(encoder, VoyageEncoder) else None
    rows = np.array([vector(text, encoder.dimension, kind) for text in texts])
    return unit_length(rows)


def texts(count: int) -> list[str]:
    return [f"text number {number}" for number in range(count)]
