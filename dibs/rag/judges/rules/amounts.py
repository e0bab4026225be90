"""Whether an answer's number is the gold number: units, scales, signs, and what was rounded away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dibs.rag.judges.rules.numbers import Quantity, quantities

_SCALE_WANTED = re.compile(r"\bin\s+(?:units\s+of\s+)?(?:U\.?S\.?D?|US\$|\$|dollars|EUR|GBP)?\s*(thousand|million|billion)s?\b", re.IGNORECASE)
_SCALE = {"thousand": 1e3, "million": 1e6, "billion": 1e9}
_PERCENT_WANTED = re.compile(r"%|\bpercent|\bper cent\b|\bbasis points?\b", re.IGNORECASE)
_STATED_SCALE = re.compile(r"\bin\s+(thousand|million|billion)s\b", re.IGNORECASE)
_LESS = re.compile(r"\b(?:decreas|declin|decreas|fell|fall|drop|reduc|lower|loss|negative|shr[aiu]nk|contract|down|outflow|deficit|worsen)\w*", re.IGNORECASE)


@dataclass(frozen=True)
class Wanted:
    """What the question asks a number to be in."""

    scale: float | None
    percent: bool

    @classmethod
    def of(cls, question: str) -> Wanted:
        found = _SCALE_WANTED.search(question)
        return cls(_SCALE[found[1].lower()] if found else None, bool(_PERCENT_WANTED.search(question)))


def gold_values(gold: Quantity, wanted: Wanted) -> tuple[float, float]:
    """The gold's value and what a unit of its last printed digit is worth, in the unit 1."""
    factor = gold.factor
    if factor is None and not gold.currency and wanted.percent and abs(gold.printed) >= 1:
        factor = 0.01
    if factor is None and wanted.scale is not None and abs(gold.printed) < 1e3 * wanted.scale:
        factor = wanted.scale
    factor = factor or 1.0
    return gold.printed * factor, 10.0**-gold.decimals * factor


def readings(found: Quantity, wanted: Wanted, stated: float | None) -> Iterator[float]:
    """What an answer's number may mean: a bare one takes the scale the question or the answer names."""
    yield found.value
    if found.factor is None:
        if wanted.scale is not None:
            yield found.printed * wanted.scale
        if stated is not None:
            yield found.printed * stated
        if wanted.percent and not found.currency:
            yield found.printed * 0.01
