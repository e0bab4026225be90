"""Our models there: pipelines of DIBS as models that MTEB evaluates."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
from mteb.models import ModelMeta
from mteb.models.abs_encoder import AbsEncoder
from mteb.types import PromptType

from dibs import plugins
from dibs.cards.model import ModelCard
from dibs.data.dataset import QRELS_SCHEMA
from dibs.data.write import write_dataset
from dibs.encoders.base import Encoder, EncoderContext, FloatArray, Role, make_encoder
from dibs.encoders.embed import embed
from dibs.encoders.weights import packaged
from dibs.errors import DibsError
from dibs.files import canonical_json, digest
from dibs.mteb.meta import model_meta, model_type
from dibs.mteb.tables import TEMPLATE, corpus_table, queries_table
from dibs.retrieval.base import Retriever, Search
from dibs.retrieval.dense import DenseRetriever
from dibs.retrieval.run import Run
from dibs.workspace import Workspace

if TYPE_CHECKING:
    import datasets
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.types import EncodeKwargs

_OPEN = "{instruction}"
"""Stands for the instruction of a task that is not known yet."""


class PipelineModel:
    """A retriever as MTEB's SearchProtocol.

    Its revision in MTEB is the hash of all its settings, weights included, and stays that whatever
    MTEB writes there: names and revisions are what MTEB's result cache knows models by.
    """

    def __init__(self, retriever: Retriever | None, meta: ModelMeta, workspace: Workspace) -> None:
        self._retriever = retriever
        self._meta = meta
        self._workspace = workspace
        self._corpus: datasets.Dataset | None = None

    @property
    def mteb_model_meta(self) -> ModelMeta:
        return self._meta

    @mteb_model_meta.setter
    def mteb_model_meta(self, meta: ModelMeta) -> None:
        self._meta = meta.model_copy(update={"revision": self._meta.revision})

    def index(
        self,
        corpus: datasets.Dataset,
        *,
        task_metadata: TaskMetadata,
        hf_split: str,
        hf_subset: str,
        encode_kwargs: EncodeKwargs,
        num_proc: int | None,
        **kwargs: Any,
    ) -> None:
        """Keep the corpus for `search`."""
        self._corpus = corpus

    def search(
        self,
        queries: datasets.Dataset,
        *,
        task_metadata: TaskMetadata,
        hf_split: str,
        hf_subset: str,
        top_k: int,
        encode_kwargs: EncodeKwargs,
        top_ranked: Mapping[str, list[str]] | None = None,
        num_proc: int | None,
        **kwargs: Any,
    ) -> dict[str, dict[str, float]]:
        """Each query's `top_k` documents, query id to document id to score; every query is there.

        Args:
            top_ranked: The documents that may be ranked, for each query; None is all of them.
        """
        assert self._corpus is not None, "MTEB calls index first"
        retriever = self._retriever_for(task_metadata)
        corpus, depth = corpus_table(self._corpus), top_k
        if top_ranked is not None:
            if isinstance(retriever, DenseRetriever):  # whose scores do not depend on the other documents
                wanted = sorted({name for names in top_ranked.values() for name in names})
                corpus = corpus.filter(pc.is_in(corpus["id"], pc.cast(wanted, "string")))
            depth = corpus.num_rows
        with tempfile.TemporaryDirectory(prefix="dibs-mteb-") as folder:
            dataset = write_dataset(
                Path(folder), task_metadata.name, corpus, queries_table(queries), QRELS_SCHEMA.empty_table()
            )
            run = retriever.search(Search(dataset, TEMPLATE, self._workspace.cache), depth).run
        return (run if top_ranked is None else _among(run, top_ranked).top(top_k)).scores()

    def _retriever_for(self, task: TaskMetadata) -> Retriever:
        assert self._retriever is not None
        return self._retriever


class EncoderModel(PipelineModel, AbsEncoder):  # type: ignore[misc]
    """An encoder card as MTEB's EncoderProtocol and, for retrieval, its SearchProtocol.

    MTEB prefers the second, so retrieval is DIBS's own exact search: its scores are those of
    `dibs run`, ties included. Vectors come from the workspace's store and go there. Tasks of DIBS
    give their prompt and token limit; MTEB's own give their prompt, and DIBS's usual limit holds.
    """

    def __init__(self, card: ModelCard, workspace: Workspace, *, trust_remote_code: bool = False) -> None:
        self._card = card
        self._context = EncoderContext(workspace.cache, _OPEN, trust_remote_code=trust_remote_code)
        self._encoder = make_encoder(card, self._context)
        roles: tuple[Role, Role] = ("query", "document")
        settings = {role: self._encoder.settings(role) for role in roles}
        self._instructed = _OPEN in canonical_json(settings)
        loader = partial(_load, card=card, workspace=workspace, trust_remote_code=trust_remote_code)
        meta = model_meta(card, digest(settings), loader, "dense", self._instructed)
        super().__init__(None, meta, workspace)

    def encode(
        self,
        inputs: Any,
        *,
        task_metadata: TaskMetadata,
        hf_split: str,
        hf_subset: str,
        prompt_type: PromptType | None = None,
        **kwargs: Any,
    ) -> FloatArray:
        """(n, dimension) vectors; a text that is neither query nor document is encoded as a query."""
        role: Role = "document" if prompt_type == PromptType.document else "query"
        texts = [text for batch in inputs for text in batch["text"]]
        encoder = self._encoder_for(task_metadata)
        return embed(encoder, role, texts, len(texts), self._workspace.vectors).vectors()

    def _retriever_for(self, task: TaskMetadata) -> Retriever:
        return DenseRetriever(self._encoder_for(task))

    def _encoder_for(self, task: TaskMetadata) -> Encoder:
        """The encoder with the task's instruction and limit; the last one is kept, with its weights."""
        limit = EncoderContext.max_tokens
        context = EncoderContext(
            cache=self._context.cache,
            instruction=_instruction(task) if self._instructed else _OPEN,
            max_tokens=getattr(task, "max_tokens", limit),
            trust_remote_code=self._context.trust_remote_code,
        )
        if context != self._context:
            self._context, self._encoder = context, make_encoder(self._card, context)
        return self._encoder


def mteb_model(card: ModelCard, workspace: Workspace, *, trust_remote_code: bool = False) -> PipelineModel:
    """The card's model, for `mteb.evaluate` on any tasks; its name there is `dibs/` and the card's.

    Raises:
        InputError: no such adapter, or the card does not suit it.
        MissingError: a package, key or model is not here.
    """
    if card.adapter not in plugins.names("retriever"):
        return EncoderModel(card, workspace, trust_remote_code=trust_remote_code)
    retriever: Retriever = plugins.load("retriever", card.adapter)(card)
    loader = partial(_load, card=card, workspace=workspace)
    settings = retriever.settings()
    meta = model_meta(card, digest(settings), loader, model_type(settings), False)
    return PipelineModel(retriever, meta, workspace)


def mteb_pipeline(retriever: Retriever, workspace: Workspace) -> PipelineModel:
    """A retriever that is made already, such as a hybrid, for `mteb.evaluate`."""
    settings = retriever.settings()
    name = re.sub(r"[^A-Za-z0-9._]+", "-", retriever.name).strip("._-")[:100]
    card = ModelCard(name=name or "unnamed", adapter="pipeline")
    meta = model_meta(card, digest(settings), None, model_type(settings), None)
    return PipelineModel(retriever, meta, workspace)


def registry_meta(card: ModelCard, workspace: Workspace) -> ModelMeta:
    """The card's entry in MTEB's registry. Its revision is the model's if the model is on this
    machine, else the hash of the card, since nothing is to be fetched for a list of names.
    """
    in_package = card.package_path is not None and packaged(card.package_path) is not None
    if in_package or card.model is None or Path(card.model).is_dir():
        try:
            return mteb_model(card, workspace).mteb_model_meta
        except DibsError:  # said again when somebody wants the model
            pass
    loader = partial(_load, card=card, workspace=workspace)
    values = card.model_dump(mode="json", exclude={"name", "description", "base"})
    return model_meta(card, digest(values), loader, "dense", None)


def _load(
    model_name: str,
    revision: str | None = None,
    device: str | None = None,
    *,
    card: ModelCard,
    workspace: Workspace,
    trust_remote_code: bool = False,
    **settings: Any,
) -> PipelineModel:
    """What `mteb.get_model` calls; further keywords are fields of the card to set anew.

    Adapters choose the device themselves.
    """
    if "embed_dim" in settings:  # as MTEB calls it
        settings["dimension"] = settings.pop("embed_dim")
    return mteb_model(card.with_settings(settings), workspace, trust_remote_code=trust_remote_code)


def _instruction(task: TaskMetadata) -> str:
    """The task's prompt for queries; none where it has none."""
    prompt = task.prompt
    return (prompt.get("query", "") if isinstance(prompt, dict) else prompt) or ""


def _among(run: Run, candidates: Mapping[str, list[str]]) -> Run:
    """The run without documents that are not a query's candidates."""
    kept = {query: frozenset(names) for query, names in candidates.items()}
    scores: dict[str, dict[str, float]] = {
        query: {name: score for name, score in found.items() if name in kept.get(query, ())}
        for query, found in run.scores().items()
    }
    return Run.of(scores, list(run.rankings))
