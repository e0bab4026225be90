"""A test set that nobody asked: queries made of the documents by rule or by an LLM, and judged by one.

The same generators and filters make training pairs; here the queries are a test, so nothing of it lies
where training looks for pairs, clozes are left out (their words stand in the indexed text), and whatever
repeats a text is as right an answer as the text itself. The round trip is no filter here: a test of what
one retriever finds anyway would favour it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from dibs.cards.model import LLMCard
from dibs.data.content import ROWS
from dibs.domain.queries import Query
from dibs.errors import InputError, unknown
from dibs.llm.chat import make_llm
from dibs.training.base import DOMAINS, Generator
from dibs.training.documents import Collection, of_table
from dibs.training.drawing import Drawing, sample
from dibs.training.generate import LLMGenerator
from dibs.training.pairs import Pair
from dibs.training.steps import DuplicatesStep, JudgeStep, Step
from dibs.training.structure import StructureGenerator, load_forms
from dibs.training.synthesize import rarity_of
from dibs.workspace import Workspace

STRUCTURE = "structure"
_ALIKE = 0.9


@dataclass(frozen=True)
class Synthesis:
    """How queries are made where nobody gave any."""

    generator: LLMCard | None = None
    """None is by rule, from the documents' structure: a floor."""
    judge: LLMCard | None = None
    """What decides whether a query stays; None keeps all that do not repeat another."""
    count: int = 200
    """Units that are drawn; 0 is all of them."""
    each: int = 1
    """Queries of each, at most."""
    seed: int = 0
    domain: str = "general"
    document_tokens: int = 2048
    """Tokens of a unit that an LLM is shown."""

    def __post_init__(self) -> None:
        if self.domain not in DOMAINS:
            raise unknown("domain", self.domain, DOMAINS)

    @property
    def maker(self) -> str:
        """What made and judged the queries, as a card says it."""
        made = STRUCTURE if self.generator is None else self.generator.name
        return f"{made}, judged by {self.judge.name}" if self.judge else f"{made}, judged by nobody"

    def settings(self) -> dict[str, Any]:
        """Everything that changes a query besides the documents."""
        cards = {
            name: card.model_dump(mode="json", exclude_defaults=True) if card else None
            for name, card in (("generator", self.generator), ("judge", self.judge))
        }
        names = ("count", "each", "seed", "domain", "document_tokens")
        return cards | {name: getattr(self, name) for name in names} | {"version": 1}


@dataclass(frozen=True)
class Made:
    """Synthetic queries, and how many were left out."""

    queries: list[Query]
    about: dict[str, Any]


def synthesize(name: str, table: pa.Table, how: Synthesis, gold: str, workspace: Workspace) -> Made:
    """Queries of some of the corpus's units, drawn over documents, each with what answers it.

    Args:
        table: The corpus, with the columns id, part and document.
        gold: The column with the id that is right: `id`, or `part` where units overlap.

    Raises:
        InputError: not one query could be made, or is left; ProviderError: every request failed.
    """
    found = of_table(name, table, group=None, where=name)
    generator = _generator(how, found, workspace)
    drawn = sample(found, Drawing(how.count or None, how.each, how.seed, "none", 0.0))
    made = generator.make(drawn.documents, how.each, how.seed)
    pairs = [
        Pair(query.text, one.document.id, one.document.text, query.kind, one.document.group, "development")
        for one in made
        for query in one.queries
    ]
    steps: list[Step] = [DuplicatesStep(_ALIKE)]
    if how.judge is not None:
        steps.append(JudgeStep(make_llm(how.judge, workspace.cache), how.document_tokens))
    failed = [one.error for one in made if one.error is not None]
    about: dict[str, Any] = {"drawn": len(drawn.documents), "made": len(pairs), "failed": len(failed)}
    for step in steps if pairs else ():
        looked = step.look(pairs)
        out = looked.rejected.keys() | looked.unsure.keys()
        about[step.name] = {"rejected": len(looked.rejected), "unsure": len(looked.unsure)}
        pairs = [pair for place, pair in enumerate(pairs) if place not in out]
    if not pairs:
        raise InputError(
            f"not one query could be made of {len(drawn.documents):,} units",
            where=name,
            todo=(f"The first failed: {failed[0]}. " if failed else "")
            + "Draw more (--count), name an LLM (--generator), or give queries (--queries).",
        )
    answers = _answers(table, {pair.document_id for pair in pairs}, gold)
    queries = [
        Query(f"s{number:04}", pair.query, dict.fromkeys(answers[pair.document_id], 1), {"kind": pair.kind})
        for number, pair in enumerate(pairs, start=1)
    ]
    spent = getattr(generator, "spent", None)
    about |= {"kept": len(queries), "cost": None if spent is None else asdict(spent)}
    return Made(queries, about)


def _generator(how: Synthesis, found: Collection, workspace: Workspace) -> Generator:
    if how.generator is not None:
        llm = make_llm(how.generator, workspace.cache)
        return LLMGenerator(llm, how.domain, how.each, how.document_tokens)
    forms = load_forms(how.domain)
    told = {kind: texts for kind, texts in forms.forms.items() if kind != "cloze"}
    return StructureGenerator(replace(forms, forms=told), rarity_of(found, how.seed))


def _answers(table: pa.Table, drawn: set[str], gold: str) -> Mapping[str, Sequence[str]]:
    """What is right for a query of each drawn unit: the unit, and all that have its text."""
    columns = ["id", gold, "text"] if gold != "id" else ["id", "id", "text"]
    keys: dict[str, bytes] = {}
    for wanted in (True, False):  # two passes: which texts were drawn, and where they stand
        same: dict[bytes, dict[str, None]] = {key: {} for key in keys.values()}
        for batch in table.select(["id", "text", *({gold} - {"id"})]).to_batches(max_chunksize=ROWS):
            rows = zip(*(batch.column(name).to_pylist() for name in columns), strict=True)
            for name, right, text in rows:
                if wanted and name in drawn:
                    keys[name] = _key(text)
                elif not wanted and (key := _key(text)) in same:
                    same[key][right] = None
    return {name: list(same[key]) for name, key in keys.items()}


def _key(text: str) -> bytes:
    return blake2b(" ".join(text.split()).encode(), digest_size=16).digest()
