"""Local models as sentence-transformers keeps them, run by torch, onnxruntime or OpenVINO."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from dibs.cards import Backend, ModelCard, Precision
from dibs.encoders.base import EncoderContext, FloatArray, Role, needs
from dibs.encoders.batches import Batch, Padded, Tokeniser
from dibs.encoders.check import TEXTS, Check, check, reference
from dibs.encoders.folder import POOLING, options_of, own_limit, pooling_of, read_fields
from dibs.encoders.local import LocalEncoder, read_tokenizer, tokeniser
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

    def _vectors(self, batch: Batch, role: Role, runtime: Runtime) -> FloatArray:
        if self._card.backend != "torch" or self._is_plain:
            return super()._vectors(batch, role, runtime)
        encode = self._model.encode_query if role == "query" else self._model.encode_document
        vectors = encode(
            batch.texts,
            prompt=self._prompt(role),
            batch_size=len(batch.texts),
            show_progress_bar=False,
            convert_to_tensor=True,
            truncate_dim=self._card.dimension,
        )
        rows: FloatArray = vectors.float().cpu().numpy()
        return rows

    @cached_property
    def _runtime(self) -> Runtime:
        card = self._card
        if card.backend == "torch":
            from dibs.encoders.runtimes.torch import TorchRuntime

            return TorchRuntime(self._model)
        from dibs.encoders.export import exported

        graph = exported(self._weights, self._graphs, self._load_to_export, self._probes, card.backend)
        runtime = graph_runtime(card.backend, graph, card.precision)
        own = np.zeros_like(self._reference)
        for batch in self._run(TEXTS, "document", runtime):
            own[batch.positions] = batch.vectors
        self._check = check(own, self._reference, card.precision, where=f"{self.name} on {card.backend}")
        return runtime

    @cached_property
    def _reference(self) -> FloatArray:
        """Torch's vectors of the texts that backends are compared on."""
        card = self._card.model_copy(update={"backend": "torch", "precision": "float32"})
        torch = SentenceTransformersEncoder(card, self._context)
        return reference(self._graphs, torch.fingerprint("document"), lambda: torch.encode(TEXTS, "document"))

    def _probes(self) -> list[Padded]:
        windows = self._tokeniser.windows(TEXTS, "", 4 * self.max_tokens)
        return [batch.padded(self._tokeniser.pad) for window in windows for batch in window]

    @cached_property
    def _tokeniser(self) -> Tokeniser:
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
        return (
            self._pooling is not None and own.is_fast and own.padding_side == own.truncation_side == "right"
        )

    @cached_property
    def _model(self) -> SentenceTransformer:
        model = self._load(self._card.precision, self._options["model"])
        if self._card.pooling is not None:
            _set_pooling(model, POOLING[self._card.pooling])
        model.max_seq_length = self.max_tokens
        return model

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
                model_kwargs=options | {"dtype": getattr(torch, precision)},
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


def _set_pooling(model: SentenceTransformer, mode: str) -> None:
    from sentence_transformers.sentence_transformer.modules import Pooling

    for index, module in enumerate(model):
        if isinstance(module, Pooling) and module.pooling_mode != mode:
            model[index] = Pooling(
                module.embedding_dimension, pooling_mode=mode, include_prompt=module.include_prompt
            )
