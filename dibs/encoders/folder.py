"""What the files of a sentence-transformers folder say of a model, so that nothing has to be loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dibs.cards.model import ModelCard, Pooling
from dibs.errors import InputError

_PARTS = ("tokenizer", "config", "model")
"""What an option of a card can be for: `tokenizer.NAME`, `config.NAME`, `model.NAME`."""
_RUNS_CODE = ("trust", "code_revision", "auto_map", "safetensors", "weights_only", "kernel")
"""In the names of options that let a model bring code. A card alone must not: see --trust-remote-code."""
_ATTENTION = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")
"""Other names of an `attn_implementation` are fetched from the hub, as code."""
POOLING: dict[Pooling, str] = {"mean": "mean", "cls": "cls", "last": "lasttoken"}
"""Ours, and what sentence-transformers calls them."""
_OLD_POOLING = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "lasttoken",
}
"""What older files say, each true or false."""
_USUAL = {
    "transformer_task": "feature-extraction",
    "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
    "module_output_name": "token_embeddings",
}
"""What sentence-transformers writes of a transformer that it does nothing special with."""
_PLAIN = {"Transformer", "Pooling", "Normalize"}
"""Modules whose work is done here: what runs the transformer does not matter."""


def options_of(card: ModelCard) -> dict[str, dict[str, Any]]:
    """The card's options by the part of the model they are for."""
    parts: dict[str, dict[str, Any]] = {part: {} for part in _PARTS}
    for name, value in card.options.items():
        part, _, key = name.partition(".")
        if part not in parts or not key:
            raise InputError(
                f"option {name!r} is for no part of a model",
                where=card.name,
                todo=f"Begin it with {', '.join(f'{known}.' for known in _PARTS)}, "
                "such as tokenizer.add_eos_token.",
            )
        if any(word in key for word in _RUNS_CODE) or (
            key.endswith("attn_implementation") and value not in _ATTENTION
        ):
            raise InputError(
                f"option {name!r} may let the model bring code, which a card cannot",
                where=card.name,
                todo="Leave it out. Code of a model you trust runs with remote_code and --trust-remote-code.",
            )
        parts[part][key] = value
    return parts


def pooling_of(folder: Path, card: ModelCard) -> Pooling | None:
    """How a model pools that is a transformer and pooling alone; None where it is more than that."""
    modules = _read_json(folder / "modules.json")
    places = {str(module["type"]).rpartition(".")[2]: folder / module["path"] for module in modules or ()}
    settings = read_fields(folder / "sentence_bert_config.json")
    changed = [name for name, value in settings.items() if name in _USUAL and value != _USUAL[name]]
    strange = settings.keys() - _USUAL.keys() - {"max_seq_length", "do_lower_case"}
    if "Pooling" not in places or not places.keys() <= _PLAIN or len(places) < len(modules):
        return None
    if changed or strange or card.remote_code or not card.normalise:
        return None
    config = read_fields(places["Pooling"] / "config.json")
    chosen = [name for name, value in config.items() if name.startswith("pooling_mode_") and value is True]
    mode = config.get("pooling_mode") or (_OLD_POOLING.get(chosen[0]) if len(chosen) == 1 else None)
    if not config.get("include_prompt", True):
        return None
    return card.pooling or next((ours for ours, theirs in POOLING.items() if theirs == mode), None)


def own_limit(folder: Path) -> int | None:
    """The token limit that the model's files state, as sentence-transformers reads it."""
    stated = read_fields(folder / "sentence_bert_config.json").get("max_seq_length")
    if stated:
        return int(stated)
    limits = [
        read_fields(folder / "config.json").get("max_position_embeddings"),
        read_fields(folder / "tokenizer_config.json").get("model_max_length"),
    ]
    return min((int(limit) for limit in limits if limit), default=None)


def read_fields(path: Path) -> dict[str, Any]:
    """The JSON object in that file; an empty one if there is no file, or something else in it."""
    values = _read_json(path)
    return values if isinstance(values, dict) else {}


def _read_json(path: Path) -> Any:
    """The value in that file; None if there is no file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"is not JSON: {error}", where=str(path)) from None
