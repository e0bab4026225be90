"""Numbers as people write them: signs, scales, percentages, currencies, ranges; dates are none."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dibs.rag.judges.rules.dates import DATE

_SCALES = {
    "thousand": 1e3, "k": 1e3, "million": 1e6, "mm": 1e6, "mn": 1e6, "mio": 1e6, "m": 1e6,
    "billion": 1e9, "bn": 1e9, "b": 1e9, "trillion": 1e12, "tn": 1e12, "t": 1e12,
}  # fmt: skip
_SECONDS = {
    "ms": 1e-3, "millisecond": 1e-3, "s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0,
    "h": 3600.0, "hr": 3600.0, "hour": 3600.0, "day": 86_400.0, "week": 604_800.0,
}  # fmt: skip
_CENTS = ("¢", "cent", "cents")
_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"
)  # fmt: skip
_CURRENCY = r"(?:US\$|USD\ ?|EUR\ ?|GBP\ ?|[$€£¥₹])"
_SIGNS = {"US$": "$", "USD": "$", "EUR": "€", "GBP": "£"}
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.\d+|\d+)"
_UNIT = r"(?:%|¢|(?:per\ ?cent|percentage\ points?|pp|basis\ points?|bps?|cents?)\b)"
_SCALE = r"(?:(?:thousand|million|billion|trillion)s?|mm|mn|mio|bn|tn)\b"
_TIME = r"(?:(?:milliseconds?|seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|weeks?|ms|s|h)\b)"
_NUMBER = re.compile(
    rf"""
    (?<![\w.,/])(?<![A-Za-z0-9]-)                       # not inside a word, a code or a number
    (?P<before>\(?-?{_CURRENCY}?\(?-?)
    (?P<digits>{_DIGITS})(?P<close>\))?
    (?:\ ?(?P<unit>{_UNIT}) | [\ -]?\(?(?:in\ )?(?P<scale>{_SCALE}) | (?P<letter>[kmbt])\b | x\b
        | \ ?(?P<time>{_TIME}))?
    (?!\w|[.,]\d|-[A-Za-z])
    """,
    re.VERBOSE | re.IGNORECASE,
)
_NO_AMOUNT = re.compile(
    r"""
     \b(?:FY|CY|fiscal(?:\ years?)?|Q[1-4]|H[12])\ ?'?(?:19|20)?\d\d\b
    | \b\d{1,2}-[KQ]\b
    | \b(?:\d|one|two|three|four)\ (?:decimals?|significant)\b
    | ^\ *(?:[-*•]\ *)?\(?\d{1,2}[.)]\ (?=\S)                              # an item of a list
    """,
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_YEAR = re.compile(rf"(?<![\d,.$€£])(?:19|20)\d\d(?!\d|[.,]\d|\ ?{_UNIT}|\ ?{_SCALE})", re.IGNORECASE)
_DATED = re.compile(r"\b(?:in|of|since|by|until|during|year|to|from|and|for)\ (?:19|20)\d\d\b", re.IGNORECASE)
_WORD = re.compile(rf"\b({'|'.join(_WORDS)})\b(?!\s+(?:of|or)\b|-)", re.IGNORECASE)
_RANGE = re.compile(
    rf"(?<![\w.,-])(?P<low>{_CURRENCY}?{_DIGITS})(?P<unit>\ ?(?:{_UNIT}|{_SCALE}))?\ ?-\ ?"
    rf"(?P<high>{_CURRENCY}?{_DIGITS})(?P<its>\ ?(?:{_UNIT}|{_SCALE}))?(?![\w,-])",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"\bbetween \S{1,30}(?: \w{1,30}| %)? and \S{1,30}", re.IGNORECASE)


@dataclass(frozen=True)
class Quantity:
    """A number in a text."""

    printed: float
    """As it is written, with its sign: 1.6 of "$1.6 billion"."""
    factor: float | None
    """What its unit or scale multiplies it with: 1e9, .01 of a percentage; None where it has neither."""
    decimals: int
    """Digits after the point."""
    currency: str
    """$, €, £ or another sign; empty where there is none."""
    bracketed: bool
    """Negative by the accountants' brackets, which outlays have as well."""
    ranged: bool
    """One end of a range."""
    text: str
    """As it stands in the text."""
    seconds: float | None = None
    """In its unit, where that is one of time."""

    @property
    def value(self) -> float:
        return self.printed * (self.factor or 1.0)


def quantities(text: str, *, years: bool = False) -> list[Quantity]:
    """The numbers of a `plain` text in their order; dates, years, form names and list numbers are none.

    Args:
        text: As `plain` gives it.
        years: Take 1950 for a number too, where no word before it says that it is a year.
    """
    text = _NO_AMOUNT.sub(" ; ", DATE.sub(" ; ", text))
    text = (_DATED if years else _YEAR).sub(" ; ", text)
    text = _WORD.sub(lambda found: str(_WORDS.index(found[1].lower())), text)
    if "-" in text:
        text = _RANGE.sub(_as_between, text)
    ranged = {place for found in _BETWEEN.finditer(text) for place in range(*found.span())}
    made = (_quantity(match, match.start("digits") in ranged) for match in _NUMBER.finditer(text))
    return [quantity for quantity in made if quantity is not None]


def _as_between(found: re.Match[str]) -> str:
    """`10-12 %` as `between 10 % and 12 %`; a difference of sums, `$9 - $4`, has a blank on either side."""
    if " - " in found[0]:
        return found[0]
    high_unit = found["its"] or ""
    return f"between {found['low']}{found['unit'] or high_unit} and {found['high']}{high_unit}"


def _quantity(match: re.Match[str], ranged: bool) -> Quantity | None:
    digits, before = match["digits"], match["before"]
    unit, scale, letter, time = ((match[name] or "").lower() for name in ("unit", "scale", "letter", "time"))
    currency = before.strip(" (-").upper()
    if letter and not (currency or "." in digits or "," in digits):
        return None  # 3M is a name
    factor = _SCALES.get(scale.rstrip("s") or letter)
    if unit in _CENTS:
        digits, unit = f"{float(digits.replace(',', '')) / 100:.{2 + len(digits.partition('.')[2])}f}", ""
    if unit:
        factor = 1e-4 if unit.startswith("b") else 0.01
    amount = bool(currency or unit or scale) or not digits.isdigit()
    bracketed = "(" in before and bool(match["close"]) and amount
    negative = bracketed or "-" in before
    return Quantity(
        printed=float(digits.replace(",", "")) * (-1 if negative else 1),
        factor=factor,
        decimals=len(digits.partition(".")[2]),
        currency=_SIGNS.get(currency, currency),
        bracketed=bracketed,
        ranged=ranged,
        text=match[0].strip(" (~"),
        seconds=_SECONDS.get(time) or _SECONDS.get(time.rstrip("s")),
    )
