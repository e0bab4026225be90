"""Measures: values that read as `recall@10`, computed by pytrec_eval.

A measure reads the same on the command line, in JSON and in table headings. Every query counts; one
for which nothing was found counts 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dibs.data.dataset import Qrels
from dibs.errors import InputError, unknown
from dibs.retrieval.run import Run

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """How trec_eval knows a measure."""

    trec: str
    """trec_eval's name; its cut-off is appended as `.k`, and as `_k` in its results."""
    meaning: str
    mteb: str
    """MTEB's name in its result files."""
    cuts: bool = True
    """Whether trec_eval itself takes a cut-off; else the run is cut before."""


KINDS: Mapping[str, Kind] = {
    "recall": Kind("recall", "share of a query's relevant documents among the first k", "recall"),
    "success": Kind("success", "1 if a relevant document is among the first k, else 0", "hit_rate"),
    "precision": Kind("P", "share of relevant documents among the first k", "precision"),
    "ndcg": Kind("ndcg_cut", "discounted gain (linear gains) over the ideal order's, at k", "ndcg"),
    "map": Kind("map_cut", "mean over the relevant documents of the precision at their ranks, at k", "map"),
    "mrr": Kind(
        "recip_rank", "1 / rank of the first relevant document among the first k, else 0", "mrr", cuts=False
    ),
}
_FORM = re.compile(r"([a-z]+)@([1-9][0-9]*)")


@dataclass(frozen=True, order=True)
class Measure:
    """A kind of measure at a cut-off: `Measure.parse("recall@10")` prints as `recall@10`."""

    kind: str
    k: int

    @classmethod
    def parse(cls, text: str) -> Measure:
        """The measure that `text` names.

        Raises:
            InputError: no such measure, or not of the form kind@k.
        """
        match = _FORM.fullmatch(text.strip().lower())
        if match is None:
            raise InputError(f"{text!r} is not a measure", todo="Write it as recall@10.")
        if match[1] not in KINDS:
            raise unknown("measure", match[1], KINDS)
        return cls(match[1], int(match[2]))

    def __str__(self) -> str:
        return f"{self.kind}@{self.k}"

    @property
    def mteb_name(self) -> str:
        """As MTEB's result files call it: `recall_at_10`."""
        return f"{KINDS[self.kind].mteb}_at_{self.k}"


def parse_measures(texts: Iterable[str]) -> list[Measure]:
    """The measures of some texts, each once, in their order."""
    return list(dict.fromkeys(Measure.parse(text) for text in texts))


def score(run: Run, qrels: Qrels, measures: Iterable[Measure]) -> dict[Measure, Values]:
    """Each measure's value for every query of `qrels`, (n,), in the order of `qrels`.

    Raises:
        InputError: the run has queries that the qrels do not judge.
    """
    if strange := run.rankings.keys() - qrels.keys():
        raise InputError(f"the run has {len(strange)} queries that nobody judged, such as {min(strange)!r}")
    wanted = list(measures)
    whole = [measure for measure in wanted if KINDS[measure.kind].cuts]
    found = _evaluate(run, qrels, whole)
    for measure in wanted:
        if not KINDS[measure.kind].cuts:
            found |= _evaluate(run.top(measure.k), qrels, [measure])
    return {measure: found[measure] for measure in wanted}


def _evaluate(run: Run, qrels: Qrels, measures: list[Measure]) -> dict[Measure, Values]:
    import pytrec_eval

    if not measures:
        return {}
    names = {m: f"{KINDS[m.kind].trec}.{m.k}" if KINDS[m.kind].cuts else KINDS[m.kind].trec for m in measures}
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, set(names.values()))
    # pytrec_eval leaves out a query without results; it is put back below, as 0.
    per_query: dict[str, dict[str, Any]] = evaluator.evaluate({q: s for q, s in run.scores().items() if s})
    return {
        measure: np.array(
            [per_query[query][name.replace(".", "_")] if query in per_query else 0.0 for query in qrels],
            dtype=np.float64,
        )
        for measure, name in names.items()
    }
