"""What the best test score among trials would have claimed, beside the score of the chosen one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dibs.cards.model import ModelCard
from dibs.errors import DamagedError
from dibs.evaluate import Work
from dibs.files import write_json
from dibs.retrieval.base import Search as Query
from dibs.scoring.levels import score_main
from dibs.scoring.measures import Measure
from dibs.training.outcome import Outcome, card_of, outcome
from dibs.training.tune import Search, Tried, chosen

Make = Callable[[ModelCard], Work]
"""From a model's card to its work on one task."""


def optimism(search: Search, found: Sequence[Tried], tasks: Mapping[str, Make]) -> dict[str, Any]:
    """By task: the chosen trial's score on the test queries, the best one's, and their difference.

    Every finished trial is measured, once; none has a record, so that none can be taken for a result.
    Call it when the choice is made. The chosen one's vectors are looked for among those of records.
    """
    finished = [trial for trial in found if trial.state == "complete"]
    mine, told = chosen(found).number, {}
    for name, make in tasks.items():
        scores = {t.number: _mean(search, str(t.model), make, kept=t.number == mine) for t in finished}
        best = max(scores, key=lambda number: (scores[number], -number))
        told[name] = {
            "measure": make(_card(search, str(finished[0].model))).task.main_measure,
            "trials": len(scores),
            "chosen": scores[mine],
            "best": scores[best],
            "best_trial": best,
            "optimism": scores[best] - scores[mine],
        }
    return told


def _mean(search: Search, model: str, make: Make, *, kept: bool) -> float:
    """The model's main measure on the test queries; what was measured before is read."""
    work = make(_card(search, model))
    path = search.folder / f"{model}.tests.json"
    try:
        known: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise DamagedError(f"cannot be read: {error}", where=str(path), todo="Delete it.") from None
    key = f"{work.task.name} {work.dataset.info.sha256} {work.task.main_measure}"
    if key not in known:
        main = Measure.parse(work.task.main_measure)
        # The vectors of a trial that was not chosen serve nobody else.
        with nullcontext(search.job.cache) if kept else TemporaryDirectory(dir=search.folder) as cache:
            asked = Query(work.dataset, work.task.template(work.template), Path(cache))
            run = work.retriever.search(asked, work.depth).run
        known[key] = float(score_main(run, work.task, work.dataset, [main])[main].mean())
        write_json(path, known)
    return known[key]


def _card(search: Search, model: str) -> ModelCard:
    made = outcome(search.folder, model)
    assert isinstance(made, Outcome), "a finished trial has its model"
    return card_of(made, search.job.base, str(made.folder))
