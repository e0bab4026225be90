"""Local models as sentence-transformers keeps them, run by torch, onnxruntime or OpenVINO."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from dibs.cards.model import Backend, ModelCard, Pooling, Precision
from dibs.encoders.base import EncoderContext, FloatArray, Role, needs
from dibs.encoders.batches import Batch, Padded, Tokeniser
from dibs.encoders.check import TEXTS, Check, check, reference
from dibs.encoders.folder import POOLING, options_of, own_limit, pooling_of, read_fields
from dibs.encoders.local import LocalEncoder, read_tokenizer, tokeniser
from dibs.encoders.pooled import Shape
from dibs.encoders.runtimes import MODULES, PRECISIONS, Runtime, graph_runtime
from dibs.encoders.weights import locate, weights_sha256
from dibs.errors import InputError, MissingError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class SentenceTransformersEncoder(LocalEncoder):
    """A sentence-transformers folder: from a package, the disk or the hub.

    Its settings are read from the folder's files, so that a run whose vectors are all in the store
    loads neither torch nor the model. A model that is more than a transformer and pooling runs as
    sentence-transformers runs it, on torch.
    """

    precisions = get_args(Precision)
    backends = get_args(Backend)

    def __init__(self, card: ModelCard, context: EncoderContext) -> None:
        if card.remote_code and not context.trust_remote_code:
            raise MissingError(
                "the model brings code of its own that has to be run",
                where=card.name,
                todo="If you trust it, add --trust-remote-code.",
            )
        self._options = options_of(card)
        self._folder = locate(card)
        self._weights = weights_sha256(self._folder, context.cache / "weights.json")
        limit = min(filter(None, (card.max_tokens or own_limit(self._folder), context.max_tokens)))
        super().__init__(card, context, limit, pooling_of(self._folder, card))
        own = read_fields(self._folder / "config_sentence_transformers.json")
        self._prompts = own.get("prompts") or {}
        self._graphs = context.cache / "onnx"
        self._check: Check | None = None
        if card.backend != "torch":
            self._refuse_what_needs_torch()

    @cached_property
    def dimension(self) -> int:  # type: ignore[override]
        if self._card.dimension:
            return self._card.dimension
        if self._card.backend == "torch":
            return int(self._model.get_embedding_dimension() or 0)
        return int(self._reference.shape[1])

    @property
    def about(self) -> dict[str, Any]:
        found = {"backend": self._card.backend, "precision": self._card.precision}
        return found | ({"compared_with_torch": asdict(self._check)} if self._check else {})

    def settings(self, role: Role) -> dict[str, Any]:
        card, default = self._card, ("torch", "float32")
        return {
            "adapter": "sentence-transformers",
            "weights": self._weights,
            "role": role,
            "prompt": self._prompt(role),
            "pooling": card.pooling or "as in the model's files",
            "max_tokens": self.max_tokens,
            "dimension": card.dimension,
            "normalise": card.normalise,
            "precision": card.precision,
            "remote_code": card.remote_code,
            **({"options": card.options} if card.options else {}),
            **({"backend": card.backend} if (card.backend, card.precision) != default else {}),
        }

    def ready(self) -> None:
        _ = self._runtime

    def trainable(self) -> SentenceTransformer:
        """The model itself, loaded, with this card's pooling and token limit, to be finetuned in place."""
        return self._model

    @cached_property
    def _pools_here(self) -> bool:
        return self._pooling is not None and (self._card.backend != "torch" or self._is_plain)

    def _vectors(
        self, batch: Batch, role: Role, runtime: Runtime, shapes: Sequence[Shape]
    ) -> list[FloatArray]:
        if self._pools_here:
            return super()._vectors(batch, role, runtime, shapes)
        model = self._model
        encode = model.encode_query if role == "query" else model.encode_document
        vectors = encode(
            batch.texts,
            prompt=self._prompt(role),
            batch_size=len(batch.texts),
            show_progress_bar=False,
            convert_to_tensor=True,
            truncate_dim=self._card.dimension,
        )
        return [vectors.float().cpu().numpy()]

    @cached_property
    def _runtime(self) -> Runtime:
        card = self._card
        if card.backend == "torch":
            from dibs.encoders.runtimes.torch import TorchRuntime

            return TorchRuntime(self._model)
        return self._shared(self._compared, "graph", self._weights, card.backend, card.precision)

    def _compared(self) -> Runtime:
        """A graph's runtime, once its vectors were found to be torch's."""
        from dibs.encoders.export import exported

        card = self._card
        graph = exported(self._weights, self._graphs, self._load_to_export, self._probes, card.backend)
        runtime = graph_runtime(card.backend, graph, card.precision)
        own = np.zeros_like(self._reference)
        for (batch,) in self._run(TEXTS, "document", runtime, (self.shape,)):
            own[batch.positions] = batch.vectors
        self._check = check(own, self._reference, card.precision, where=f"{self.name} on {card.backend}")
        return runtime

    @cached_property
    def _reference(self) -> FloatArray:
        """Torch's vectors of the texts that backends are compared on."""
        card = self._card.model_copy(update={"backend": "torch", "precision": "float32"})
        torch = SentenceTransformersEncoder(card, replace(self._context, loaded={}))
        return reference(self._graphs, torch.fingerprint("document"), lambda: torch.encode(TEXTS, "document"))

    def _probes(self) -> list[Padded]:
        windows = self._tokeniser.windows(TEXTS, "", 4 * self.max_tokens)
        return [batch.padded(self._tokeniser.pad) for window in windows for batch in window]

    @cached_property
    def _tokeniser(self) -> Tokeniser:
        on_torch = self._card.backend == "torch"
        return self._shared(
            self._new_tokeniser, "tokeniser", self._weights, self._card.options, self.max_tokens, on_torch
        )

    def _new_tokeniser(self) -> Tokeniser:
        if self._card.backend != "torch":
            pad = read_fields(self._folder / "config.json").get("pad_token_id") or 0
            return tokeniser(read_tokenizer(self._folder / "tokenizer.json"), self.max_tokens, pad)
        own = deepcopy(self._model.tokenizer)  # the model cuts and pads with its own, in another thread
        pad = own.pad_token_id or 0
        if own.is_fast:
            return tokeniser(own.backend_tokenizer, self.max_tokens, pad)

        def tokenise(texts: Sequence[str]) -> list[list[int]]:
            ids: list[list[int]] = own(list(texts), truncation=False, padding=False, verbose=False)[
                "input_ids"
            ]
            return ids

        return Tokeniser(tokenise, self.max_tokens, pad)

    @cached_property
    def _is_plain(self) -> bool:
        """Whether the tokens can be cut and padded here: at the right, as our own batches are."""
        own = self._model.tokenizer
        return bool(own.is_fast and own.padding_side == own.truncation_side == "right")

    @property
    def _model(self) -> SentenceTransformer:
        """The model, which encoders of other poolings and limits share, set to those of this one."""
        loaded = self._shared(self._loaded, "model", self._weights, self._card.precision, self._card.options)
        loaded.pool_as(self._card.pooling)
        loaded.model.max_seq_length = self.max_tokens
        return loaded.model

    def _loaded(self) -> _Loaded:
        from sentence_transformers.sentence_transformer import modules

        model = self._load(self._card.precision, self._options["model"])
        own = {place: part for place, part in enumerate(model) if isinstance(part, modules.Pooling)}
        return _Loaded(model, own)

    def _load_to_export(self) -> SentenceTransformer:
        return self._load("float32", {"attn_implementation": "eager"}, device="cpu")

    def _load(
        self, precision: Precision, options: dict[str, Any], device: str | None = None
    ) -> SentenceTransformer:
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # its bar over the weights would stand on our standard error
        try:
            return SentenceTransformer(
                str(self._folder),
                device=device,
                trust_remote_code=self._card.remote_code,
                local_files_only=not self._card.remote_code,
                model_kwargs=options | {"dtype": getattr(torch, precision), "use_safetensors": True},
                processor_kwargs=self._options["tokenizer"],
                config_kwargs=self._options["config"],
            )
        except (OSError, ValueError, KeyError, ImportError, AttributeError) as error:
            raise InputError(
                f"is no model that sentence-transformers can load: {error}", where=str(self._folder)
            ) from error

    def _refuse_what_needs_torch(self) -> None:
        backend, precision = self._card.backend, self._card.precision
        if precision not in PRECISIONS[backend]:
            raise InputError(f"the backend {backend} has no precision {precision}", where=self.name)
        if self._pooling is None or self._card.options or not (self._folder / "tokenizer.json").is_file():
            raise InputError(
                f"the backend {backend} runs a transformer with a tokenizer.json and mean, cls or last "
                "pooling, and no options; this model has more, or less",
                where=self.name,
                todo="Use backend torch.",
            )
        needs("onnx" if backend == "onnxruntime" else backend, MODULES[backend], "tokenizers")


@dataclass(frozen=True)
class _Loaded:
    """A model, and how it pools of its own."""

    model: SentenceTransformer
    own: dict[int, Any]
    """Its Pooling modules by their places."""

    def pool_as(self, pooling: Pooling | None) -> None:
        """Pool so; None is as the model's own files say."""
        for place, own in self.own.items():
            mode = own.pooling_mode if pooling is None else POOLING[pooling]
            if mode == own.pooling_mode:
                self.model[place] = own
            elif mode != self.model[place].pooling_mode:
                self.model[place] = type(own)(
                    own.embedding_dimension, pooling_mode=mode, include_prompt=own.include_prompt
                )
