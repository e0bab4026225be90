"""Reading calibrations back: what is known of a judge's error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dibs.errors import DamagedError
from dibs.rag.calibrate import column
from dibs.rag.correct import Labelled
from dibs.rag.judges.base import Verdict
from dibs.records import QUERIES, Record, all_records
from dibs.scoring.statistics import Estimate


@dataclass(frozen=True)
class Calibration:
    """How far a judge agrees with people."""

    record: Record
    accuracy: Estimate
    """Of correct-or-not."""
    kappa: Estimate | None
    """Cohen's, of the same; None where people or the judge used one verdict alone."""
    labelled: Labelled
    """The counts by question that a corrected accuracy rests on."""

    @property
    def source(self) -> str:
        """The labels it was measured on."""
        return self.labelled.source


def find(results: Path, judge_settings: dict[str, Any]) -> Calibration | None:
    """The calibration of the judge with exactly those settings; of several, that on the most answers.

    A damaged record is passed over.
    """
    found = [record for record in all_records(results, "calibration") if _is_of(record, judge_settings)]
    if not found:
        return None
    return read(max(found, key=lambda record: (record.scores["n"], record.name)))


def read(record: Record) -> Calibration:
    """What a whole record of a calibration says.

    Raises:
        DamagedError: it lacks a field.
    """
    import pandas as pd

    try:
        scores, name = record.scores, record.manifest["labels"]["name"]
        counts = pd.read_parquet(record.folder / QUERIES)
        kappa = scores["kappa"]
        return Calibration(
            record=record,
            accuracy=Estimate(**scores["accuracy"]),
            kappa=None if kappa["value"] is None else Estimate(**kappa),
            labelled=_labelled(counts, f"{name} ({scores['n']:,} answers)"),
        )
    except (KeyError, TypeError, OSError, ValueError) as error:
        raise DamagedError(
            f"the calibration cannot be read: {error!r}", where=record.name, todo="Delete that folder."
        ) from None


def _is_of(record: Record, judge_settings: dict[str, Any]) -> bool:
    try:
        return record.manifest["inputs"]["judge"] == judge_settings and not record.faults()
    except (DamagedError, KeyError, TypeError):
        return False


def _labelled(counts: Any, source: str) -> Labelled:
    def total(people: tuple[Verdict, ...], judge: tuple[Verdict, ...]) -> Any:
        names = [column(said, judged) for said in people for judged in judge]
        return counts[names].sum(axis=1).to_numpy(dtype=np.float64)

    right, other = (Verdict.CORRECT,), (Verdict.INCORRECT, Verdict.REFUSAL)
    return Labelled(
        correct=total(right, right + other),
        correct_found=total(right, right),
        wrong=total(other, right + other),
        wrong_found=total(other, other),
        source=source,
    )
