"""Static models: a tiny one made here, and the WordLlama that its package ships."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dibs.cards.model import ModelCard
from dibs.cards.read import read_card
from dibs.encoders import base
from dibs.encoders.base import Encoder, EncoderContext, FloatArray, make_encoder
from dibs.encoders.static import Model2VecEncoder, WordLlamaEncoder
from dibs.encoders.weights import packaged
from dibs.errors import InputError, MissingError

MODELS = Path(__file__).parents[2] / "models"
WORDS = ["[UNK]", "net", "sales", "rose", "fell", "cash"]
TABLE = np.array([[9, 9, 9], [1, 0, 0], [0, 1, 0], [0, 0, 2], [0, 0, -2], [3, 4, 0]], dtype=np.float32)
TEXTS = [
    "The cat sat on the mat.",
    "A cat was sitting on a rug.",
    "Net revenue rose by ten percent in fiscal 2020.",
    "é 漢字 \U0001f600",
    "tax " * 3000,
    "a",
]


@pytest.fixture
def context(tmp_path: Path) -> EncoderContext:
    return EncoderContext(cache=tmp_path / "cache")


def save_model(folder: Path, vectors: FloatArray = TABLE, **parts: Any) -> Any:
    """A model2vec model of six words, saved to `folder`."""
    model2vec = pytest.importorskip("model2vec")
    tokenizers = pytest.importorskip("tokenizers")
    words = {word: number for number, word in enumerate(WORDS)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    model = model2vec.StaticModel(vectors, tokenizer, **parts)
    model.save_pretrained(folder)
    return model


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    save_model(tmp_path / "tiny")
    return tmp_path / "tiny"


def tiny_card(folder: Path, **fields: Any) -> ModelCard:
    return ModelCard.model_validate({"name": "tiny", "adapter": "model2vec", "model": str(folder), **fields})


def wordllama_card(**fields: Any) -> ModelCard:
    if packaged("wordllama/weights/l2_supercat_256.safetensors") is None:
        pytest.skip("the package wordllama is not installed")
    return read_card(ModelCard, MODELS / "wordllama-256.toml").model_copy(update=fields)


def counts(encoder: Encoder, texts: list[str]) -> list[int]:
    found = np.full(len(texts), -1)
    for batch in encoder.stream(texts, "document"):
        found[batch.positions] = batch.tokens
    return found.tolist()


def test_a_vector_is_the_normalised_mean_of_the_words(tiny: Path, context: EncoderContext) -> None:
    encoder = Model2VecEncoder(tiny_card(tiny), context)
    vectors = encoder.encode(["net sales", "cash", "sales sales rose"], "document")
    expected = [[0.5**0.5, 0.5**0.5, 0], [0.6, 0.8, 0], [0, 0.5**0.5, 0.5**0.5]]
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    assert vectors.dtype == np.float32
    assert encoder.dimension == 3


def test_vectors_keep_their_length_when_the_card_says_so(tiny: Path, context: EncoderContext) -> None:
    encoder = Model2VecEncoder(tiny_card(tiny, normalise=False), context)
    np.testing.assert_allclose(encoder.encode(["cash cash net"], "query"), [[7 / 3, 8 / 3, 0]], rtol=1e-6)


@pytest.mark.parametrize("text", ["", "   ", "nothing known here", "rose fell"])
def test_a_text_without_direction_has_the_zero_vector(tiny: Path, context: EncoderContext, text: str) -> None:
    vectors = Model2VecEncoder(tiny_card(tiny), context).encode([text, "net"], "document")
    assert vectors.tolist() == [[0, 0, 0], [1, 0, 0]]


def test_unknown_words_are_counted_but_not_averaged(tiny: Path, context: EncoderContext) -> None:
    encoder = Model2VecEncoder(tiny_card(tiny), context)
    assert counts(encoder, ["unheard net of", "", "net sales"]) == [3, 0, 2]
    np.testing.assert_array_equal(encoder.encode(["unheard net of"], "document"), [[1, 0, 0]])


def test_texts_are_cut_in_tokens_and_counted_before(tiny: Path, context: EncoderContext) -> None:
    encoder = Model2VecEncoder(tiny_card(tiny, max_tokens=2), context)
    assert encoder.max_tokens == 2
    vectors = encoder.encode(["net sales cash cash", "net sales"], "document")
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert counts(encoder, ["net sales cash cash", "net sales"]) == [4, 2]


@pytest.mark.parametrize(("card", "task", "limit"), [(None, 2048, 2048), (512, 2048, 512), (4096, 100, 100)])
def test_the_smaller_limit_holds(
    tiny: Path, context: EncoderContext, card: int | None, task: int, limit: int
) -> None:
    encoder = Model2VecEncoder(
        tiny_card(tiny, max_tokens=card), EncoderContext(context.cache, max_tokens=task)
    )
    assert encoder.max_tokens == limit


def test_the_librarys_own_cut_at_512_tokens_does_not_apply(tiny: Path, context: EncoderContext) -> None:
    text = "net " * 1000 + "cash " * 1000
    vector = Model2VecEncoder(tiny_card(tiny, normalise=False), context).encode([text], "document")
    np.testing.assert_allclose(vector, [[2, 2, 0]], rtol=1e-6)


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.int8])
def test_vectors_are_those_of_model2vec(tmp_path: Path, context: EncoderContext, kind: type[Any]) -> None:
    model = save_model(
        tmp_path / "shared",
        TABLE.astype(kind),
        token_mapping=np.array([0, 5, 1, 1, 3, 4]),
        weights=np.array([1, 0.5, 2, 0.25, 1, 3], dtype=np.float32),
    )
    texts = ["net sales rose", "fell cash unheard", "cash", ""]
    ours = Model2VecEncoder(tiny_card(tmp_path / "shared", normalise=False), context).encode(
        texts, "document"
    )
    np.testing.assert_allclose(ours, model.encode(texts, max_length=None, normalize=False), rtol=1e-3)


def test_the_dimension_is_cut_before_normalising(tiny: Path, context: EncoderContext) -> None:
    encoder = Model2VecEncoder(tiny_card(tiny, dimension=2), context)
    np.testing.assert_allclose(encoder.encode(["net rose"], "document"), [[1, 0]])


def test_a_dimension_that_the_model_lacks_is_refused(tiny: Path, context: EncoderContext) -> None:
    with pytest.raises(InputError, match="has 3 dimensions, not 4"):
        Model2VecEncoder(tiny_card(tiny, dimension=4), context).encode(["net"], "document")


def test_prompts_are_put_before_the_texts_of_their_role(tiny: Path, context: EncoderContext) -> None:
    card = tiny_card(tiny, query_prompt="{instruction} ", normalise=False)
    encoder = Model2VecEncoder(card, EncoderContext(context.cache, instruction="net"))
    assert encoder.encode(["sales"], "query").tolist() == [[0.5, 0.5, 0]]
    assert encoder.encode(["sales"], "document").tolist() == [[0, 1, 0]]


@pytest.mark.parametrize(
    "fields",
    [
        {"query_prompt": "query: "},
        {"max_tokens": 7},
        {"dimension": 2},
        {"normalise": False},
    ],
)
@pytest.mark.parametrize("make", [Model2VecEncoder, WordLlamaEncoder])
def test_what_changes_a_vector_changes_the_fingerprint(
    tiny: Path, context: EncoderContext, make: Callable[..., Encoder], fields: dict[str, Any]
) -> None:
    card = tiny_card(tiny) if make is Model2VecEncoder else wordllama_card()
    plain = make(card, context)
    assert make(card.model_copy(update=fields), context).fingerprint("query") != plain.fingerprint("query")
    assert make(card.model_copy(update={"batch_size": 5, "name": "other"}), context).settings(
        "query"
    ) == plain.settings("query")


def test_a_query_prompt_leaves_the_documents_as_they_are(tiny: Path, context: EncoderContext) -> None:
    plain = Model2VecEncoder(tiny_card(tiny), context)
    prompted = Model2VecEncoder(tiny_card(tiny, query_prompt="net "), context)
    assert prompted.fingerprint("document") == plain.fingerprint("document") != plain.fingerprint("query")


def test_other_weights_have_another_fingerprint(tmp_path: Path, context: EncoderContext) -> None:
    save_model(tmp_path / "one")
    save_model(tmp_path / "two", TABLE * 2)
    one, two = (Model2VecEncoder(tiny_card(tmp_path / name), context) for name in ("one", "two"))
    assert one.settings("query")["weights"] != two.settings("query")["weights"]


def test_a_folder_that_is_no_model_is_named(tmp_path: Path, context: EncoderContext) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    encoder = Model2VecEncoder(tiny_card(tmp_path), context)
    with pytest.raises(InputError, match=f"{tmp_path}.*no static model"):
        encoder.encode(["net"], "document")


def test_a_tokenizer_larger_than_the_table_is_refused(tiny: Path, context: EncoderContext) -> None:
    tokenizer = json.loads((tiny / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["debt"] = 6
    (tiny / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(InputError):
        Model2VecEncoder(tiny_card(tiny), context).encode(["debt"], "document")


def test_loading_logs_nothing(tiny: Path, context: EncoderContext, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        Model2VecEncoder(tiny_card(tiny), context).encode(["net"], "document")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_without_model2vec_the_message_says_what_to_install(
    tiny: Path, context: EncoderContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_spec(name: str) -> Any:
        return None if name == "model2vec" else util.find_spec(name)

    monkeypatch.setattr(base, "find_spec", find_spec)
    with pytest.raises(MissingError, match=r'model2vec.*\n.*pip install "dibs\[static\]"'):
        Model2VecEncoder(tiny_card(tiny), context)


def test_without_wordllama_the_message_says_what_to_install(context: EncoderContext) -> None:
    card = ModelCard(
        name="absent", adapter="wordllama", package_path="no_such_package/weights/a_1.safetensors"
    )
    with pytest.raises(MissingError, match=r'no_such_package.*\n.*pip install "dibs\[static\]"'):
        WordLlamaEncoder(card, context)


def test_wordllamas_weights_need_their_own_tokenizer(
    tiny: Path, tmp_path: Path, context: EncoderContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.numpy import save_file

    package = tmp_path / "small_llama"
    for name in ("weights", "tokenizers"):
        (package / name).mkdir(parents=True)
    (package / "__init__.py").touch()
    save_file({"embedding.weight": TABLE[:4]}, package / "weights" / "small_3.safetensors")
    monkeypatch.syspath_prepend(str(tmp_path))
    card = ModelCard(name="s", adapter="wordllama", package_path="small_llama/weights/small_3.safetensors")
    with pytest.raises(InputError, match=r"small_tokenizer_config\.json"):
        WordLlamaEncoder(card, context)
    (tiny / "tokenizer.json").rename(package / "tokenizers" / "small_tokenizer_config.json")
    with pytest.raises(InputError, match="the tokenizer has 6 tokens and the table 4 rows"):
        WordLlamaEncoder(card, context).encode(["net"], "document")


def test_settings_import_no_library(tiny: Path, tmp_path: Path) -> None:
    wordllama = wordllama_card()
    script = f"""
import sys
from pathlib import Path
from dibs.cards.model import ModelCard
from dibs.encoders.base import EncoderContext
from dibs.encoders.static import Model2VecEncoder, WordLlamaEncoder
context = EncoderContext(Path({str(tmp_path / "cache")!r}))
for make, card in ((Model2VecEncoder, {tiny_card(tiny).model_dump_json()!r}),
                   (WordLlamaEncoder, {wordllama.model_dump_json()!r})):
    make(ModelCard.model_validate_json(card), context).fingerprint("document")
heavy = {{"model2vec", "wordllama", "tokenizers", "safetensors", "torch"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, cwd=MODELS.parent)


@pytest.fixture(scope="module")
def wordllama(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    encoder = make_encoder(wordllama_card(), EncoderContext(tmp_path_factory.mktemp("cache")))
    assert isinstance(encoder, WordLlamaEncoder)
    return encoder


def test_wordllama_puts_a_paraphrase_before_another_matter(wordllama: Encoder) -> None:
    cat, rug, revenue = wordllama.encode(TEXTS[:3], "document")
    assert cat @ rug > 0.5 > 0.2 > cat @ revenue


def test_wordllamas_vectors_have_length_one_and_do_not_depend_on_their_batch(wordllama: Encoder) -> None:
    together = wordllama.encode(TEXTS, "document")
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    alone = np.concatenate([wordllama.encode([text], "document") for text in TEXTS])
    np.testing.assert_array_equal(together, alone)


def test_wordllamas_zero_vector(wordllama: Encoder) -> None:
    assert not wordllama.encode([""], "document").any()
    assert counts(wordllama, [""]) == [0]


def test_wordllama_counts_whole_texts_and_cuts_at_the_tasks_limit(wordllama: Encoder) -> None:
    assert wordllama.max_tokens == 2048
    assert counts(wordllama, ["tax " * 3000, "a"]) == [3001, 1]
    long, longer = wordllama.encode(["tax " * 3000 + "cat", "tax " * 3000 + "dog"], "document")
    np.testing.assert_array_equal(long, longer)


def test_wordllama_in_fewer_dimensions_is_its_beginning(wordllama: Encoder, context: EncoderContext) -> None:
    short = WordLlamaEncoder(wordllama_card(dimension=64), context).encode(TEXTS, "document")
    expected = base.unit_length(wordllama.encode(TEXTS, "document")[:, :64])
    np.testing.assert_allclose(short, expected, atol=1e-6)


def test_wordllamas_vectors_are_those_of_the_library(wordllama: Encoder) -> None:
    pytest.importorskip("toml", reason="wordllama's own dependencies are not all installed")
    library = pytest.importorskip("wordllama")
    folder = packaged("wordllama/weights")
    assert folder is not None
    model = library.WordLlama.load(cache_dir=folder.parent, disable_download=True)
    short = TEXTS[:4]
    np.testing.assert_allclose(wordllama.encode(short, "query"), model.embed(short, norm=True), atol=1e-6)
