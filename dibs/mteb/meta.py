"""What MTEB wants to know of a model of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

from mteb.models import ModelMeta
from mteb.models.model_meta import ScoringFunction
from mteb.types import Licenses

from dibs.cards.model import ModelCard

_TYPES = {"bm25": "sparse", "dense": "dense"}
_FRAMEWORKS = {
    "sentence-transformers": "Sentence Transformers",
    "onnx": "ONNX",
    "openai": "API",
    "voyage": "API",
}


def model_type(settings: Mapping[str, Any]) -> str:
    """MTEB's word for a retriever, by its settings."""
    return _TYPES.get(str(settings.get("retriever")), "hybrid")


def model_meta(
    card: ModelCard, revision: str, loader: Callable[..., Any] | None, kind: str, instructed: bool | None
) -> ModelMeta:
    """The card as MTEB's metadata.

    Args:
        revision: What tells the model from others of its name.
        loader: Makes the model; None if only somebody who has it can.
        kind: MTEB's word for what it is.
        instructed: Whether tasks' prompts reach it; None if that is not known.
    """
    licence: Any = (card.licence or "").lower()
    framework: Any = [_FRAMEWORKS[card.adapter]] if card.adapter in _FRAMEWORKS else []
    kinds: Any = [kind]
    similarity = ScoringFunction.COSINE if card.normalise else ScoringFunction.DOT_PRODUCT
    return ModelMeta(
        loader=loader,
        name=f"dibs/{card.name}",
        revision=revision,
        release_date=None,
        languages=None,
        n_parameters=card.parameters,
        memory_usage_mb=None,
        max_tokens=card.max_tokens,
        embed_dim=card.dimension,
        license=licence if licence in get_args(Licenses) else None,
        open_weights=None,
        public_training_code=None,
        public_training_data=None,
        framework=framework,
        reference=card.reference,
        similarity_fn_name=similarity if kind == "dense" else None,
        use_instructions=instructed,
        training_datasets=None,
        model_type=kinds,
    )
