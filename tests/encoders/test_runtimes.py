"""Backends and precisions: each gives torch's vectors, as near as its precision lets it."""

from __future__ import annotations

from importlib import util
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from dibs.cards.model import Backend, ModelCard
from dibs.cards.read import read_card
from dibs.encoders import auto, base
from dibs.encoders import check as checks
from dibs.encoders import sentence_transformers as adapter
from dibs.encoders.auto import choose
from dibs.encoders.base import EncoderContext, FloatArray, IntArray, make_encoder
from dibs.encoders.check import check, reference
from dibs.encoders.runtimes import Runtime, graph_runtime
from dibs.encoders.sentence_transformers import SentenceTransformersEncoder
from dibs.encoders.weights import packaged
from dibs.errors import InputError, MissingError, ProviderError
from tests.encoders.local_models import TEXTS, card, make, make_model, original
from tests.toys import ROOT

for package in ("onnx", "onnxscript", "onnxruntime", "openvino"):
    pytest.importorskip(package)
pytestmark = pytest.mark.xdist_group("torch")

BACKENDS: tuple[Backend, ...] = ("torch", "onnxruntime", "openvino")
GRAPHS: tuple[Backend, ...] = ("onnxruntime", "openvino")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def expected(folder: Path) -> FloatArray:
    return original(folder, TEXTS)


@pytest.fixture(scope="module")
def has_bfloat16() -> bool:
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class Moved:
    """A runtime whose vectors are a little beside another's."""

    def __init__(self, inner: Runtime, by: float) -> None:
        self.parallel = inner.parallel
        self._inner = inner
        self._by = by

    def run(self, ids: IntArray, mask: IntArray) -> FloatArray:
        vectors = self._inner.run(ids, mask)
        vectors[..., 0] += self._by
        return vectors


def move(monkeypatch: pytest.MonkeyPatch, backend: Backend, by: float) -> None:
    """Let that backend compute otherwise than it does."""
    made = graph_runtime

    def moved(name: Backend, *rest: object) -> Runtime:
        found: Runtime = made(name, *rest)  # type: ignore[arg-type]
        return Moved(found, by) if name == backend else found

    monkeypatch.setattr(adapter, "graph_runtime", moved)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_gives_the_models_own_vectors(
    folder: Path, cache: Path, expected: FloatArray, backend: Backend
) -> None:
    found = make(card(folder, backend=backend), cache).encode(TEXTS, "document")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6 if backend == "torch" else 1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "fields", [{"pooling": "cls"}, {"pooling": "last"}, {"dimension": 8}, {"max_tokens": 4}]
)
def test_what_a_card_sets_holds_on_every_backend(
    folder: Path, cache: Path, backend: Backend, fields: dict[str, object]
) -> None:
    expected = make(card(folder, **fields), cache).encode(TEXTS, "document")
    found = make(card(folder, backend=backend, **fields), cache).encode(TEXTS, "document")
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not np.allclose(
        found[0], make(card(folder), cache).encode(TEXTS[:1], "document")[0, : found.shape[1]]
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_text_has_the_same_vector_in_any_company(folder: Path, cache: Path, backend: Backend) -> None:
    together = make(card(folder, backend=backend), cache).encode(TEXTS, "document")
    small = make(card(folder, backend=backend, batch_tokens=16), cache)
    np.testing.assert_allclose(small.encode(TEXTS, "document"), together, atol=1e-5)
    alone = np.concatenate([small.encode([text], "document") for text in TEXTS])
    np.testing.assert_allclose(alone, together, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_tokens_are_those_of_whole_texts(folder: Path, cache: Path, backend: Backend) -> None:
    encoder = make(card(folder, backend=backend), cache)
    counts = np.zeros(len(TEXTS), np.int64)
    for batch in encoder.stream(TEXTS, "document"):
        assert batch.tokens is not None
        counts[batch.positions] = batch.tokens
    assert counts.tolist() == encoder.count_tokens(TEXTS).tolist() == [5, 2, 3, 92, 7, 14, 3]


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_bfloat16_is_near_and_of_length_one(
    folder: Path, cache: Path, expected: FloatArray, has_bfloat16: bool, backend: Backend
) -> None:
    if backend == "openvino" and not has_bfloat16:
        pytest.skip("this processor has no bfloat16")
    found = make(card(folder, backend=backend, precision="bfloat16"), cache).encode(TEXTS, "document")
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert (found * expected).sum(axis=1).min() > 0.999
    assert np.abs(found - expected).max() > 1e-5  # it is not float32 after all


def test_only_what_differs_from_the_default_is_in_the_settings(folder: Path, cache: Path) -> None:
    plain = make(card(folder), cache).settings("document")
    assert "backend" not in plain
    for backend in GRAPHS:
        assert make(card(folder, backend=backend), cache).settings("document") == plain | {"backend": backend}
    half = make(card(folder, precision="bfloat16"), cache).settings("document")
    assert half == plain | {"precision": "bfloat16", "backend": "torch"}


def test_a_record_is_told_of_backend_precision_and_comparison(folder: Path, cache: Path) -> None:
    assert make(card(folder), cache).about == {"backend": "torch", "precision": "float32"}
    encoder = make(card(folder, backend="openvino"), cache)
    assert "compared_with_torch" not in encoder.about  # nothing was loaded
    encoder.ready()
    compared = encoder.about["compared_with_torch"]
    assert compared["texts"] == len(checks.TEXTS)
    assert 0 <= compared["largest_difference"] < 1e-5


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"backend": "onnxruntime", "precision": "bfloat16"}, "onnxruntime has no precision bfloat16"),
        (
            {"backend": "openvino", "options": {"tokenizer.padding_side": "right"}},
            "openvino runs a transformer",
        ),
        ({"backend": "openvino", "normalise": False}, "openvino runs a transformer"),
    ],
)
def test_what_a_backend_cannot_do_is_refused_at_once(
    folder: Path, cache: Path, fields: dict[str, object], problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        make(card(folder, **fields), cache)


def test_other_adapters_have_no_backends(cache: Path) -> None:
    with pytest.raises(InputError, match="adapter onnx has no backend openvino"):
        make_encoder(ModelCard(name="x", adapter="onnx", backend="openvino"), EncoderContext(cache))


def test_a_package_that_is_not_here_is_named(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "find_spec", lambda name: None if name == "openvino" else util.find_spec(name))
    with pytest.raises(MissingError, match=r'openvino.*\n.*pip install "dibs\[openvino\]"'):
        make(card(folder, backend="openvino"), cache)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_model_with_more_modules_or_padding_at_the_left_stays_as_it_is(
    tmp_path: Path, cache: Path, side: str
) -> None:
    folder = make_model(tmp_path, dense=side == "right", side=side)
    found = make(card(folder), cache).encode(TEXTS, "document")
    np.testing.assert_allclose(found, original(folder, TEXTS), atol=1e-6)
    if side == "right":
        with pytest.raises(InputError, match=r"this model has more, or less\n  Use backend torch"):
            make(card(folder, backend="openvino"), cache)


@pytest.mark.parametrize("backend", GRAPHS)
def test_a_token_the_model_has_not_is_the_runtimes_failure(
    folder: Path, cache: Path, backend: Backend
) -> None:
    encoder = make(card(folder, backend=backend), cache)
    with pytest.raises(ProviderError, match=f"{backend} failed on 2 texts of up to 100 tokens"):
        encoder._runtime.run(np.full((2, 100), 4), np.ones((2, 100), np.int64))  # it has 64 places


@pytest.mark.parametrize("backend", GRAPHS)
def test_a_file_that_is_no_graph_is_named(tmp_path: Path, backend: Backend) -> None:
    graph = tmp_path / "model.onnx"
    graph.write_bytes(b"not a graph")
    with pytest.raises(InputError, match=rf"model\.onnx: {backend} cannot load it"):
        graph_runtime(backend, graph, "float32")


def test_an_error_while_tokenising_reaches_the_caller(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = make(card(folder), cache)

    def fail(texts: object) -> list[list[int]]:
        raise ValueError("not a text")

    monkeypatch.setattr(encoder._tokeniser, "_tokenise", fail)
    with pytest.raises(ValueError, match="not a text"):
        encoder.encode(TEXTS, "document")


def test_no_texts_load_nothing(folder: Path, cache: Path) -> None:
    encoder = make(card(folder), cache)
    assert list(encoder.stream([], "document")) == []
    assert "_model" not in encoder.__dict__


def test_a_backend_with_other_vectors_is_refused(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move(monkeypatch, "openvino", 1e-3)
    with pytest.raises(InputError, match=r"tiny on openvino: its vectors differ .*\n  Use backend torch"):
        make(card(folder, backend="openvino"), cache).encode(TEXTS, "document")


def test_what_bfloat16_may_differ_by_is_too_much_for_float32() -> None:
    own, torch = np.array([[1, 0]], np.float32), np.array([[0.9999, 0.01414]], np.float32)
    assert check(own, torch, "bfloat16", "x").largest_difference == pytest.approx(0.01414)
    with pytest.raises(InputError):
        check(own, torch, "float32", "x")
    with pytest.raises(InputError):
        check(np.array([[np.nan, 0]], np.float32), torch, "bfloat16", "x")


def test_torchs_vectors_are_kept_and_made_again_when_damaged(tmp_path: Path) -> None:
    vectors = np.ones((len(checks.TEXTS), 4), np.float32)
    made = []

    def encode() -> FloatArray:
        made.append(1)
        return vectors

    for _ in range(2):
        np.testing.assert_array_equal(reference(tmp_path, "f", encode), vectors)
    assert len(made) == 1
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-8])
    np.testing.assert_array_equal(reference(tmp_path, "f", encode), vectors)
    np.testing.assert_array_equal(reference(tmp_path, "another", encode), vectors)
    assert len(made) == 3


def test_auto_takes_the_fastest_and_says_so(folder: Path, cache: Path, expected: FloatArray) -> None:
    chosen = choose(card(folder), EncoderContext(cache))
    assert (chosen.card.backend, chosen.card.precision, chosen.card.name) == ("openvino", "float32", "tiny")
    assert chosen.line.startswith("tiny: openvino, float32; largest difference from torch ")
    np.testing.assert_allclose(chosen.encoder.encode(TEXTS, "document"), expected, atol=1e-5)


def test_auto_passes_over_what_gives_other_vectors(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move(monkeypatch, "openvino", 1e-3)
    monkeypatch.setattr(auto, "FASTEST", {"float32": GRAPHS[::-1], "bfloat16": ()})
    chosen = choose(card(folder), EncoderContext(cache))
    assert chosen.card.backend == "onnxruntime"
    assert "openvino passed over: its vectors differ from torch's" in chosen.line


def test_auto_ends_at_torch_and_never_changes_the_precision(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "find_spec", lambda name: None if name in GRAPHS else util.find_spec(name))
    for precision in ("float32", "bfloat16"):
        chosen = choose(card(folder, precision=precision), EncoderContext(cache))
        assert (chosen.card.backend, chosen.card.precision) == ("torch", precision)
        assert f"tiny: torch, {precision}; openvino passed over: the package 'openvino'" in chosen.line


def test_auto_leaves_adapters_with_one_way_alone(tmp_path: Path) -> None:
    wordllama = read_card(ModelCard, ROOT / "models" / "wordllama-256.toml")
    if find_spec("wordllama") is None:
        pytest.skip("wordllama is not installed")
    chosen = choose(wordllama, EncoderContext(tmp_path))
    assert (chosen.card, chosen.line) == (wordllama, "wordllama-256: torch, float32")


def test_another_precision_has_another_name_and_another_backend_has_not() -> None:
    plain = ModelCard(name="m", adapter="sentence-transformers", model="x")
    assert plain.running(None, None) == plain
    assert plain.running("openvino", "float32") == plain.model_copy(update={"backend": "openvino"})
    half = plain.running(None, "bfloat16")
    assert (half.name, half.precision, half.backend) == ("m-bfloat16", "bfloat16", "torch")
    assert half.running(None, "bfloat16") == half


MINILM = read_card(ModelCard, ROOT / "models" / "all-MiniLM-L6-v2.toml")
REAL = [*TEXTS, *checks.TEXTS]


@pytest.mark.slow
@pytest.mark.skipif(packaged(str(MINILM.package_path)) is None, reason="the weights are not installed")
@pytest.mark.parametrize("backend", GRAPHS)
def test_a_real_model(tmp_path: Path, backend: Backend, has_bfloat16: bool) -> None:
    context = EncoderContext(tmp_path)

    def encode(card: ModelCard) -> FloatArray:
        return SentenceTransformersEncoder(card, context).encode(REAL, "document")

    torch = encode(MINILM)
    np.testing.assert_allclose(encode(MINILM.running(backend, None)), torch, atol=1e-5)
    if backend == "openvino" and has_bfloat16:
        half = encode(MINILM.running(backend, "bfloat16"))
        assert (half * torch).sum(axis=1).min() > 0.999
