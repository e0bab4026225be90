"""How near an answer's number comes to the gold number: units, scales, signs, and what was rounded away."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dibs.rag.judges.base import Case
from dibs.rag.judges.rules.numbers import Quantity, quantities
from dibs.rag.judges.rules.text import conclusions

PERCENT = 0.01
_DIGITS = 2
"""Digits that a number in a scale has at least, to be taken for a rounded one."""
_IN_FULL = 1e6
"""From where on a number is not in thousands."""
_SCALE = {"thousand": 1e3, "million": 1e6, "billion": 1e9}
_SCALE_WANTED = re.compile(
    r"\bin\s+(?:units\s+of\s+)?(?:USD?|US\$|U\.S\. dollars|\$|dollars|EUR|GBP)?\s*"
    r"(thousand|million|billion)s?\b",
    re.IGNORECASE,
)
_PERCENT_WANTED = re.compile(r"%|\bper ?cent|\bbasis points?\b", re.IGNORECASE)
_STATED_SCALE = re.compile(r"\bin (thousand|million|billion)s\b", re.IGNORECASE)
_LESS = re.compile(
    r"\b(?:decreas|declin|f[ae]ll|drop|reduc|lower|loss|lost|negative|shr[aiu]nk|contract|outflow|deficit)\w*",
    re.IGNORECASE,
)
_AFTER = ".,;:)"
_ROUGHLY = r"(?:(?:about|approximately|around|nearly|roughly|some|only) )?"
_FALLING = re.compile(
    r"\b(?:loss(?:es)?(?: \w+)? (?:of|was|were|is|amount\w* to|total\w*)"
    rf"|(?:declin|decreas|fell|drop|shr[aiu]nk|contract)\w*(?: by| of)?) {_ROUGHLY}(?P<number>\S+)",
    re.IGNORECASE,
)
_RESULT = re.compile(r"[=≈]|\b(?:therefore|thus|hence|consequently)\b", re.IGNORECASE)
_CONDITION = re.compile(r"^\W*(?:if|assuming|suppose)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Claim:
    """A number that an answer gives as its result."""

    quantity: Quantity
    sentence: str
    falls: bool
    """The words before it say that it is a loss or a decrease."""


@dataclass(frozen=True)
class Wanted:
    """What numbers without a unit are in."""

    scale: float | None
    """The scale that the question asks for."""
    percent: bool
    """Whether it, or the gold, is in percent."""
    stated: frozenset[float]
    """Scales that the answer says its numbers are in."""
    falling: bool
    """Whether question or gold speaks of a loss or decrease, whose number is then written without a sign."""

    @classmethod
    def by(cls, case: Case, gold: Quantity) -> Wanted:
        """Read from the words: `in USD millions`, `in units of percents`, `(in thousands)`."""
        question, answer = case.question, case.answer
        found = _SCALE_WANTED.search(question)
        return cls(
            scale=_SCALE[found[1].lower()] if found else None,
            percent=bool(_PERCENT_WANTED.search(question)) or gold.factor == PERCENT,
            stated=frozenset(_SCALE[scale.lower()] for scale in _STATED_SCALE.findall(answer)),
            falling=bool(_LESS.search(question) or _LESS.search(case.gold)),
        )


def claims(parts: Sequence[str], *, years: bool = False) -> list[Claim]:
    """The numbers of the sentences that conclude, else of the first and the last that have one.

    Of a calculation only what stands after the last sign of equality, or after the last "therefore", counts,
    and a condition ("If there are none, the answer is 0") claims nothing.

    Args:
        parts: The answer's sentences.
        years: As `quantities` has it.
    """
    stated = [part for part in parts if not _CONDITION.search(part)]
    found = list(_claims(conclusions(stated), years))
    if not found:
        with_numbers = [part for part in stated if quantities(part, years=years)]
        found = list(_claims([*with_numbers[:1], *with_numbers[1:][-1:]], years))
    return found


def _claims(parts: Sequence[str], years: bool) -> Iterator[Claim]:
    for part in parts:
        result = quantities(_RESULT.split(part)[-1], years=years) or quantities(part, years=years)
        falling = {found["number"].rstrip(_AFTER) for found in _FALLING.finditer(part)}
        for quantity in result:
            yield Claim(quantity, part, quantity.text.partition(" ")[0].rstrip(_AFTER) in falling)


def distance(gold: Quantity, claim: Claim, wanted: Wanted) -> float:
    """How far the claim is from the gold, relative to the gold, beyond what the gold's rounding leaves open.

    0 where the claim rounds to the gold's printed digits; infinite for another currency, and for one end
    of a range where the gold is none.
    """
    currencies = {gold.currency, claim.quantity.currency} - {""}
    if len(currencies) > 1 or (claim.quantity.ranged and not gold.ranged):
        return float("inf")
    factor = _factor(gold, wanted)
    value = gold.printed * factor
    own = 0.5 * 10.0**-gold.decimals * factor
    times = claim.quantity.seconds / gold.seconds if claim.quantity.seconds and gold.seconds else 1.0
    beyond = min(
        (
            max(0.0, abs(reading * times - value) - max(own, rounded * times) * (1 + 1e-9))
            for reading, rounded in _readings(gold, claim, wanted)
        ),
        default=float("inf"),
    )
    return beyond / abs(value) if value else (float("inf") if beyond else 0.0)


def _factor(gold: Quantity, wanted: Wanted) -> float:
    """What a bare gold number is in: the question's scale; percent where a fraction would be 1 or more."""
    if gold.factor is not None:
        return gold.factor
    if wanted.percent and not gold.currency:
        return PERCENT if abs(gold.printed) >= 1 else 1.0
    if wanted.scale is None:
        return 1.0
    # 5818 where millions or thousands are wanted; 5,818,000,000 is written in full
    return wanted.scale if abs(gold.printed) < max(wanted.scale, _IN_FULL) else 1.0


def _rounded(said: Quantity) -> float:
    """What an answer in a scale leaves open: $1.6 billion is right for 1,577 million, $2 billion is not."""
    if said.factor is None or said.factor < _SCALE["thousand"]:
        return 0.0
    digits = f"{abs(said.printed):.{said.decimals}f}".replace(".", "").lstrip("0")
    return 0.5 * 10.0**-said.decimals * said.factor if len(digits) >= _DIGITS else 0.0


def _readings(gold: Quantity, claim: Claim, wanted: Wanted) -> Iterator[tuple[float, float]]:
    """The values that a claim may mean, each with what its own rounding leaves open.

    A bare number takes a scale that the question, the gold or the answer names; where the gold is bare
    and the question names no unit, the claim's own unit may be what the gold leaves out.
    """
    quantity = claim.quantity
    factors = [quantity.factor or 1.0]
    if quantity.factor is None:
        factors += [wanted.scale] if wanted.scale is not None else []
        factors += sorted(wanted.stated)
        factors += [PERCENT] if wanted.percent and not quantity.currency else []
    elif gold.factor is None and not (wanted.scale or wanted.percent) and abs(gold.printed) >= 1:
        factors += [1.0] if quantity.factor == PERCENT or quantity.currency or gold.currency else []
    for place, factor in enumerate(factors):
        rounded = 0.0 if place else _rounded(quantity)
        if not (claim.falls and gold.printed > 0 and not wanted.falling):  # a loss of 5 is no profit of 5
            yield quantity.printed * factor, rounded
        if quantity.bracketed or (gold.printed < 0 < quantity.printed and _LESS.search(claim.sentence)):
            yield -quantity.printed * factor, rounded
