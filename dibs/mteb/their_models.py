"""Their models here: encoders and search models of MTEB's registry as encoders and retrievers of DIBS."""

from __future__ import annotations

import inspect
import math
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import datasets
import httpx
import mteb
import numpy as np
from mteb.abstasks import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models import EncoderProtocol, ModelMeta, SearchEncoderWrapper, SearchProtocol
from mteb.models.model_meta import ScoringFunction
from mteb.types import PromptType

from dibs.encoders.base import EncodedBatch, Encoder, FloatArray, Role, unit_length
from dibs.errors import InputError, MissingError, unknown
from dibs.files import slug
from dibs.mteb.register import model_names
from dibs.retrieval.base import Cost, Retrieved, Retriever, Search
from dibs.retrieval.run import Run

BATCHES = 8
"""Batches of texts that are encoded in one call, and so in the store together."""
_PROMPT_TYPES = {"query": PromptType.query, "document": PromptType.document}


class EncoderFromMteb(Encoder):
    """A dense model of MTEB's registry. Texts are cut where that model cuts them; nobody counts tokens."""

    def __init__(self, meta: ModelMeta, instruction: str, language: str, batch_size: int) -> None:
        self.name = slug(str(meta.name))
        self.max_tokens = int(meta.max_tokens) if meta.max_tokens and math.isfinite(meta.max_tokens) else None
        self._meta = meta
        self._task = _task(instruction, language)
        self._batch_size = batch_size

    @cached_property
    def dimension(self) -> int:  # type: ignore[override]
        stated = self._meta.embed_dim
        return stated if isinstance(stated, int) else int(self._encode(["dimension"], "document").shape[1])

    def settings(self, role: Role) -> dict[str, Any]:
        prompts: Any = self._task.prompt
        return _settings(self._meta) | {"role": role, "instruction": prompts.get(role, "")}

    def stream(self, texts: Sequence[str], role: Role) -> Iterator[EncodedBatch]:
        order = np.argsort([-len(text) for text in texts], kind="stable")  # like lengths together
        for start in range(0, len(order), BATCHES * self._batch_size):
            places = order[start : start + BATCHES * self._batch_size]
            yield EncodedBatch(places, self._encode([texts[place] for place in places], role))

    def _encode(self, texts: list[str], role: Role) -> FloatArray:
        from torch.utils.data import DataLoader

        whole = "query" if role == "query" else "body"
        names = [str(place) for place in range(len(texts))]
        rows = datasets.Dataset.from_dict({"id": names, "text": texts, whole: texts})
        with _no_prompt_for_documents():
            vectors: Any = self._model.encode(
                DataLoader(rows, batch_size=self._batch_size),
                task_metadata=self._task,
                hf_split="test",
                hf_subset="default",
                prompt_type=_PROMPT_TYPES[role],
                batch_size=self._batch_size,
                show_progress_bar=False,
            )
        if hasattr(vectors, "cpu"):
            vectors = vectors.float().cpu().numpy()
        cosine = self._meta.similarity_fn_name is not ScoringFunction.DOT_PRODUCT
        return unit_length(vectors) if cosine else np.asarray(vectors, dtype=np.float32)

    @cached_property
    def _model(self) -> EncoderProtocol:
        model = _load(self._meta)
        if not isinstance(model, EncoderProtocol):
            raise InputError("is registered as a dense model and encodes nothing", where=str(self._meta.name))
        return model


class RetrieverFromMteb:
    """A search model of MTEB's registry, such as its BM25."""

    def __init__(self, meta: ModelMeta, instruction: str, language: str, batch_size: int) -> None:
        model = _load(meta)
        if not isinstance(model, SearchProtocol):
            if not isinstance(model, EncoderProtocol):
                raise InputError("is neither an encoder nor a search model", where=str(meta.name))
            model = SearchEncoderWrapper(model)
        self._model = model
        self._meta = meta
        self._task = _task(instruction, language)
        self._encode_kwargs: Any = {"batch_size": batch_size, "show_progress_bar": False}

    @property
    def name(self) -> str:
        return slug(str(self._meta.name))

    def settings(self) -> dict[str, Any]:
        language, prompts = self._task.bcp47_codes[0], self._task.prompt
        return _settings(self._meta) | {"retriever": "mteb", "language": language, "prompts": prompts}

    def search(self, search: Search, k: int) -> Retrieved:
        dataset = search.dataset
        given: Any = {
            "task_metadata": self._task,
            "hf_split": "test",
            "hf_subset": "default",
            "encode_kwargs": self._encode_kwargs,
            "num_proc": None,
        }
        started = time.perf_counter()
        texts = search.document_texts()
        corpus = datasets.Dataset.from_dict({"id": dataset.document_ids, "text": texts})
        queries = datasets.Dataset.from_dict({"id": dataset.query_ids, "text": dataset.query_texts()})
        with _no_prompt_for_documents():
            self._model.index(corpus, **given)
            indexed = time.perf_counter()
            scores = self._model.search(queries, top_k=k, **given)
        if self._meta.model_type == ["sparse"]:
            # No word in common: MTEB's BM25 fills its lists up with such documents.
            scores = {
                query: {doc: score for doc, score in found.items() if score > 0}
                for query, found in scores.items()
            }
        run = Run.of(scores, dataset.query_ids).top(k)
        return Retrieved(run, Cost(index=indexed - started, search=time.perf_counter() - indexed))


def has_model(name: str) -> bool:
    """Whether MTEB has a model of that name."""
    return name in model_names()


def model_from_mteb(
    name: str,
    *,
    instruction: str = "",
    language: str = "eng-Latn",
    batch_size: int = 32,
    trust_remote_code: bool = False,
) -> Encoder | Retriever:
    """A model of MTEB's registry: an encoder, loaded when the first text comes, or a retriever.

    It prepares texts as it does in `mteb.evaluate`, prompts included, but for prompts that are
    meant for one task alone. MTEB knows no token limit of tasks: the model's own holds.

    Args:
        instruction: The task's query prompt; without one, MTEB's usual one for retrieval.
        language: The task's language, by which MTEB's BM25 chooses its words.
        trust_remote_code: The user's word that the model's own code may run.

    Raises:
        InputError: no such model, or it cannot retrieve.
        MissingError: its weights, a package or that word is not here.
    """
    meta = _find(name)
    if _brings_code(meta) and not trust_remote_code:
        raise MissingError(
            "the model brings code of its own that has to be run",
            where=name,
            todo="If you trust it, add --trust-remote-code.",
        )
    if "cross-encoder" in meta.model_type:
        raise InputError("is a reranker: it scores pairs and cannot retrieve", where=name)
    if "text" not in meta.modalities:
        raise InputError("is no model of text", where=name)
    kind = EncoderFromMteb if meta.model_type == ["dense"] else RetrieverFromMteb
    return kind(meta, instruction, language, batch_size)


def _find(name: str) -> ModelMeta:
    known = model_names()
    if name not in known:
        raise unknown("MTEB model", name, known)
    return mteb.get_model_meta(name)


def _load(meta: ModelMeta) -> Any:
    try:
        return meta.load_model()
    except ImportError as error:
        raise MissingError(f"the model lacks a package: {error}", where=str(meta.name)) from error
    except (OSError, httpx.HTTPError) as error:
        raise MissingError(
            f"the model cannot be loaded: {_first_line(error)}",
            where=str(meta.name),
            todo="Go online once to fetch its weights; for a gated model, accept its terms and set HF_TOKEN.",
        ) from error
    except NotImplementedError as error:
        raise InputError("MTEB lists its scores and cannot run it", where=str(meta.name)) from error


def _first_line(error: Exception) -> str:
    return (str(error) or repr(error)).partition("\n")[0]


def _brings_code(meta: ModelMeta) -> bool:
    """Whether loading the model runs code of its repository: by its entry, or by its wrapper always."""
    loader: Any = meta.loader
    while isinstance(loader, partial):
        loader = loader.func
    try:
        always = "trust_remote_code=True" in inspect.getsource(loader)
    except (OSError, TypeError):  # no source, or no loader
        always = False
    return always or bool(meta.loader_kwargs.get("trust_remote_code"))


def _settings(meta: ModelMeta) -> dict[str, Any]:
    return {"adapter": "mteb", "mteb": mteb.__version__, "model": meta.name, "revision": meta.revision}


@contextmanager
def _no_prompt_for_documents() -> Iterator[None]:
    """Without the warning at each encoding of documents that the task has a prompt for queries only."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Prompt type '.*' not found in task metadata")
        yield


def _task(instruction: str, language: str) -> TaskMetadata:
    """The metadata that MTEB's models ask for their prompts."""
    prompt: Any = {"query": instruction or AbsTaskRetrieval.abstask_prompt}
    return TaskMetadata(
        name="DIBS",
        description="Retrieval in DIBS.",
        dataset={"path": "dibs", "revision": "none"},
        type="Retrieval",
        category="t2t",
        eval_langs=[language],
        main_score="ndcg_at_10",
        prompt=prompt,
    )
