"""The fastest backend that is installed and gives torch's vectors; the precision stays what it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dibs import plugins
from dibs.cards.model import Backend, ModelCard, Precision
from dibs.encoders.base import Encoder, EncoderContext, make_encoder
from dibs.errors import DibsError

FASTEST: dict[Precision, tuple[Backend, ...]] = {"float32": ("openvino",), "bfloat16": ("openvino",)}
"""Backends faster than torch, the fastest first, as benchmarks/encode.py finds them.

Texts for each processor-second, MiniLM on 244-token pages, two cores with AVX-512 and without AMX: in
float32 torch 17.6, onnxruntime 14.5, openvino 20.3; in bfloat16 torch 10.5, openvino 12.7.
"""


@dataclass(frozen=True)
class Chosen:
    """The backend that was chosen for a card."""

    card: ModelCard
    encoder: Encoder
    line: str
    """What to tell the user of it: its distance from torch, and what was passed over."""


def choose(card: ModelCard, context: EncoderContext) -> Chosen:
    """Try the backends on a few texts and take the first whose vectors are torch's.

    In float32 no value may differ by more than 1e-5, in bfloat16 no cosine be below .999.

    Raises:
        InputError: the card does not suit its adapter; MissingError: the model is not here.
    """
    passed: list[str] = []
    for backend in FASTEST[card.precision]:
        if backend not in getattr(plugins.load("encoder", card.adapter), "backends", ()):
            continue
        trial = card.running(backend, None)
        try:
            encoder = make_encoder(trial, context)
            encoder.ready()
        except DibsError as error:
            passed.append(f"{backend} passed over: {error.problem}")
            continue
        return Chosen(trial, encoder, _line(trial, encoder.about.get("compared_with_torch"), passed))
    plain = card.running("torch", None)
    return Chosen(plain, make_encoder(plain, context), _line(plain, None, passed))


def _line(card: ModelCard, compared: dict[str, Any] | None, passed: list[str]) -> str:
    parts = [f"{card.name}: {card.backend}, {card.precision}"]
    if compared:
        parts.append(
            f"largest difference from torch {compared['largest_difference']:.1e} "
            f"on {compared['texts']} texts, least cosine {compared['least_cosine']:.6f}"
        )
    return "; ".join([*parts, *passed])
