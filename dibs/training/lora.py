"""Low-rank adapters: trained in place of a model's weights, and merged into them at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_SCALE = 2
"""Alpha over rank: what an adapter adds is multiplied by it."""
_DROPOUT = 0.1


def adapt(model: SentenceTransformer, rank: int) -> None:
    """Freeze the model and add an adapter to every linear layer of its transformer.

    LoRA of E. Hu et al., ICLR 2022; on all linear layers as in QLoRA (Dettmers et al., NeurIPS 2023).
    """
    from peft import LoraConfig

    model.add_adapter(
        LoraConfig(r=rank, lora_alpha=_SCALE * rank, lora_dropout=_DROPOUT, target_modules="all-linear")
    )


def merge(model: SentenceTransformer) -> None:
    """Add what the adapters learnt to the weights and take them away: nobody needs peft to load it."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    transformer: Any = model.transformers_model
    for name, layer in list(transformer.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge(safe_merge=True)
            place, _, own = name.rpartition(".")
            setattr(transformer.get_submodule(place), own, layer.get_base_layer())
    transformer._hf_peft_config_loaded = False
    del transformer.peft_config
    model.requires_grad_(True)
