"""Records for other tools: TREC files, and one row for each score."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dibs.data.dataset import Dataset
from dibs.files import slug, write_bytes
from dibs.records import RUN, Record
from dibs.retrieval.run import column_text


def flat_rows(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    """One row a record, subset and measure: value and interval, and where it comes from."""
    for record in records:
        for subset, scores in record.scores["subsets"].items():
            for measure, found in scores["measures"].items():
                yield {
                    "task": record.task,
                    "subset": subset,
                    "pipeline": record.pipeline,
                    "measure": measure,
                    "value": found["value"],
                    "low": found["low"],
                    "high": found["high"],
                    "n_queries": scores["n_queries"],
                    "n_documents": record.manifest["data"]["documents"],
                    "record": record.name,
                    "created": record.manifest["created"],
                }


def write_trec(record: Record, dataset: Dataset, folder: Path) -> list[Path]:
    """The record's run and its task's qrels, as trec_eval and ir_measures read them.

    Blanks in ids are written as in web addresses (%20), in both files.

    Args:
        dataset: The data that the record was made with.

    Returns:
        `TASK/PIPELINE-HASH.run` and `TASK/DATA.qrels` below `folder`.
    """
    place = folder / slug(record.task)
    run = place / f"{slug(record.pipeline)}-{record.hash}.run"
    write_bytes(run, gzip.decompress((record.folder / RUN).read_bytes()))
    qrels = place / f"{record.manifest['data']['sha256'][:12]}.qrels"
    lines = (
        f"{column_text(query)} 0 {column_text(document)} {grade}\n"
        for query, grades in dataset.qrels.items()
        for document, grade in grades.items()
    )
    write_bytes(qrels, "".join(lines).encode())
    return [run, qrels]
