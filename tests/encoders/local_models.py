"""A sentence-transformers model of two small layers, made here, so that no weights have to be installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dibs.cards.model import ModelCard
from dibs.encoders.base import EncoderContext, FloatArray, make_encoder
from dibs.encoders.sentence_transformers import SentenceTransformersEncoder

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "net", "sales", "rose", "fell", "cash", "umbrella", "a"]
TEXTS = ["net sales rose", "", "cash", "umbrella " * 90, "net cash fell a umbrella", "sales " * 12, "rose"]


def make_model(folder: Path, *, dense: bool = False, side: str = "right") -> Path:
    """Write the model, whose weights are drawn with a fixed seed.

    Args:
        dense: Add a module that only sentence-transformers can run.
        side: Where its tokenizer pads.
    """
    import tokenizers
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", model_max_length=64, padding_side=side
    )
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=64,
    )  # fmt: skip
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder / "bert")
    fast.save_pretrained(folder / "bert")
    modules: list[Any] = [Transformer(str(folder / "bert"), max_seq_length=64), Pooling(32)]
    modules += [Dense(32, 16)] if dense else []
    SentenceTransformer(modules=[*modules, Normalize()], device="cpu").save(str(folder / "model"))
    return folder / "model"


def card(folder: Path, **fields: Any) -> ModelCard:
    return ModelCard(name="tiny", adapter="sentence-transformers", model=str(folder)).model_copy(
        update={"query_prompt": "", "document_prompt": ""} | fields
    )


def make(card: ModelCard, cache: Path) -> SentenceTransformersEncoder:
    made = make_encoder(card, EncoderContext(cache))
    assert isinstance(made, SentenceTransformersEncoder)
    return made


def original(folder: Path, texts: list[str]) -> FloatArray:
    """The vectors as anyone would have them made."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    return np.asarray(model.encode(texts, normalize_embeddings=True, show_progress_bar=False))
