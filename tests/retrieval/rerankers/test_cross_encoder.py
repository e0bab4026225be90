from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dibs.encoders.base import EncoderContext
from dibs.errors import InputError, MissingError
from dibs.retrieval.rerankers.base import Pair, make_reranker
from dibs.retrieval.rerankers.cross_encoder import CrossEncoderReranker
from tests.retrieval.rerankers.models import WORDS, bi_encoder, cross_encoder
from tests.retrieval.rerankers.server import card, context, scored

QUERIES = ["net sales", "where is the plant ?", "ohio"]
DOCUMENTS = ["net sales rose in fiscal year two .", "steel", "the plant is at ohio", " ".join(WORDS * 3)]
PAIRS = [Pair(query, document) for query in QUERIES for document in DOCUMENTS]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cross_encoder(tmp_path_factory.mktemp("cross-encoder"), limit=32)


def cross(model: Path, tmp_path: Path, **fields: Any) -> CrossEncoderReranker:
    return CrossEncoderReranker(card("cross-encoder", model=str(model), **fields), context(tmp_path))


def logit(model: Path, pair: Pair, limit: int) -> float:
    """What the model says of one pair alone."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(model)(
        *pair, truncation=True, max_length=limit, return_tensors="pt"
    )
    with torch.inference_mode():
        return float(AutoModelForSequenceClassification.from_pretrained(model).eval()(**tokens).logits[0, 0])


def test_scores_are_the_models_logits(model: Path, tmp_path: Path) -> None:
    wanted = {pair: pytest.approx(logit(model, pair, 32), abs=1e-5) for pair in PAIRS}
    assert scored(cross(model, tmp_path), PAIRS) == wanted
    assert len({round(score, 4) for score in scored(cross(model, tmp_path), PAIRS).values()}) == len(PAIRS)


@pytest.mark.parametrize("fields", [{"batch_size": 1}, {"batch_size": 5}, {"batch_tokens": 40}])
def test_batches_do_not_change_scores(model: Path, tmp_path: Path, fields: dict[str, int]) -> None:
    whole = scored(cross(model, tmp_path), PAIRS)
    found = scored(cross(model, tmp_path, **fields), PAIRS[::-1])
    assert found == {pair: pytest.approx(score, abs=1e-5) for pair, score in whole.items()}


def test_pairs_of_all_queries_are_sorted_by_length_together(model: Path, tmp_path: Path) -> None:
    batches = [batch.positions.tolist() for batch in cross(model, tmp_path, batch_tokens=64).stream(PAIRS)]
    order = list(itertools.chain(*batches))
    assert sorted(order) == list(range(len(PAIRS)))
    lengths = [min(29, len(f"{PAIRS[place].query} {PAIRS[place].document}".split())) for place in order]
    assert lengths == sorted(lengths, reverse=True)
    # Three pairs fill the model's 32 tokens, two of them the first batch; the short ones are together.
    assert [len(batches[0]), {*batches[0], batches[1][0]}] == [2, {3, 7, 11}]
    assert len(batches[-1]) > 2


@pytest.mark.parametrize(
    ("limit", "task", "held"), [(None, 2048, 32), (16, 2048, 16), (500, 2048, 32), (None, 12, 12)]
)
def test_pairs_are_cut_at_the_least_limit(
    model: Path, tmp_path: Path, limit: int | None, task: int, held: int
) -> None:
    made = card("cross-encoder", model=str(model), max_tokens=limit)
    reranker = CrossEncoderReranker(made, EncoderContext(tmp_path, max_tokens=task))
    pair = PAIRS[3]
    assert scored(reranker, [pair]) == {pair: pytest.approx(logit(model, pair, held), abs=1e-5)}


def test_nothing_to_score_loads_nothing(model: Path, tmp_path: Path) -> None:
    reranker = cross(model, tmp_path)
    assert list(reranker.stream([])) == []
    assert "_model" not in reranker.__dict__


def test_settings_change_with_whatever_changes_a_score(model: Path, tmp_path: Path) -> None:
    plain = cross(model, tmp_path).settings()
    other = tmp_path / "other"
    shutil.copytree(model, other)
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    assert plain["adapter"] == "cross-encoder"
    assert cross(other, tmp_path).settings() != plain
    assert cross(model, tmp_path, max_tokens=8).settings() != plain
    assert cross(model, tmp_path, precision="bfloat16").settings() != plain
    assert cross(model, tmp_path, batch_size=7).settings() == plain


def test_bfloat16_is_near(model: Path, tmp_path: Path) -> None:
    exact, found = (
        scored(cross(model, tmp_path), PAIRS),
        scored(cross(model, tmp_path, precision="bfloat16"), PAIRS),
    )
    assert found == {pair: pytest.approx(score, abs=0.1) for pair, score in exact.items()}


def test_large_scores_stay_apart(tmp_path: Path) -> None:
    """Above 17 a sigmoid in float32 is 1 for all."""
    import torch
    from safetensors.torch import load_file, save_file

    model = cross_encoder(tmp_path / "sure", limit=32)
    weights = load_file(model / "model.safetensors")
    weights["classifier.weight"] *= 20
    weights["classifier.bias"] += 60
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    found = np.array(list(scored(cross(model, tmp_path), PAIRS).values()), dtype=np.float32)
    assert (torch.sigmoid(torch.from_numpy(found)) == 1).sum() > 3
    assert len(set(found.tolist())) == len(PAIRS)


def test_an_embedding_model_is_refused_before_it_ranks_by_chance(tmp_path: Path) -> None:
    folder = bi_encoder(tmp_path / "bi", limit=16)
    with pytest.raises(InputError, match=r"no head that scores a pair\n.*late-interaction"):
        cross(folder, tmp_path)


def test_a_classifier_of_several_labels_is_refused_each_time(tmp_path: Path) -> None:
    reranker = cross(cross_encoder(tmp_path / "nli", limit=16, num_labels=3), tmp_path)
    for _ in range(2):
        with pytest.raises(InputError, match="gives 3 scores for a pair"):
            list(reranker.stream(PAIRS))


def test_broken_weights_are_named(model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    (broken / "tokenizer.json").write_text("{")
    (broken / "vocab.txt").unlink()
    with pytest.raises(InputError, match="no model that sentence-transformers can load"):
        list(cross(broken, tmp_path).stream(PAIRS))


def test_code_of_the_model_runs_only_with_the_users_word(model: Path, tmp_path: Path) -> None:
    made = card("cross-encoder", model=str(model), remote_code=True)
    with pytest.raises(MissingError, match="--trust-remote-code"):
        make_reranker(made, context(tmp_path))


def test_options_are_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no option of the adapter cross-encoder"):
        cross(model, tmp_path, options={"top_n": 3})
