"""What speaks for an answer, before any threshold: the rule that applies and how strongly it holds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Literal

from dibs.rag.judges.base import Case
from dibs.rag.judges.rules.amounts import Wanted, claims, distance
from dibs.rag.judges.rules.dates import DATE, Date, dates
from dibs.rag.judges.rules.numbers import Quantity, quantities
from dibs.rag.judges.rules.refusals import refusal
from dibs.rag.judges.rules.stances import denies, opening, opposed, stance, undenied
from dibs.rag.judges.rules.text import Terms, asked, conclusions, plain, sentences, tokens

Rule = Literal["refusal", "date", "number", "stance", "denial", "terms"]
_AMOUNT_ASKED = re.compile(
    r"\bhow (?:much|many)\b|\bby what\b|\bwhat (?:is|was|were|are) (?:the|its|their) (?:\w+ ){0,3}"
    r"(?:amount|number|value|percentage|quantity|rate|ratio|total)\b",
    re.IGNORECASE,
)
_YEAR_ALONE = re.compile(r"\s*(?:19|20)\d\d\s*\.?\s*$")
_YEAR_ASKED = re.compile(r"\b(?:which|what) (?:\w+ )?years?\b|\bwhen\b", re.IGNORECASE)
_BETWEEN_ITEMS = re.compile(r",\s*(?:and\b|or\b)?|\n|;|\band\b", re.IGNORECASE)
_ITEM_WORDS = 3
"""Words that an item of a list has at most; longer ones are reasons, of which a part may do."""
_OPENS = 2
"""Sentences in which an answer opens."""
_QUOTED = 80
"""Characters of an answer that a reason quotes."""


@dataclass(frozen=True)
class Evidence:
    """How an answer stands to its gold."""

    rule: Rule
    strength: float
    """How far the rule holds, 0 to 1; of numbers, 1 less their relative distance."""
    reason: str
    """What was found, on one line."""
    hedge: str | None = None
    """The words by which the answer says, where it opens or ends, that it cannot answer."""
    opens_hedged: bool = False
    """That is where it opens."""
    strict: bool = False
    """Nearly all of the gold's terms must be there: it is a list, or the answer opens with a hedge."""
    settled: bool = False
    """Number stands against number; no sentence has to be understood."""


class _Answer:
    """An answer taken apart."""

    def __init__(self, text: str) -> None:
        self.parts = [part for part in sentences(text) if not part.endswith("?")]  # a question claims nothing
        self.opening_hedge = next(filter(None, map(refusal, self.parts[:_OPENS])), None)
        self.hedge = self.opening_hedge or next(filter(None, map(refusal, self.parts[-1:])), None)

    @cached_property
    def clear(self) -> list[str]:
        """The sentences that do not say that something is unknown."""
        return [part for part in self.parts if refusal(part) is None]


@lru_cache(maxsize=4096)
def weigh(case: Case) -> Evidence:
    """The evidence for one answer. No text is obeyed: what an answer says of itself counts for nothing."""
    case = Case(plain(case.question), plain(case.gold), plain(case.answer))
    answer = _Answer(case.answer)
    if not answer.parts:
        lacking = "only asks" if case.answer.strip() else "is empty"
        return Evidence("refusal", 0.0, f"the answer {lacking}", hedge="", opens_hedged=True)
    found = _weigh(case, answer)
    return replace(found, hedge=answer.hedge, opens_hedged=answer.opening_hedge is not None)


def _weigh(case: Case, answer: _Answer) -> Evidence:
    if said := refusal(case.gold):
        found = f'"{answer.hedge}"' if answer.hedge else "no refusal"
        return Evidence("refusal", float(bool(answer.hedge)), f'the gold says "{said}", the answer {found}')
    if side := opening(case.gold):
        return _stance(case, side, answer)
    if days := _days(case):
        return _date(case, days, answer)
    if golds := _amounts(case):
        return _number(case, golds, answer)
    if denies(next(iter(sentences(case.gold)), "")):
        return _denial(case, answer)
    return _terms(case, answer)


def _days(case: Case) -> list[list[Date]]:
    """The gold's dates where it is little else."""
    rest = DATE.sub(" ", case.gold)
    little_else = len(Terms(rest).beyond(Terms(case.question))) <= 1 and not quantities(rest)
    return dates(case.gold) if little_else else []


def _date(case: Case, golds: Sequence[Sequence[Date]], answer: _Answer) -> Evidence:
    dated = [part for part in answer.clear if dates(part)]
    said = [readings for part in conclusions(dated) for readings in dates(part)]
    met = all(any(one.says(day) for readings in said for one in readings for day in gold) for gold in golds)
    reason = f"{'says' if met else 'does not say'} the gold's {_quote(case.gold)}"
    return Evidence("date", float(met), reason, settled=bool(said))


def _amounts(case: Case) -> list[Quantity]:
    """The gold's numbers where they are the answer: it is little else, or an amount is asked for."""
    found = quantities(case.gold, years=_is_amount(case))
    asked_for = {quantity.value for quantity in quantities(case.question)}
    new = [quantity for quantity in found if quantity.value not in asked_for]
    little_else = len(Terms(case.gold).beyond(Terms(case.question))) <= 1
    if little_else:
        new = new or found
    alone = len(new) == 1 or (len(new) == 2 and new[0].ranged)
    return new if alone and (little_else or _AMOUNT_ASKED.search(case.question)) else []


def _is_amount(case: Case) -> bool:
    """Whether a gold that may be a year, such as 1950, is a number all the same."""
    return bool(_YEAR_ALONE.match(case.gold)) and not _YEAR_ASKED.search(case.question)


def _number(case: Case, golds: Sequence[Quantity], answer: _Answer) -> Evidence:
    wanted = Wanted.by(case, golds[0])
    found = claims(answer.parts, years=_is_amount(case))
    wanted_text = " to ".join(gold.text for gold in golds)
    if not found and not any(gold.value for gold in golds):  # "there were none" is 0
        return _denial(case, answer)
    if not found:
        return Evidence("number", 0.0, f"no number, the gold is {wanted_text}")
    nearest = [min((distance(gold, claim, wanted), claim.quantity.text) for claim in found) for gold in golds]
    far = max(distance for distance, _ in nearest)
    texts = " to ".join(text for _, text in nearest)
    reason = f"{texts} for the gold's {wanted_text}" + (f", {far:.2%} apart" if 0 < far < 100 else "")
    return Evidence("number", max(0.0, 1.0 - far), reason, settled=True)


def _stance(case: Case, side: str, answer: _Answer) -> Evidence:
    found = stance(asked(case.question), answer.parts, answer.clear)
    if found is None:
        return Evidence("stance", 0.0, f"takes no side, the gold says {side}")
    strength = found.on_topic if found.side == side and not answer.opening_hedge else 0.0
    reason = f"says {found.side} for the gold's {side}: {_quote(found.sentence)}"
    return Evidence("stance", strength, reason)


def _denial(case: Case, answer: _Answer) -> Evidence:
    """The gold says that something is not so, or that there is none."""
    topics = [Terms(asked(case.question)).stems, Terms(case.gold).stems]
    topics = [topic for topic in topics if len(topic) > 1]  # "There are none" has no topic of its own
    denying = [part for part in answer.parts if denies(part)]
    if not denying and (said := claims(answer.parts)) and not any(claim.quantity.value for claim in said):
        return Evidence("number", 1.0, "0 for the gold's none", settled=True)
    shares = [(max((Terms(part).share(topic) for topic in topics), default=0.0), part) for part in denying]
    share, part = max(shares, default=(0.0, ""))
    reason = f"denies it as the gold does: {_quote(part)}" if part else "does not deny it, the gold does"
    return Evidence("denial", 0.0 if answer.opening_hedge else share, reason)


def _terms(case: Case, answer: _Answer) -> Evidence:
    """The share of what the gold says beyond the question that the answer says too."""
    question, gold = Terms(case.question), Terms(case.gold)
    asked_for = {quantity.value for quantity in quantities(case.question)}
    numbers = [quantity for quantity in quantities(case.gold) if quantity.value not in asked_for]
    new, parts = gold.beyond(question), answer.clear
    if not new and not numbers:
        if not gold.stems:
            return _phrase(case, answer)
        new, parts = gold.stems, conclusions(parts)  # the gold chooses among what the question offers
    said = Terms("\n".join(map(undenied, parts)))
    values = [claim for part in parts for claim in quantities(part)]
    hits = [stem for stem in sorted(new) if stem in said]
    met = [number for number in numbers if any(_same(number, value) for value in values)]
    total = len(new) + len(numbers)
    share = (len(hits) + len(met)) / total
    listed = _is_list(case.gold)
    own = said.beyond(question)
    if hits and not listed:  # a word or two, all of them the gold's
        share = max(share, len(own & new) / max(1, len(own)))
    named = ", ".join([*hits, *(number.text for number in met)][:6])
    reason = f"{len(hits) + len(met)} of the gold's {total} terms" + (f": {named}" if named else "")
    if opposed(gold, Terms("\n".join(conclusions(answer.clear)))):
        share, reason = 0.0, f"{reason}; it goes the other way"
    strict = listed or answer.opening_hedge is not None
    return Evidence("terms", share, reason, strict=strict)


def _same(gold: Quantity, said: Quantity) -> bool:
    open_ = 0.5 * 10.0**-gold.decimals * (gold.factor or 1.0) * (1 + 1e-9)
    return min(abs(abs(value) - abs(gold.value)) for value in (said.value, said.printed)) <= open_


def _is_list(gold: str) -> bool:
    items = [item for item in _BETWEEN_ITEMS.split(gold.strip(" .")) if item.strip()]
    return len(items) > 1 and all(len(item.split()) <= _ITEM_WORDS for item in items)


def _phrase(case: Case, answer: _Answer) -> Evidence:
    """A gold without a word or amount, such as a year: all of it in one sentence."""
    gold = tokens(case.gold)
    there = bool(gold) and any(gold <= tokens(part) for part in answer.clear)
    reason = f"{'names' if there else 'does not name'} the gold's {_quote(case.gold)}"
    return Evidence("terms", float(there), reason, strict=answer.opening_hedge is not None)


def _quote(text: str) -> str:
    text = " ".join(text.split())
    return f'"{text if len(text) <= _QUOTED else text[:_QUOTED] + "..."}"'
