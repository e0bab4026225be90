"""A generator without an LLM: forms of questions, filled with what the document itself offers.

It gives a floor, and lets everything after it run offline. The ingredients are known ones: a title or
heading as the query of its text, and the inverse cloze task, where a sentence is taken out of a document
and asks for it (Lee, Chang and Toutanova 2019, arXiv 1906.00300). docs/training.md has the method.
"""

from __future__ import annotations

import hashlib
import random
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any

from dibs.progress import track
from dibs.training.base import Made, Query
from dibs.training.documents import Document
from dibs.training.layout import Layout, layout_of
from dibs.training.slots import SAME, Slots, slots_of
from dibs.training.words import STOP, Rarity, copied, normalised, words

VERSION = 1
"""Of the rules here and in layout.py, slots.py and words.py; the forms have their own hash."""

_FORMS = Path(__file__).parent / "forms"
_FEWEST, _MOST = 3, 40
"""Words of a query."""
_FEWEST_OF_DOCUMENT = 20
"""Words of a document that something can be asked about."""
_TRIES = 6
_KEPT_WHOLE = 0.1
"""How often a cloze leaves its sentence in the document, as the inverse cloze task does."""
_DROPPED = 0.2
"""How many of the words that carry meaning a cloze loses; the others it loses half of."""
_SYNONYM = 0.5
_TERMS = {"term", "other_term", "third_term", "keywords"}
_TELLING = 0.75
"""How often a form without terms is taken, if there is one: any terms make a question, seldom a good one."""
_LABELS = ("item", "other_item", "moving", "moved")
_BY_YEAR = {"item", "moving", "measure"}
_OWN_YEAR = 0.6
"""How often such a one is asked for of the filing's own year, and not of an earlier one in its table."""
_CAREFUL = 0.7
"""How often a query keeps its capitals and its full stop; people who search leave them out."""


@dataclass(frozen=True)
class Forms:
    """The forms of one domain."""

    domain: str
    forms: Mapping[str, Sequence[str]]
    """Kind to forms with `{slot}` in them."""
    weights: Mapping[str, float]
    synonyms: Mapping[str, Sequence[str]]
    """What a row's label begins with, normalised, to what else it is called."""
    measures: Sequence[Mapping[str, Any]]
    needs: frozenset[str]
    """Slots of which a document has to offer one, else nothing is asked about it."""
    sha256: str


def load_forms(domain: str) -> Forms:
    """The forms of a domain."""
    content = (_FORMS / f"{domain}.toml").read_bytes()
    values = tomllib.loads(content.decode())
    return Forms(
        domain,
        values["forms"],
        values["weights"],
        values.get("synonyms", {}),
        values.get("measures", []),
        frozenset(values.get("needs", ())),
        hashlib.sha256(content).hexdigest(),
    )


class StructureGenerator:
    """Makes queries by rule; the same document, seed and count give the same queries."""

    name = "structure"

    def __init__(self, forms: Forms, rarity: Rarity) -> None:
        self._forms = forms
        self._rarity = rarity

    def settings(self) -> dict[str, Any]:
        return {
            "generator": "structure",
            "version": VERSION,
            "prompt": self._forms.domain,
            "prompt_sha256": self._forms.sha256,
            "counted_documents": self._rarity.documents,
        }

    def make(self, documents: Sequence[Document], each: int, seed: int) -> list[Made]:
        made = []
        with track("Making queries", len(documents), "documents") as advance:
            for document in documents:
                queries = self._queries(document, each, random.Random(f"{seed} {document.id}"))
                made.append(Made(document, queries))
                advance(1)
        return made

    def _queries(self, document: Document, each: int, draw: random.Random) -> list[Query]:
        if len(document.text.split()) < _FEWEST_OF_DOCUMENT:
            return []
        layout = layout_of(document.text)
        slots = slots_of(document, layout, self._rarity, self._forms.measures)
        if self._forms.needs and not self._forms.needs & slots.keys():
            return []
        clozes = _clozes(layout, self._rarity)
        if clozes:
            slots["cloze"] = clozes
        open_forms = {
            kind: usable
            for kind, forms in self._forms.forms.items()
            if (usable := [form for form in forms if {SAME.get(n, n) for n in _names(form)} <= slots.keys()])
        }
        found: dict[str, Query] = {}
        for kind in _order(open_forms, self._forms.weights, each, draw):
            for _ in range(_TRIES):
                form = _choice(open_forms[kind], draw)
                query = self._query(kind, form, slots, document, layout, draw)
                if query is not None and normalised(query.text) not in found:
                    found[normalised(query.text)] = query
                    break
            if len(found) == each:
                break
        return list(found.values())

    def _query(
        self, kind: str, form: str, slots: Slots, document: Document, layout: Layout, draw: random.Random
    ) -> Query | None:
        """One filling of a form; None if it cannot be filled, or is no query."""
        filled: dict[str, str] = {}
        names = _names(form)
        for name in sorted(names):
            rest = [text for text in slots[SAME.get(name, name)] if text not in filled.values()]
            if name == "year" and ("before" in names or not names & _BY_YEAR or draw.random() < _OWN_YEAR):
                rest = rest[:1]
            if not rest:
                return None
            filled[name] = draw.choice(rest)
        less = None
        if "cloze" in filled:
            less = _without(document.text, filled["cloze"]) if draw.random() >= _KEPT_WHOLE else None
            filled["cloze"] = _worn(filled["cloze"], draw)
        for name in _LABELS:  # in one order: each draws
            if name in filled:
                filled[name] = self._called(filled[name], draw)
        text = " ".join(form.format(**filled).split())
        if draw.random() >= _CAREFUL:
            text = text.rstrip("?.") if kind != "cloze" else text.lower()
        if not _FEWEST <= len(text.split()) <= _MOST or copied(text, layout.sentences):
            return None
        return Query(text[0].upper() + text[1:] if draw.random() < _CAREFUL else text, kind, less)

    def _called(self, label: str, draw: random.Random) -> str:
        """A row's label, or at times what else it is called."""
        plain = normalised(label)
        keys = [key for key in self._forms.synonyms if f"{plain} ".startswith(f"{key} ")]
        if not keys or draw.random() >= _SYNONYM:
            return label
        return draw.choice(list(self._forms.synonyms[max(keys, key=len)]))


def _order(
    kinds: Mapping[str, Any], weights: Mapping[str, float], each: int, draw: random.Random
) -> list[str]:
    """Kinds to try, twice as many as are wanted, drawn by weight; none again before all had their turn."""
    order: list[str] = []
    while kinds and len(order) < 2 * each:
        # Efraimidis and Spirakis (2006): the greatest u^(1/w) is a weighted draw without replacement.
        order += sorted(kinds, key=lambda kind: draw.random() ** (1 / weights[kind]), reverse=True)
    return order


def _choice(forms: Sequence[str], draw: random.Random) -> str:
    """One of the forms; mostly one that says more than terms, if there is one."""
    telling = [form for form in forms if not _names(form) & _TERMS]
    return draw.choice(telling if telling and draw.random() < _TELLING else list(forms))


def _names(form: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(form) if name}


def _clozes(layout: Layout, rarity: Rarity) -> list[str]:
    """The document's most telling sentences, by their words' mean idf."""
    fit = [one for one in dict.fromkeys(layout.sentences) if 8 <= len(one.split()) <= 30]
    return sorted(fit, key=lambda one: (-rarity.mean(one), one))[: max(1, len(fit) // 3)] if fit else []


def _worn(sentence: str, draw: random.Random) -> str:
    """A sentence as someone who half remembers it would search for it: without many of its words."""
    kept = [
        word
        for word in sentence.rstrip(".!").split()
        if draw.random() >= (0.5 if not words(word) or words(word)[0] in STOP else _DROPPED)
    ]
    return " ".join(kept[:20])


def _without(text: str, sentence: str) -> str | None:
    """The text without a sentence; None if its lines and marks hide it, or little would be left."""
    pattern = r"\s+".join(re.escape(word) for word in sentence.split())
    left = re.sub(pattern, " ", text, count=1).strip()
    return left if len(left) < len(text) and len(left.split()) >= _FEWEST_OF_DOCUMENT else None
