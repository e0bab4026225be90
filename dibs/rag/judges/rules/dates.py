"""Dates as people write them: with a day, or a month and a year."""

from __future__ import annotations

import re
from typing import NamedTuple

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_YEAR = r"(?:19|20)\d\d"
DATE = re.compile(
    rf"""
      \b(?P<m1>{_MONTH})\ (?P<d1>{_DAY})(?:,?\ (?P<y1>{_YEAR}))?\b(?!%|\ ?percent|[.,]\d)    # May 26, 2023
    | \b(?P<d2>{_DAY})\ (?:of\ )?(?P<m2>{_MONTH})(?:,?\ (?P<y2>{_YEAR}))?\b
    | \b(?P<y3>\d{{4}})-(?P<m3>\d\d)-(?P<d3>\d\d)\b
    | \b(?P<a>\d{{1,2}})/(?P<b>\d{{1,2}})/(?P<y4>\d{{4}}|\d\d)\b
    | \b(?P<m5>{_MONTH}),?\ (?P<y5>{_YEAR})\b
    """,
    re.VERBOSE | re.IGNORECASE,
)


class Date(NamedTuple):
    """A day, or a month; what is not said is None."""

    year: int | None
    month: int
    day: int | None

    def says(self, gold: Date) -> bool:
        """Whether this is the gold date; a year may be left out, a day may not."""
        years = {self.year, gold.year} - {None}
        return self.month == gold.month and len(years) <= 1 and gold.day in (None, self.day)


def dates(text: str) -> list[list[Date]]:
    """The dates of a `plain` text in their order, each as it may be read: 3/4/2022 is in March or April."""
    return [readings for found in DATE.finditer(text) if (readings := _readings(found))]


def _readings(found: re.Match[str]) -> list[Date]:
    if found["a"]:
        first, second, written = int(found["a"]), int(found["b"]), int(found["y4"])
        full = written + 2000 if written < 100 else written
        pairs = dict.fromkeys([(first, second), (second, first)])
        return [Date(full, month, day) for month, day in pairs if 1 <= month <= 12 and 1 <= day <= 31]
    year = found["y1"] or found["y2"] or found["y3"] or found["y5"]
    day = found["d1"] or found["d2"] or found["d3"]
    name = found["m1"] or found["m2"] or found["m5"]
    month = _MONTHS.index(name[:3].lower()) + 1 if name else int(found["m3"])
    number = int(re.sub(r"\D", "", day)) if day else None
    if not (1 <= month <= 12 and (number is None or 1 <= number <= 31)):
        return []
    return [Date(int(year) if year else None, month, number)]
