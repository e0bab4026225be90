"""ONNX graphs run by OpenVINO."""

from __future__ import annotations

from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import numpy as np

from dibs.cards.model import Precision
from dibs.encoders.base import FloatArray, IntArray
from dibs.errors import InputError, ProviderError

if TYPE_CHECKING:
    from openvino import InferRequest

_TYPES: dict[Precision, str] = {"float32": "f32", "bfloat16": "bf16"}


class OpenVinoRuntime:
    """A graph that takes `input_ids` and `attention_mask`, compiled for this processor.

    It is asked for throughput: several streams, each a few cores and a batch of its own, wait less
    for one another than all cores on one batch. The precision has to be said: where the processor
    has AMX, OpenVINO's own choice is bfloat16 even for graphs in float32.
    """

    def __init__(self, graph: Path, precision: Precision) -> None:
        import openvino

        wanted = _TYPES[precision]
        core = openvino.Core()
        if precision == "bfloat16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise InputError(
                "this processor has no bfloat16",
                todo="Use precision float32, or backend torch, which is slow.",
            )
        hints = {"INFERENCE_PRECISION_HINT": wanted, "PERFORMANCE_HINT": "THROUGHPUT"}
        try:
            model = core.compile_model(graph, "CPU", hints)
        except Exception as error:  # openvino's errors have no parent of their own
            raise InputError(f"openvino cannot load it: {error}", where=str(graph)) from error
        self._names = {port.get_any_name() for port in model.inputs}
        self.parallel = int(model.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._free: SimpleQueue[InferRequest] = SimpleQueue()
        for _ in range(self.parallel):
            self._free.put(model.create_infer_request())

    def run(self, ids: IntArray, mask: IntArray) -> FloatArray:
        request = self._free.get()
        try:
            request.infer({"input_ids": ids, "attention_mask": mask}, share_inputs=True)
            return np.array(request.get_output_tensor(0).data, dtype=np.float32)
        except Exception as error:  # openvino's errors have no parent of their own
            raise ProviderError(
                f"openvino failed on {len(ids)} texts of up to {ids.shape[1]} tokens: {error}",
                todo="Lower max_tokens or batch_size in the model's card.",
            ) from error
        finally:
            self._free.put(request)
