"""Several poolings, dimensions and prompts of one pass: with a toy encoder, and with a small local model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dibs.cards.model import Pooling
from dibs.encoders.base import (
    EncodedBatch,
    Encoder,
    EncoderContext,
    FloatArray,
    Role,
    make_encoder,
    unit_length,
)
from dibs.encoders.embed import embed, embed_together
from dibs.encoders.pooled import PoolingEncoder, Shape, passes
from dibs.files import digest
from tests.encoders.local_models import TEXTS, card, make_model
from tests.toys import HashEncoder

POOLINGS: tuple[Pooling, ...] = ("mean", "cls", "last")
WORDS = ["red apple", "green apple pie", "sky", "red apple", "a blue sky"]


class ToyPooling(PoolingEncoder):
    """Each letter is a token, its vector the powers of its number; what was run is noted in `ran`."""

    nests = True

    def __init__(
        self,
        pooling: Pooling | None,
        *,
        dimension: int = 4,
        normalise: bool = True,
        prompt: str = "",
        ran: list[list[str]] | None = None,
    ) -> None:
        self.name = f"toy-{pooling}-{dimension}"
        self.dimension = dimension
        self.max_tokens = 100
        self.ran: list[list[str]] = [] if ran is None else ran
        self._pooling, self._normalise, self._prompt = pooling, normalise, prompt

    def settings(self, role: Role) -> dict[str, Any]:
        made_of = {"adapter": "toy", "role": role, "prompt": self._prompt if role == "query" else ""}
        shape = {"pooling": self._pooling, "dimension": self.dimension, "normalise": self._normalise}
        return made_of | shape

    @property
    def shape(self) -> Shape:
        return Shape(self._pooling, self.dimension, self._normalise)

    def forward(self, role: Role) -> str | None:
        return digest([role, self._prompt if role == "query" else ""]) if self._pooling else None

    def stream_shapes(
        self, shapes: Sequence[Shape], texts: Sequence[str], role: Role
    ) -> Iterator[tuple[EncodedBatch, ...]]:
        self.ran.append(list(texts))
        for start in range(0, len(texts), 2):
            places = range(start, min(start + 2, len(texts)))
            rows = [[self.vector(texts[place], role, shape) for place in places] for shape in shapes]
            lengths = np.array([len(texts[place]) for place in places])
            yield tuple(EncodedBatch(np.array(places), np.stack(each), lengths) for each in rows)

    def vector(self, text: str, role: Role, shape: Shape) -> FloatArray:
        letters = np.frombuffer(((self._prompt if role == "query" else "") + text).encode(), np.uint8)
        tokens = (letters[:, None] / 128.0) ** np.arange(1, 5)
        row = {"cls": tokens[0], "last": tokens[-1]}.get(shape.pooling or "", tokens.mean(axis=0))
        kept = row[None, : shape.dimension].astype(np.float32)
        scaled: FloatArray = (unit_length(kept) if shape.normalise else kept)[0]
        return scaled


def together(
    encoders: Sequence[Encoder], root: Path, texts: Sequence[str] = WORDS, role: Role = "document"
) -> int:
    """Texts encoded, over all passes."""
    return sum(
        embed_together(each, role, texts, len(texts), root)[0].encoded for each in passes(encoders, role)
    )


def alone(encoder: Encoder, root: Path, texts: Sequence[str] = WORDS, role: Role = "document") -> FloatArray:
    return embed(encoder, role, texts, len(texts), root).vectors()


def test_poolings_of_one_pass_are_those_of_single_runs(tmp_path: Path) -> None:
    ran: list[list[str]] = []
    encoders = [ToyPooling(pooling, ran=ran) for pooling in POOLINGS]
    assert together(encoders, tmp_path / "together") == 4
    assert len(ran) == 1
    for pooling in POOLINGS:
        expected = alone(ToyPooling(pooling), tmp_path / pooling)
        found = ToyPooling(pooling)
        np.testing.assert_array_equal(alone(found, tmp_path / "together"), expected)
        assert found.ran == []


def test_only_what_some_pooling_lacks_is_encoded_and_nothing_is_kept_twice(tmp_path: Path) -> None:
    alone(ToyPooling("cls"), tmp_path, WORDS[:2])
    alone(ToyPooling("mean"), tmp_path, WORDS[:1])
    ran: list[list[str]] = []
    mean, cls = (ToyPooling(pooling, ran=ran) for pooling in POOLINGS[:2])
    results = embed_together([mean, cls], "document", WORDS, len(WORDS), tmp_path)
    assert ran == [["green apple pie", "sky", "a blue sky"]]
    assert [len(one.store) for one in results] == [4, 4]
    assert [one.encoded for one in results] == [3, 3]
    for one, pooling in zip(results, POOLINGS[:2], strict=True):
        np.testing.assert_array_equal(one.vectors(), alone(ToyPooling(pooling), tmp_path / "fresh"))


def test_a_pass_serves_what_differs_in_shape_alone() -> None:
    encoders = [
        ToyPooling("mean"),
        ToyPooling("cls"),
        ToyPooling("cls", prompt="query: "),
        ToyPooling("mean", dimension=2),
        ToyPooling(None),
        HashEncoder(),
    ]
    documents = passes(encoders, "document")
    assert [[one.name for one in each] for each in documents] == [
        ["toy-mean-4", "toy-cls-4"],
        ["toy-None-4"],
        ["hash"],
    ]
    assert len(passes(encoders, "query")) == 4  # one more for the prompt


@pytest.mark.parametrize("first", [0, 1])
def test_equal_encoders_run_once(first: int) -> None:
    pair = [ToyPooling("mean"), ToyPooling("mean")]
    assert passes([pair[first], pair[1 - first]], "document") == [[pair[first]]]


def test_a_smaller_dimension_is_cut_and_not_encoded(tmp_path: Path) -> None:
    ran: list[list[str]] = []
    encoders = [ToyPooling("mean", dimension=d, ran=ran) for d in (2, 4, 3)]
    assert together(encoders, tmp_path) == 4
    assert len(ran) == 1
    for dimension in (2, 3):
        small = ToyPooling("mean", dimension=dimension)
        found = embed(small, "document", WORDS, len(WORDS), tmp_path)
        np.testing.assert_allclose(
            found.vectors(), alone(ToyPooling("mean", dimension=dimension), tmp_path / "fresh"), atol=1e-6
        )
        assert (found.encoded, small.ran) == (0, [])


def test_a_greater_dimension_and_unscaled_vectors_are_encoded(tmp_path: Path) -> None:
    alone(ToyPooling("mean", dimension=2), tmp_path)
    for wanted in (ToyPooling("mean", dimension=3), ToyPooling("mean", dimension=2, normalise=False)):
        assert embed(wanted, "document", WORDS, len(WORDS), tmp_path).encoded == 4


def test_scaled_vectors_come_of_unscaled_ones_to_the_last_bit(tmp_path: Path) -> None:
    alone(ToyPooling("mean", normalise=False), tmp_path)
    scaled = ToyPooling("mean")
    np.testing.assert_array_equal(alone(scaled, tmp_path), alone(ToyPooling("mean"), tmp_path / "fresh"))
    assert scaled.ran == []


def test_an_encoder_whose_dimensions_do_not_nest_is_asked(tmp_path: Path) -> None:
    alone(HashEncoder(dimension=16), tmp_path)
    assert embed(HashEncoder(dimension=8), "document", WORDS, len(WORDS), tmp_path).encoded == 4


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sentence_transformers")
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def dense_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sentence_transformers")
    return make_model(tmp_path_factory.mktemp("dense"), dense=True)


@pytest.mark.parametrize(
    "backend",
    ["torch", *(pytest.param(name, marks=pytest.mark.slow) for name in ("onnxruntime", "openvino"))],
)
def test_a_local_models_poolings_are_bit_for_bit_those_of_single_runs(
    model: Path, tmp_path: Path, backend: str
) -> None:
    if backend != "torch":
        pytest.importorskip(backend)
    place = EncoderContext(tmp_path)
    cards = [card(model, pooling=pooling, backend=backend) for pooling in POOLINGS]
    encoders = [make_encoder(each, place) for each in cards]
    (group,) = passes(encoders, "document")
    assert len(group) == 3
    assert together(encoders, tmp_path / "together", TEXTS) == len(TEXTS)
    vectors = []
    for each in cards:
        single = alone(make_encoder(each, EncoderContext(tmp_path)), tmp_path / "single", TEXTS)
        vectors.append(alone(make_encoder(each, place), tmp_path / "together", TEXTS))
        np.testing.assert_array_equal(vectors[-1], single)
    assert not np.allclose(vectors[0], vectors[1], atol=0.01)
    assert not np.allclose(vectors[1], vectors[2], atol=0.01)


def test_a_local_models_dimension_is_cut_from_what_is_stored(model: Path, tmp_path: Path) -> None:
    place = EncoderContext(tmp_path)
    alone(make_encoder(card(model), place), tmp_path / "store", TEXTS)  # its card states no dimension
    narrow = make_encoder(card(model, dimension=8), place)
    found = embed(narrow, "document", TEXTS, len(TEXTS), tmp_path / "store")
    assert (found.encoded, found.vectors().shape) == (0, (len(TEXTS), 8))
    np.testing.assert_allclose(found.vectors(), alone(narrow, tmp_path / "fresh", TEXTS), atol=1e-6)


def test_one_model_is_loaded_for_all_that_share_a_context(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sentence_transformers

    loads: list[str] = []
    original = sentence_transformers.SentenceTransformer

    def counted(*args: Any, **kwargs: Any) -> Any:
        loads.append(args[0])
        return original(*args, **kwargs)

    monkeypatch.setattr(sentence_transformers, "SentenceTransformer", counted)
    place = EncoderContext(tmp_path)
    for prompt in ("", "net ", "cash "):
        for limit in (16, 64):
            alone(
                make_encoder(card(model, query_prompt=prompt, max_tokens=limit), place),
                tmp_path,
                TEXTS,
                "query",
            )
    assert len(loads) == 1
    make_encoder(card(model), EncoderContext(tmp_path)).encode(TEXTS, "query")
    assert len(loads) == 2


@pytest.mark.parametrize("pooling", [None, *POOLINGS])
def test_a_shared_model_that_pools_itself_pools_as_each_card_says(
    dense_model: Path, tmp_path: Path, pooling: Pooling | None
) -> None:
    place = EncoderContext(tmp_path)
    cards = [
        card(dense_model, pooling=each, max_tokens=limit) for each in (None, *POOLINGS) for limit in (8, 64)
    ]
    encoders = [make_encoder(each, place) for each in cards]
    assert len(passes(encoders, "document")) == 8  # each alone: only the model's own code can pool
    for encoder in encoders:
        encoder.encode(TEXTS, "document")
    for limit in (8, 64):
        wanted = card(dense_model, pooling=pooling, max_tokens=limit)
        shared = make_encoder(wanted, place).encode(TEXTS, "document")
        np.testing.assert_array_equal(
            shared, make_encoder(wanted, EncoderContext(tmp_path)).encode(TEXTS, "document")
        )


def test_a_context_with_another_word_on_remote_code_shares_nothing() -> None:
    first = EncoderContext(Path())
    first.loaded["a model"] = object()
    assert EncoderContext(Path()).loaded == {}
    assert replace(first, loaded={}).loaded == {}
