"""The Python API: what `dibs run`, `dibs tasks` and `dibs models` do, as functions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from dibs.cards.model import Backend, ModelCard, Precision
from dibs.choices import Choices, setting
from dibs.distributed.engine import using_engine
from dibs.errors import DibsError, InputError, unknown
from dibs.listed import model_rows, task_rows
from dibs.records import find_record
from dibs.request import Request, with_parts
from dibs.result import Result
from dibs.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

PathName = str | PathLike[str]
"""A path, as text or as a `pathlib.Path`."""
Fusion = Literal["rrf", "scores"]


def run(
    model: PathName | Sequence[PathName],
    task: str | Sequence[str],
    *,
    reranker: str | None = None,
    candidates: int | Sequence[int] = 30,
    top_k: int | None = None,
    fusion: Fusion = "rrf",
    weights: Sequence[float] | None = None,
    template: str | None = None,
    settings: Mapping[str, object] | None = None,
    backend: Backend | Literal["auto"] | None = None,
    precision: Precision | None = None,
    retry_errors: bool = False,
    trust_remote_code: bool = False,
    engine: Literal["ray"] | None = None,
    address: str | None = None,
    workers: int | None = None,
    batch_api: bool = False,
    workspace: PathName | None = None,
) -> Result:
    """Retrieve with every model on every task, score, and leave a record of each: `dibs run`.

    The same work on the command line finds the same record. What is recorded is not done again, and no
    text is embedded twice. Warnings are Python's; progress is shown on a terminal only.

    Args:
        model: A card's name, a folder or a hub name, or several with `+` between them for a hybrid.
        task: A card's name, or that of an MTEB retrieval task.
        reranker: A reranker's name; it reorders each pipeline's candidates.
        candidates: How many documents are reranked; several numbers give a curve.
        top_k: Documents kept of a reranked list; None keeps all.
        fusion: How hybrids are fused: by reciprocal ranks, or by each query's scores scaled to 0..1.
        weights: One for each part of a hybrid; None is equal ones.
        template: One of the task's document templates.
        settings: Fields of the models' cards to set anew, such as `{"max_tokens": 128}`.
        backend: What runs local models, if not what their cards say.
        precision: What local models compute in, if not what their cards say.
        retry_errors: Do again what a reranker failed on.
        trust_remote_code: Run code that comes with a model.
        engine: `"ray"` has local models run by workers; None runs them in this process.
        address: Of the engine's cluster; None begins one on this machine.
        workers: The engine's; None is one for each GPU, or each machine.
        batch_api: Send documents through the provider's batch interface, at its lower price, and wait.
        workspace: The folder with `tasks/ models/ results/`; None is `$DIBS_WORKSPACE`, else the current one.

    Raises:
        InputError: nobody knows a name, or a choice does not fit; MissingError: a model, key or the data
            is not here; ProviderError: a service failed. The other pairs are done and recorded before it
            is raised, and its notes name what else failed.

    Example:
        >>> import dibs
        >>> result = dibs.run(model="bm25", task="DocsQA-Sample")
        >>> result.table()[["task", "pipeline", "recall@10"]]
                    task pipeline  recall@10
        0  DocsQA-Sample     bm25   0.918182
    """
    for name, value, known in (
        ("fusion", fusion, get_args(Fusion)),
        ("backend", backend, (*get_args(Backend), "auto", None)),
        ("precision", precision, (*get_args(Precision), None)),
        ("engine", engine, ("ray", None)),
    ):
        if value not in known:
            raise unknown(name, str(value), filter(None, known))
    if top_k is not None and top_k < 1:
        raise InputError(f"top_k is {top_k}", todo="Give 1 or more, or None to keep all.")
    if weights is not None and not all(map(math.isfinite, weights)):
        raise InputError(f"weights are {list(weights)}", todo="Give a number for each part of the hybrid.")
    choices = Choices(
        template=template,
        settings=tuple(setting(field, value) for field, value in (settings or {}).items()),
        fusion=fusion,
        weights=None if weights is None else tuple(map(float, weights)),
        reranker=reranker,
        top_k=top_k,
        trust_remote_code=trust_remote_code,
        backend=backend,
        precision=precision,
        engine=engine,
        address=address,
        workers=workers,
        batch_api=batch_api,
    )
    numbers = (candidates,) if isinstance(candidates, int) else tuple(candidates)
    request = Request(
        _names("model", model), _names("task", task), choices, numbers, retry_errors=retry_errors
    )
    place = _place(workspace)
    with using_engine(engine, address, workers):
        tried = request.run(place)
    if tried.failures:
        first, *others = tried.failures
        for other in others:
            first.add_note(f"also: {other}")
        raise first
    asked = {one.record.name: one.record for one in tried.made}
    return Result(tuple(one.record for one in with_parts(tried.made)), place, tuple(asked))


def load(record: PathName, *, workspace: PathName | None = None) -> Result:
    """A record that is there already.

    Args:
        record: Its folder, `TASK/PIPELINE`, or the beginning of its hash, as `dibs show` takes it.
        workspace: As for `run`.

    Raises:
        InputError: no record answers to it, or several do (they are named).
    """
    place = _place(workspace)
    found = find_record(place.results, fspath(record))
    return Result((found,), place, (found.name,))


def tasks(*, workspace: PathName | None = None) -> pd.DataFrame:
    """What there is to measure on: `dibs tasks`.

    Returns:
        A row a task: `task`, `ready`, `queries`, `documents`, `stand_in_for`, `description`, and `get`,
        what to do if it is not ready.
    """
    return _frame(task_rows(_place(workspace)))


def models(*, workspace: PathName | None = None) -> pd.DataFrame:
    """The cards of embedding models: `dibs models`.

    Returns:
        A row a model: `model`, `ready`, `adapter`, `dimension`, `max_tokens`, its price
        `usd_per_million_tokens`, `description`, and `get`, what to do if it is not ready.
    """
    return _frame(model_rows("model", _place(workspace).cards(ModelCard)))


def _names(what: str, given: PathName | Sequence[PathName]) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str | PathLike) else tuple(given)
    if not names:
        raise InputError(f"no {what} is named", todo=f"dibs {what}s lists them.")
    return tuple(fspath(name) for name in names)


def _place(workspace: PathName | None) -> Workspace:
    return Workspace.find(None if workspace is None else Path(workspace))


def _frame(rows: Iterable[dict[str, Any] | DibsError]) -> pd.DataFrame:
    """The rows; a malformed card is a warning."""
    import pandas as pd

    good = []
    for row in rows:
        if isinstance(row, DibsError):
            warnings.warn(str(row), stacklevel=3)
        else:
            good.append(row)
    return pd.DataFrame(good)
