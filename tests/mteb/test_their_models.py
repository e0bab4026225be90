"""Their models here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mteb
import numpy as np
import pytest
from mteb.models import ModelMeta
from mteb.models.abs_encoder import AbsEncoder
from mteb.types import PromptType

import dibs.mteb as door
from dibs.encoders.base import Encoder
from dibs.encoders.embed import embed
from dibs.errors import InputError, MissingError, ProviderError
from dibs.retrieval.base import Search
from dibs.retrieval.dense import DenseRetriever
from dibs.workspace import Workspace
from tests.mteb.helpers import GROUP
from tests.toys import make_dataset

pytestmark = GROUP

RANDOM = "mteb/baseline-random-encoder"


class Instructed(AbsEncoder):
    """Encodes a text as its length and its instruction's; fails at the call that `fails_at` says."""

    fails_at = 0

    def __init__(self, model_name: str, revision: str | None = None, **kwargs: Any) -> None:
        self.calls: list[tuple[str, list[str]]] = []

    def encode(
        self, inputs: Any, *, task_metadata: Any, prompt_type: PromptType | None = None, **kwargs: Any
    ) -> Any:
        instruction = self.get_task_instruction(task_metadata, prompt_type)
        texts = [text for batch in inputs for text in batch["text"]]
        self.calls.append((instruction, texts))
        if len(self.calls) == self.fails_at:
            raise ProviderError("the connection broke")
        return np.array([[3.0 * len(text), 4.0 * len(instruction), 0.0] for text in texts])


@pytest.fixture
def instructed(registries: Any) -> ModelMeta:
    """The model `toy/instructed` in MTEB's registry, of unknown dimension and without normalised vectors."""
    values = {"loader": Instructed, "name": "toy/instructed", "revision": "7", "model_type": ["dense"]}
    meta = ModelMeta.create_empty(overwrites=values)
    registries.models[meta.name] = meta
    return meta


def _replace(registries: Any, meta: ModelMeta, **changes: Any) -> None:
    registries.models[meta.name] = meta.model_copy(update=changes)


def _encoder(**options: Any) -> Encoder:
    made = door.model_from_mteb("toy/instructed", **options)
    assert isinstance(made, Encoder)
    return made


def test_a_dense_model_is_an_encoder_that_is_loaded_when_the_first_text_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: object, **kwargs: object) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr(ModelMeta, "load_model", refuse)
    encoder = door.model_from_mteb("sentence-transformers/all-MiniLM-L6-v2")
    assert isinstance(encoder, Encoder)
    assert (encoder.name, encoder.dimension, encoder.max_tokens) == (
        "sentence-transformers-all-MiniLM-L6-v2",
        384,
        256,
    )
    assert encoder.settings("document")["revision"] == "8b3219a92973c328a8e22fadcfa821b5dc75636a"


def test_the_instruction_is_put_before_queries_and_not_before_documents(instructed: ModelMeta) -> None:
    encoder = _encoder(instruction="Find it")
    query, document = encoder.encode(["abc"], "query"), encoder.encode(["abc"], "document")
    assert document.tolist() == [[1.0, 0.0, 0.0]]
    assert query[0] == pytest.approx(np.array([9.0, 28.0, 0.0]) / np.hypot(9, 28))
    assert encoder.dimension == 3


def test_without_an_instruction_mtebs_usual_one_is_used(instructed: ModelMeta) -> None:
    encoder: Any = _encoder()
    encoder.encode(["abc"], "query")
    assert encoder._model.calls[-1] == ("Retrieve text based on user query.", ["abc"])


def test_a_corpus_does_not_change_when_the_query_prompt_does(instructed: ModelMeta) -> None:
    one, other = _encoder(instruction="Find it"), _encoder(instruction="Look it up")
    assert one.fingerprint("document") == other.fingerprint("document")
    assert one.fingerprint("query") != other.fingerprint("query")


def test_another_revision_or_mteb_has_another_fingerprint(
    instructed: ModelMeta, registries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _encoder().fingerprint("document")
    monkeypatch.setattr(mteb, "__version__", "3.0.0")
    second = _encoder().fingerprint("document")
    _replace(registries, instructed, revision="8")
    assert len({first, second, _encoder().fingerprint("document")}) == 3


def test_dot_products_are_taken_of_vectors_as_they_are(instructed: ModelMeta, registries: Any) -> None:
    from mteb.models.model_meta import ScoringFunction

    _replace(registries, instructed, similarity_fn_name=ScoringFunction.DOT_PRODUCT)
    assert _encoder().encode(["abc"], "document").tolist() == [[9.0, 0.0, 0.0]]


def test_what_was_encoded_before_a_failure_is_kept(
    instructed: ModelMeta, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Instructed, "fails_at", 3)  # the first call asks for the dimension
    texts = [f"text {n:02d}" for n in range(24)]
    with pytest.raises(ProviderError, match="the connection broke"):
        embed(_encoder(batch_size=2), "document", texts, len(texts), tmp_path)
    monkeypatch.setattr(Instructed, "fails_at", 0)
    encoder: Any = _encoder(batch_size=2)
    assert embed(encoder, "document", texts, len(texts), tmp_path).encoded == 8  # 16 were in the store
    assert [len(texts) for _, texts in encoder._model.calls] == [1, 8]


def test_vectors_are_in_the_order_of_the_texts(workspace: Workspace) -> None:
    encoder = door.model_from_mteb(RANDOM, batch_size=2)
    assert isinstance(encoder, Encoder)
    texts = [letter * (1 + n % 7) for n, letter in enumerate("abcdefghijklmnopqrstu")]
    whole = encoder.encode(texts, "document")
    assert whole.shape == (21, encoder.dimension)
    np.testing.assert_allclose(whole[13], encoder.encode([texts[13]], "document")[0], rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, rtol=1e-6)


def test_bm25_is_a_retriever_without_documents_of_score_zero_and_with_every_query(tmp_path: Path) -> None:
    documents = {"a": "net sales rose", "b": "gross margin fell", "c": "sales of airplanes"}
    dataset = make_dataset(tmp_path, documents, {"q1": "sales?", "q2": "umbrella"})
    retriever = door.model_from_mteb("mteb/baseline-bm25s")
    assert not isinstance(retriever, Encoder)
    run = retriever.search(Search(dataset, "{text}", tmp_path), 10).run
    assert set(run.rankings["q1"].documents) == {"a", "c"}
    assert run.rankings["q2"].documents == []
    assert retriever.name == "mteb-baseline-bm25s"


def test_bm25_takes_the_words_of_the_tasks_language(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, {"a": "die Häuser"}, {"q1": "das Haus"})
    german = door.model_from_mteb("mteb/baseline-bm25s", language="deu-Latn")
    english = door.model_from_mteb("mteb/baseline-bm25s")
    assert not isinstance(german, Encoder)
    assert not isinstance(english, Encoder)
    assert german.settings() != english.settings()
    assert german.search(Search(dataset, "{text}", tmp_path), 1).run.rankings["q1"].documents == ["a"]
    assert english.search(Search(dataset, "{text}", tmp_path), 1).run.rankings["q1"].documents == []


def test_a_model_of_another_kind_is_searched_by_mteb(
    instructed: ModelMeta, registries: Any, tmp_path: Path
) -> None:
    _replace(registries, instructed, model_type=["dense", "sparse"])
    retriever = door.model_from_mteb("toy/instructed")
    assert not isinstance(retriever, Encoder)
    dataset = make_dataset(tmp_path, {"a": "x", "b": "xx"}, {"q1": "x"})
    assert len(retriever.search(Search(dataset, "{text}", tmp_path), 1).run.rankings["q1"].documents) == 1


def test_rerankers_and_models_of_other_things_than_text_are_refused() -> None:
    with pytest.raises(InputError, match="cross-encoder: is a reranker"):
        door.model_from_mteb("mteb/baseline-random-cross-encoder")
    with pytest.raises(InputError, match="is no model of text"):
        door.model_from_mteb("facebook/dinov2-small")


@pytest.mark.parametrize("name", ["nomic-ai/nomic-embed-text-v1.5", "jxm/cde-small-v1"])
def test_code_of_the_models_own_wants_the_users_word(name: str) -> None:
    # The first says so in the registry; the second's wrapper always runs it.
    with pytest.raises(MissingError, match="--trust-remote-code"):
        door.model_from_mteb(name)
    assert isinstance(door.model_from_mteb(name, trust_remote_code=True), Encoder)


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    assert door.has_model("mteb/baseline-bm25s")
    assert not door.has_model("mteb/baseline-bm25")
    with pytest.raises(InputError, match=r"'mteb/baseline-bm25'\n  Did you mean mteb/baseline-bm25s"):
        door.model_from_mteb("mteb/baseline-bm25")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError("couldn't connect"), "cannot be loaded: couldn't connect\n  Go online once"),
        (ImportError("pip install 'mteb[jina]'"), r"lacks a package: pip install 'mteb\[jina\]'"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_told_with_what_to_do(
    instructed: ModelMeta, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def fail(self: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(ModelMeta, "load_model", fail)
    with pytest.raises(MissingError, match=f"toy/instructed: the model {message}"):
        _encoder().encode(["a"], "document")


def test_a_model_of_which_mteb_has_only_scores_is_told(instructed: ModelMeta, registries: Any) -> None:
    _replace(registries, instructed, loader=None)
    with pytest.raises(InputError, match="lists its scores and cannot run it"):
        _encoder().encode(["a"], "document")


def test_their_encoder_retrieves_here(tmp_path: Path) -> None:
    encoder = door.model_from_mteb(RANDOM)
    assert isinstance(encoder, Encoder)
    dataset = make_dataset(tmp_path, {"a": "one", "b": "two"}, {"q1": "two"})
    run = DenseRetriever(encoder).search(Search(dataset, "{text}", tmp_path), 2).run
    assert run.rankings["q1"].documents == ["b", "a"]
    assert run.rankings["q1"].scores[0] == pytest.approx(1)
