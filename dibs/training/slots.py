"""What a document has to ask about: the words that forms of questions are filled with.

    company, form, year, before   from the document's fields or title; `before` is the year before
    subject, topic                the parts of a title `subject: topic`
    heading                       of a part of the document
    item, other_item, moving      labels of a table's rows; `moving` ones have values for two years
    measure                       a ratio whose parts are rows here
    moved                         what a sentence says increased or fell
    term, other_term, third_term  words that stand out
    keywords                      several of them
    asked                         a title or heading that is a question
    thing                         what a sentence defines
    task                          what a sentence or heading says how to do
    problem                       what a sentence says may be the case: `If ...,`
    error                         a quoted message
    limited                       what a sentence gives a limit or number for

A name that the document has nothing for is absent, and forms with it are not used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dibs.training.documents import Document
from dibs.training.layout import Layout, Row, cleaned
from dibs.training.words import STOP, Rarity, normalised, terms, words

Slots = dict[str, list[str]]
SAME = {"other_item": "item", "other_term": "term", "third_term": "term"}
"""Slots that are filled from another one's list, with another of its words."""

_VERBS_TEXT = """
access activate add adjust allow analyze apply assign attach automate back build calibrate cancel change
check choose clean clone configure connect control convert copy create customize debug declare define
delete deploy describe detach determine disable disconnect download edit enable encrypt export filter
find fix flash format generate get give grant handle identify implement import improve increase ingest
install integrate invoke launch limit list load log make manage measure migrate modify monitor move open
optimize override pass pause perform prepare prevent print protect provide publish query read rebuild
receive record recover reduce register remove rename replace request reset resize resolve restart
restore restrict retrieve return review rotate run save scale schedule search secure select send set
share show sign solve specify start stop store stream submit switch sync tag test track transfer
troubleshoot tune turn update upgrade upload use validate verify view work write
"""
_VERBS = frozenset(_VERBS_TEXT.split())
_TASK = re.compile(r"(?:^|[Hh]ow )[Tt]o ((?:[a-z][a-z-]+)(?: [^\s,.;:()]+){1,11})(?=[,.;:?]|$)")
_ADVICE = re.compile(
    r"(?i)\b(?:you (?:can|could|need to|should|have to|must)|(?:would like|want|tried|trying) to) "
    r"([a-z]+(?: [^\s,.;:()]+){1,8})(?=[,.;:?]|$)"
)
_PROBLEM = re.compile(r"^(?:If|When) ((?:[^\s,.;:()—]+ ){2,14}[^\s,.;:()—]+),")
_MOVED = re.compile(
    r"^(?:The |Our |Total |the )?([A-Za-z][\w&' -]{4,60}?) (?:increased|decreased|declined|grew|rose|fell)\b"
)
_MOVE = re.compile(r"(?:increase|decrease|decline|growth) in ((?:[a-z][\w&'-]*[ ,.]){1,4})")
_THING = re.compile(r"^(?:A |An |The )?([A-Z][\w -]{3,40}?) (?:is|are) (?:a|an|the|used|designed)\b")
_QUOTED = re.compile(r"[`\"“]([^`\"”\n]{5,70})[`\"”]")
_FAULT = re.compile(
    r"(?i)error|exception|fail|invalid|denied|cannot|can't|not found|unable|timed? ?out|refused"
)
_LIMIT = re.compile(r"(?i)\b(?:maximum|minimum|limit(?:ed)?|quota|up to|at most|at least|default)\b.*\d")
_COMPANY = ("company", "company_name", "issuer", "organisation", "organization")
_YEAR = ("year", "fiscal_year", "doc_period", "period")
_FORM = ("form", "doc_type", "filing_type")
_GUIDE = re.compile(
    r"(?i)\s+(?:(?:developer|dev|user|admin|administration|release|reference)\s+)?(?:guide|docs|documentation|manual)"
    r"(?: for \w+)?$"
)
_ASKED = re.compile(r"(?i)(?:how|what|why|when|which|where|who|can|is|are|does|do|should)\b")
_PERSONS = {
    "you": "I",
    "your": "my",
    "yours": "mine",
    "you're": "I'm",
    "yourself": "myself",
    "you've": "I've",
}
_PERSON = re.compile(
    r"\b(?:you are|" + "|".join(map(re.escape, sorted(_PERSONS, key=len, reverse=True))) + r")\b", re.I
)
_CLAUSE = re.compile(r"(?i)\b(?:which|that|have|has|this|these|it|we|both|also)\b")
_HANGING_TEXT = """
a an and at by for from in into of on or that the this to with your which
"""
_HANGING = frozenset(_HANGING_TEXT.split())
_BACK = 3
"""Years that a filing's tables look back."""


def slots_of(
    document: Document, layout: Layout, rarity: Rarity, measures: Sequence[Mapping[str, Any]]
) -> Slots:
    """What the document offers for each name; a name without anything is not there."""
    found = terms(layout.plain, rarity)
    title = document.fields.get("title", "").strip()
    subject, _, rest = title.partition(": ")
    said = cleaned(rest or subject) or ""
    doing = _verb_phrase(said, rarity)
    topic = "" if doing or _ASKED.match(said) else rarity.lowered(said)
    company = _first(document.fields, _COMPANY)
    rows = [row for row in layout.rows if normalised(row.label) != normalised(company)]
    known = {normalised(said), normalised(company)}
    spoken = [*_every(_TASK, layout.sentences), *_every(_ADVICE, layout.sentences)]
    quoted = (
        text.strip() for text in _QUOTED.findall(document.text) if _FAULT.search(text) and "{" not in text
    )
    slots: dict[str, Iterable[str | None]] = {
        "company": [company or subject.partition(",")[0]],
        "form": [_form_name(_first(document.fields, _FORM))],
        "subject": [_GUIDE.sub("", subject) if rest else ""],
        "topic": ["" if company else topic],
        "asked": [text.rstrip("?") for text in (*layout.headings, said) if _ASKED.match(text)],
        "heading": [rarity.lowered(text) for text in layout.headings if normalised(text) not in known],
        "item": [rarity.lowered(row.label) for row in rows],
        "moving": [rarity.lowered(row.label) for row in rows if row.values > 1],
        "measure": [name for measure in measures if _has(rows, measure["of"]) for name in measure["names"]],
        "moved": [
            *map(rarity.lowered, filter(_is_short, _every(_MOVED, layout.sentences))),
            *_every_inside(_MOVE, layout.prose),
        ],
        "term": found,
        "keywords": [" ".join(found[at : at + 4]) for at in range(min(2, len(found) - 4))],
        "thing": [rarity.lowered(text) for text in _every(_THING, layout.sentences) if _is_thing(text)],
        "task": [doing, *(_verb_phrase(text, rarity) for text in (*spoken, *layout.headings))],
        "problem": [_first_person(text) for text in _every(_PROBLEM, layout.sentences)],
        "error": quoted,
        "limited": [_rarest(text, rarity) for text in layout.sentences if _LIMIT.search(text)],
    }
    slots |= _years(document, title, layout)
    kept = {name: list(dict.fromkeys(filter(None, values))) for name, values in slots.items()}
    return {name: values for name, values in kept.items() if values}


def _years(document: Document, title: str, layout: Layout) -> dict[str, Iterable[str]]:
    said = re.search(r"(?:19|20)\d\d", _first(document.fields, _YEAR) or title)
    if said is None:
        return {}
    year = int(said[0])
    back = {int(one) for one in layout.years if year - _BACK < int(one) < year}
    pages = [str(year), *(str(one) for one in sorted(back, reverse=True))]
    return {"year": pages, "before": [str(year - 1)]}


def _first(fields: Mapping[str, str], names: Iterable[str]) -> str:
    return next((fields[name].strip() for name in names if fields.get(name, "").strip()), "")


def _every(pattern: re.Pattern[str], sentences: Iterable[str]) -> list[str]:
    return [found[1] for sentence in sentences if (found := pattern.search(sentence))]


def _every_inside(pattern: re.Pattern[str], text: str) -> list[str]:
    return [_trimmed(found.strip(" ,.")).removeprefix("the ") for found in pattern.findall(text)]


def _form_name(form: str) -> str:
    return form.upper() if re.search(r"\d", form) else form.lower() or "annual report"


def _is_thing(text: str) -> bool:
    named = words(text)
    return len(named) < 6 and named[0] not in STOP and not _CLAUSE.search(text)


def _is_short(text: str) -> bool:
    return len(text.split()) < 8 and not _CLAUSE.search(text)


def _has(rows: Sequence[Row], parts: Sequence[Sequence[str]]) -> bool:
    """Whether each part is a row: one of its names stands in a label."""
    labels = [row.label.casefold() for row in rows]
    return all(any(name in label for name in names for label in labels) for names in parts)


def _verb_phrase(text: str, rarity: Rarity) -> str | None:
    """`Creating a table` or `create a table` as what follows `How do I`; None if it begins with no verb."""
    first, _, rest = text.partition(" ")
    verb = first.casefold()
    if verb.endswith("ing"):
        stem = verb[:-3]
        verb = next((one for one in (stem, f"{stem}e", stem[:-1]) if one in _VERBS), "")
    if verb not in _VERBS or not rest or len(rest.split()) > 11:
        return None
    return _first_person(f"{verb} {rarity.lowered(_trimmed(rest))}")


def _trimmed(text: str) -> str:
    """Without words at its end that call for another."""
    found = text.split()
    while found and found[-1].casefold() in _HANGING:
        found.pop()
    return " ".join(found)


def _first_person(text: str) -> str:
    """What a manual says to a reader, as the reader says it."""

    def said(found: re.Match[str]) -> str:
        word = found[0].casefold()
        return "I am" if word == "you are" else _PERSONS[word]

    return _PERSON.sub(said, text)


def _rarest(sentence: str, rarity: Rarity) -> str | None:
    """The two rarest words of a sentence that are no numbers, in its order."""
    found = [word for word in dict.fromkeys(words(sentence)) if word.isalpha() and len(word) > 3]
    best = sorted(found, key=lambda word: (-min(rarity.idf(word), 6.0), word))[:2]
    return " ".join(word for word in found if word in best) or None
