"""What of a manifest the leaderboard builds on, checked once: no table meets what is not there."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from dibs.cards.common import Sha256
from dibs.cards.task import MeasureName


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Task(_Strict):
    name: str
    description: str
    licence: str
    citation: str


class _Data(_Strict):
    sha256: Sha256
    queries: int
    documents: int
    duplicate_documents: int
    lacking: str | None
    notes: list[str]


class _Scoring(_Strict):
    measures: list[MeasureName]
    main_measure: MeasureName
    cluster: str | None


class _Model(_Strict):
    name: str
    base: str | None = None
    parameters: int | None = None


class _Cost(_Strict):
    encode_documents: float
    encode_queries: float
    index: float
    search: float
    documents_encoded: int
    queries_encoded: int
    documents_cut: int | None
    usd: float | None = None


class _Pipeline(_Strict):
    retriever: str
    candidates: int | None = None


class _Inputs(_Strict):
    template: str
    pipeline: _Pipeline


class _Retrieval(_Strict):
    pipeline: str
    created: str
    command: str
    inputs: _Inputs
    task: _Task
    data: _Data
    scoring: _Scoring
    model: _Model
    cost: _Cost
    about: dict[str, Any]


def fault_of(manifest: dict[str, Any]) -> str | None:
    """What is wrong with a retrieval record's manifest, and in which field; None if nothing is."""
    try:
        _Retrieval.model_validate(manifest)
    except ValidationError as error:
        first = error.errors()[0]
        return f"manifest.json, field {'.'.join(map(str, first['loc']))!r}: {first['msg']}"
    return None
