"""What a finetuning has to pass: no leakage before it, a loss that fell, and a gain on development."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dibs.errors import InputError
from dibs.scoring.compare import Comparison, Difference
from dibs.training.development import Evaluation
from dibs.training.leakage import Test, guard
from dibs.training.pairs import Pair, PairSet

_PART = 5
"""The loss of the first fifth of the steps is compared with that of the last."""


def refuse_leakage(pairs: PairSet, tests: Sequence[Test]) -> None:
    """Refuse pairs that nobody guarded, or whose queries are those of a test.

    The texts are looked at again here, for every task that the model is to be measured on: a manifest
    may be of an older state of the task, or another task's.

    Raises:
        InputError: the pairs are of a task and were not guarded against it, or a query leaks.
    """
    task = pairs.manifest.get("task")
    guarded = [report.get("task") for report in pairs.manifest.get("leakage") or []]
    if task is not None and task not in guarded:
        raise InputError(
            f"nobody looked for queries of {task} among these pairs",
            where=pairs.name,
            todo=f"Run: dibs filter {pairs.name}",
        )
    for test in tests:
        if leaks := guard(pairs.pairs, test, None, None).leaks:
            first = leaks[0]
            raise InputError(
                f"{len(leaks):,} of {len(pairs.pairs):,} training queries leak from {test.task}, such as "
                f"pair {first.place + 1}: {first.reason} with {first.query_id}",
                where=pairs.name,
                todo=f"Run: dibs filter {pairs.name} --task {test.task}",
            )


def refuse_unlearnt(losses: Sequence[tuple[int, float]], *, where: str) -> None:
    """Refuse a training whose loss did not fall: the mean of its last fifth is not below the first's.

    Raises:
        InputError: it did not fall, or there are too few steps to say so.
    """
    values = [loss for _, loss in losses]
    if len(values) < 2:
        todo = "Train on more pairs, for more epochs, or in smaller batches."
        raise InputError("one step does not show whether the loss falls", where=where, todo=todo)
    part = max(1, len(values) // _PART)
    first, last = sum(values[:part]) / part, sum(values[-part:]) / part
    if last >= first:
        raise InputError(
            f"the loss did not fall: {first:.4f} at the beginning, {last:.4f} at the end; nothing is kept",
            where=where,
            todo="Try another learning rate, a larger batch or more pairs.",
        )


def gain(development: Sequence[Pair], base: Evaluation, best: Evaluation) -> Difference:
    """The finetuned model's recall less its base's on development, paired; clusters are the pairs' groups.

    The checkpoint was chosen on these queries, so this is no estimate for others.
    """
    values = np.array([best.values, base.values]).T
    return Comparison(values, [pair.group for pair in development]).difference(0, 1)
