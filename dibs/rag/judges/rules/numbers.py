"""Numbers as people write them: signs, scales, percentages, currencies; dates are none."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SCALES = {
    "thousand": 1e3, "thousands": 1e3, "k": 1e3,
    "million": 1e6, "millions": 1e6, "mn": 1e6, "mm": 1e6, "mio": 1e6, "m": 1e6,
    "billion": 1e9, "billions": 1e9, "bn": 1e9, "b": 1e9,
    "trillion": 1e12, "trillions": 1e12, "tn": 1e12, "t": 1e12,
}  # fmt: skip
_PERCENT = {"basis points": 1e-4, "basis point": 1e-4, "bps": 1e-4, "bp": 1e-4}
_WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()
_CURRENCY = r"(?:US\$|USD|EUR|GBP|[$€£¥₹])"
_NUMBER = re.compile(
    rf"""
    (?<![\w.,/-])                                          # not inside a word, a code or another number
    (?P<before>\(?\s?[-−–+~≈]?\s?{_CURRENCY}?\s?\(?[-−–+]?)
    (?P<digits>\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d+\.\d+|\.\d+|\d+)
    (?P<close>\s?\))?
    (?:\s?(?P<percent>%|percent\b|per\ cent\b|percentage\ points?\b|pp\b|basis\ points?\b|bps?\b)
      |[\s-]?\(?(?:in\ )?(?P<scale>thousands?|millions?|billions?|trillions?|mio|mn|bn|tn|mm)\b
      |(?P<letter>[kmbtKMBT])\b)?
    (?![\w]|,\d|\.\d|-[A-Za-z])
    """,
    re.VERBOSE | re.IGNORECASE,
)
_MONTH = r"(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]*\.?"
_DATE = re.compile(
    rf"\b{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s+(?:19|20)\d\d)?\b|\b\d{{1,2}}(?:st|nd|rd|th)?\s+{_MONTH}"
    rf"(?:\s+(?:19|20)\d\d)?\b|\b\d{{4}}-\d\d-\d\d\b|\b\d{{1,2}}/\d{{1,2}}/\d{{2,4}}\b"
    r"|\b(?:FY|CY|fiscal(?:\s+year)?s?|Q[1-4]|H[12])\s?'?(?:19|20)?\d\d\b|\b\d{1,2}-[KQ]\b",
    re.IGNORECASE,
)
_LISTED = re.compile(r"^\s*(?:[-*•]\s*)?\(?\d{1,2}[.)]\s+", re.MULTILINE)
_WORD_NUMBER = re.compile(rf"\b({'|'.join(_WORDS)})\b(?!\s+(?:of|or)\b)", re.IGNORECASE)


@dataclass(frozen=True)
class Quantity:
    """A number in a text."""

    printed: float
    """As it is written, with its sign: 1.6 of "$1.6 billion"."""
    factor: float | None
    """What its unit or scale multiplies it with: 1e9, 0.01 of a percentage; None where it has neither."""
    decimals: int
    """Digits after the point."""
    currency: bool
    start: int
    """Where in the text it begins."""

    @property
    def value(self) -> float:
        return self.printed * (self.factor or 1.0)

    @property
    def step(self) -> float:
        """What one unit of the last printed digit is worth."""
        return float(10.0**-self.decimals * (self.factor or 1.0))

    def __str__(self) -> str:
        return f"{self.value:,.6g}" if self.factor in (None, 0.01) else f"{self.value:,.10g}"


def quantities(text: str) -> list[Quantity]:
    """The numbers of a text in their order; dates, fiscal years, list numbers and form names are none."""
    for pattern in (_DATE, _LISTED):
        text = pattern.sub(lambda found: " " * len(found[0]), text)
    text = _WORD_NUMBER.sub(lambda found: str(_WORDS.index(found[1].lower())).ljust(len(found[0])), text)
    return [found for match in _NUMBER.finditer(text) if (found := _quantity(match)) is not None]


def _quantity(match: re.Match[str]) -> Quantity | None:
    digits, before = match["digits"].replace(",", ""), match["before"]
    unit, letter = (match["percent"] or match["scale"] or "").lower(), match["letter"]
    currency = bool(re.search(_CURRENCY, before, re.IGNORECASE))
    if letter and not (currency or "." in digits or "," in match["digits"]):
        return None  # 3M is a name
    bare = not unit and not letter and not currency
    if bare and re.fullmatch(r"(?:19|20)\d\d", match["digits"]):
        return None  # a year
    factor = _PERCENT.get(unit, 0.01) if match["percent"] else _SCALES.get(unit or (letter or "").lower())
    negative = bool(re.search(r"[-−–]", before)) or ("(" in before and bool(match["close"]) and not bare)
    negative = negative or ("(" in before and bool(match["close"]) and bare and "," in match["digits"])
    printed = float(digits) * (-1 if negative else 1)
    return Quantity(printed, factor, len(digits.partition(".")[2]), currency, match.start("digits"))
