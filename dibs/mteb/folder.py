"""Result folders as MTEB lays them out: ours there, theirs here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mteb import ResultCache
from mteb.results import TaskResult

from dibs.cards.model import ModelCard
from dibs.errors import DamagedError, InputError
from dibs.files import digest, slug
from dibs.mteb.meta import model_meta, model_type
from dibs.records import MTEB, Record


def write_mteb(record: Record, folder: Path) -> Path:
    """Put the record's scores where `mteb.ResultCache(folder)` finds them.

    The model is called `dibs/PIPELINE`; its revision is the hash of the pipeline's settings, so that two
    settings of one name stand side by side.

    Returns:
        The result file.
    """
    settings = record.manifest["inputs"]["pipeline"]
    card = ModelCard(name="pipeline", adapter=str(settings.get("retriever")))
    meta = model_meta(card, digest(settings)[:12], None, model_type(settings), None)
    meta = meta.model_copy(update={"name": f"dibs/{slug(record.pipeline)}"})
    cache, task = ResultCache(folder), _task_name(record)
    cache.save_to_cache(TaskResult.from_disk(record.folder / MTEB), meta)
    return Path(cache.get_task_result_path(task, meta))


def _task_name(record: Record) -> str:
    name = str(json.loads((record.folder / MTEB).read_text(encoding="utf-8"))["task_name"])
    if name != slug(name):  # MTEB names a file so, and a record may be a stranger's
        raise DamagedError(f"the task {name!r} is no name of a file", where=str(record.folder / MTEB))
    return name


@dataclass(frozen=True)
class TheirScores:
    """One result file of MTEB's."""

    task: str
    """As MTEB calls it."""
    model: str
    revision: str
    data: str
    """The revision of the data, as the file says."""
    split: str
    subset: str
    measures: dict[str, float]
    """`recall_at_10` and so on, as they are called there."""


def read_mteb(folder: Path) -> Iterator[TheirScores]:
    """Every score in a result folder of MTEB's, in the order of tasks and models.

    Raises:
        InputError: there is no result file, or one is malformed; it is named.
    """
    files = sorted(path for path in folder.rglob("*.json") if path.name != "model_meta.json")
    found = [scores for path in files for scores in _scores(path)]
    if not found:
        raise InputError(
            "has no result file of MTEB's",
            where=str(folder),
            todo="Name the folder that holds MODEL/REVISION/TASK.json.",
        )
    yield from sorted(found, key=lambda one: (one.task, one.subset, one.model, one.revision))


def _scores(path: Path) -> Iterator[TheirScores]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if "task_name" not in content and "scores" not in content:
            return  # another tool's file beside them
        for split, rows in content["scores"].items():
            for row in rows:
                yield TheirScores(
                    str(content["task_name"]),
                    _model(path),
                    path.parent.name,
                    str(content["dataset_revision"]),
                    split,
                    str(row["hf_subset"]),
                    {name: float(value) for name, value in row.items() if _is_score(name, value)},
                )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"is no result file of MTEB's: {error!r}", where=str(path), todo="Delete it, or make it anew."
        ) from None


def _model(path: Path) -> str:
    """The model's name: of model_meta.json beside the file, else of its folder."""
    try:
        return str(json.loads((path.parent / "model_meta.json").read_text(encoding="utf-8"))["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return path.parent.parent.name.replace("__", "/")


def _is_score(name: str, value: Any) -> bool:
    return "_at_" in name and isinstance(value, int | float) and not name.startswith("nauc")
