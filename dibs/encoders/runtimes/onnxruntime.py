"""ONNX graphs run by onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dibs.encoders.base import FloatArray, IntArray
from dibs.errors import InputError, ProviderError

if TYPE_CHECKING:
    from onnxruntime import NodeArg

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""What a graph can be fed; types are 0, there being one text and no pair of them."""


class OnnxRuntime:
    """A graph from tokens to vectors, of which one output is taken."""

    parallel = 1  # onnxruntime itself uses all cores

    def __init__(self, graph: Path, *, output: str | None = None, pooled: bool = False) -> None:
        """Load `graph`.

        Args:
            output: The output to take; without it the only one that fits, or the usual one.
            pooled: Whether vectors of texts (two axes) are wanted and not of tokens (three).

        Raises:
            InputError: no graph, or one with other inputs or outputs; known ones are named.
        """
        import onnxruntime

        self._graph = graph
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors; its warnings are about the export
        try:
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no parent of their own
            raise InputError(f"onnxruntime cannot load it: {error}", where=str(graph)) from error
        self._types = {
            wanted.name: np.int32 if "int32" in wanted.type else np.int64
            for wanted in self._session.get_inputs()
        }
        if strange := [name for name in self._types if name not in _INPUTS]:
            raise InputError(
                f"the graph wants {', '.join(strange)}",
                where=str(graph),
                todo=f"Export it with no other inputs than {', '.join(_INPUTS)}.",
            )
        self.output: NodeArg = self._find(output, pooled)

    def run(self, ids: IntArray, mask: IntArray) -> FloatArray:
        given = dict(zip(_INPUTS, (ids, mask, np.zeros_like(ids)), strict=True))
        inputs: dict[str, Any] = {name: given[name].astype(kind) for name, kind in self._types.items()}
        try:
            (found,) = self._session.run([self.output.name], inputs)
        except Exception as error:  # onnxruntime's errors have no parent of their own
            raise ProviderError(
                f"onnxruntime failed on {len(ids)} texts of up to {ids.shape[1]} tokens: {error}",
                where=str(self._graph),
                todo="Lower max_tokens or batch_size in the model's card.",
            ) from error
        return np.asarray(found, dtype=np.float32)

    def _find(self, wanted: str | None, pooled: bool) -> NodeArg:
        axes, usual = (2, "sentence_embedding") if pooled else (3, "last_hidden_state")
        fitting = {
            output.name: output
            for output in self._session.get_outputs()
            # BERT's pooler_output was trained to tell which sentence follows, and is no sentence vector.
            if "float" in output.type and len(output.shape) == axes and output.name != "pooler_output"
        }
        name = wanted or (next(iter(fitting)) if len(fitting) == 1 else usual)
        if name not in fitting:
            raise InputError(
                f"no output {name!r} with {axes} axes; there are: {', '.join(fitting) or 'none'}",
                where=str(self._graph),
                todo="Correct pooling in the card (without it the graph has to pool) or options.output.",
            )
        return fitting[name]
