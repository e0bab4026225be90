"""Libraries that run a transformer on this machine's processor, one a file, each loaded only when used."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from dibs.cards.model import Backend, Precision
from dibs.encoders.base import FloatArray, IntArray, needs


class Runtime(Protocol):
    """Tokens to vectors."""

    parallel: int
    """Batches that it wants at once, each from a thread of its own."""

    def run(self, ids: IntArray, mask: IntArray) -> FloatArray:
        """The vectors of all tokens, (n, tokens, d), or of texts, (n, d), where the model itself pools.

        Args:
            ids: (n, tokens), a text's own tokens first.
            mask: (n, tokens), 1 for these and 0 for padding, whose vectors say nothing.
        """


MODULES: dict[Backend, str] = {"onnxruntime": "onnxruntime", "openvino": "openvino"}
"""Backends that run an ONNX graph, and the package each needs."""

PRECISIONS: dict[Backend, tuple[Precision, ...]] = {
    "torch": ("float32", "bfloat16"),
    "onnxruntime": ("float32",),  # it has no bfloat16 on processors
    "openvino": ("float32", "bfloat16"),
}


def graph_runtime(backend: Backend, graph: Path, precision: Precision) -> Runtime:
    """The backend that runs that ONNX graph.

    Raises:
        MissingError: it is not installed.
        InputError: it cannot load the graph, or this processor lacks the precision.
    """
    needs("onnx" if backend == "onnxruntime" else backend, MODULES[backend])
    if backend == "onnxruntime":
        from dibs.encoders.runtimes.onnxruntime import OnnxRuntime

        return OnnxRuntime(graph)
    from dibs.encoders.runtimes.openvino import OpenVinoRuntime

    return OpenVinoRuntime(graph, precision)
