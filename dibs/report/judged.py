"""How far a judge's verdicts can be trusted: its agreement with people, and accuracy without its error."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from dibs.rag.calibration import Calibration, find
from dibs.rag.correct import METHOD, Corrected, correct
from dibs.records import Record
from dibs.workspace import Workspace


@dataclass(frozen=True)
class Trust:
    """What is known of the judge of some answers."""

    judge: str
    calibration: Calibration | None
    """None where it was not compared with people's labels in this workspace."""
    corrected: Corrected
    """The accuracy over all questions that are scored."""

    @property
    def line(self) -> str:
        """The judge and its agreement with people."""
        found = self.calibration
        if found is None:
            return (
                f"Judge {self.judge}: its agreement with people was not measured here; "
                f"dibs judge calibrate --judge {self.judge} --labels FILE does."
            )
        kappa = "" if found.kappa is None else f", Cohen's kappa {found.kappa}"
        reason = f"; no corrected accuracy: {self.corrected.reason}" if self.corrected.reason else ""
        agreed = f"agrees with people in {found.accuracy} of cases{kappa}"
        return f"Judge {self.judge}: {agreed}; {found.source}{reason}."

    def as_dict(self) -> dict[str, Any]:
        """As JSON writes it."""
        found, corrected = self.calibration, self.corrected.corrected
        return {
            "calibration": found
            and {
                "record": f"results/{found.record.name}",
                "source": found.source,
                "accuracy": found.accuracy.as_dict(),
                "kappa": found.kappa and asdict(found.kappa),
            },
            "corrected_accuracy": corrected and corrected.as_dict(),
            "correction": METHOD if corrected else self.corrected.reason,
        }


def trust_in(record: Record, workspace: Workspace) -> Trust:
    """What is known of the judge that graded the record's answers."""
    manifest, queries = record.manifest, record.queries()
    scored = queries[queries["verdict"].notna()]
    calibration = find(workspace.results, manifest["judge"])
    clusters = scored["cluster"].tolist() if "cluster" in scored else None
    corrected = correct(
        scored["correct"].to_numpy(dtype=bool), clusters, calibration.labelled if calibration else None
    )
    return Trust(manifest["judge_name"], calibration, corrected)
