"""Records for other tools: TREC files, one row for each score, runs of MLflow."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dibs.data.dataset import Dataset
from dibs.encoders.base import needs
from dibs.errors import DibsError
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


def log_mlflow(record: Record, uri: str) -> str:
    """Log the record as a run of MLflow: its settings as parameters, its scores as metrics, its files.

    The experiment is the task's. A record that is there already is not logged again.

    Args:
        uri: Where MLflow keeps runs: a server's address, or `sqlite:///FILE`.

    Returns:
        The run's id.

    Raises:
        MissingError: MLflow is not installed; DibsError: the store refuses, in its own words.
    """
    needs("mlflow", "mlflow")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        return _logged(record, MlflowClient(tracking_uri=uri))
    except MlflowException as error:
        raise DibsError(f"MLflow refuses: {error}", where=uri, todo="Check the address.") from None


def _logged(record: Record, client: Any) -> str:
    found = client.get_experiment_by_name(record.task)
    experiment = found.experiment_id if found else client.create_experiment(record.task)
    there = client.search_runs([experiment], f"tags.`dibs.record` = '{record.name}'", max_results=1)
    if there:
        return str(there[0].info.run_id)
    run = client.create_run(experiment, run_name=record.pipeline).info.run_id
    for name, value in flat(record.manifest["inputs"]):
        client.log_param(run, name, value)
    for row in flat_rows([record]):
        part = "" if row["subset"] == "all" else f"{row['subset']}/"
        name = f"{part}{row['measure'].replace('@', '_at_')}"
        for end in ("value", "low", "high"):
            if row[end] is not None:
                client.log_metric(run, name if end == "value" else f"{name}/{end}", row[end])
    client.log_artifacts(run, str(record.folder))
    client.set_tag(run, "dibs.record", record.name)  # last: a run without it was stopped, and is logged again
    client.set_terminated(run)
    return str(run)


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested tables with their paths, such as `pipeline.query.prompt`."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from flat(inner, f"{path}.{name}" if path else str(name))
    else:
        yield path, value
