"""Models of a few kilobytes with random weights: they run as large ones do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEXT = "net sales rose in fiscal year two the plant is at ohio and makes steel"
WORDS = TEXT.split()
"""What the models know."""
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def bi_encoder(folder: Path, limit: int) -> Path:
    """A sentence-transformers folder: a BERT that takes `limit` tokens, and mean pooling."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertModel

    _write(folder / "bert", limit, BertModel)
    transformer = Transformer(str(folder / "bert"))
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
    SentenceTransformer(modules=[transformer, pooling], device="cpu").save(str(folder / "model"))
    return folder / "model"


def cross_encoder(folder: Path, limit: int, **config: Any) -> Path:
    """A folder of a BERT with a head that scores a pair of at most `limit` tokens."""
    from transformers import BertForSequenceClassification

    return _write(folder, limit, BertForSequenceClassification, **{"num_labels": 1} | config)


def _write(folder: Path, limit: int, kind: Any, **config: Any) -> Path:
    import torch
    from transformers import BertConfig, BertTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = [*_SPECIAL, *WORDS, "?", "."]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizer(str(folder / "vocab.txt"), model_max_length=limit).save_pretrained(folder)
    torch.manual_seed(1)
    settings = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=limit,
        initializer_range=0.3,  # else all tokens look alike
        **config,
    )
    kind(settings).save_pretrained(folder)
    return folder
