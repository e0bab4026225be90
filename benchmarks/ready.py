"""What benchmarks of all but encoding share: an encoder whose vectors are in the store, and memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dibs.encoders.base import EncodedBatch, Encoder, FloatArray, Role
from dibs.encoders.vectors import VectorStore, text_keys

NAME = "ready"


class ReadyEncoder(Encoder):
    """Its vectors were put into the store by `store_vectors`; it can make none."""

    name = NAME
    max_tokens = None

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension

    def settings(self, role: Role) -> dict[str, Any]:
        return {"adapter": NAME, "role": role}

    def stream(self, texts: Sequence[str], role: Role) -> Iterator[EncodedBatch]:
        raise RuntimeError(f"{len(texts)} vectors of the {role} are not in the store")


def store_vectors(cache: Path, role: Role, blocks: Iterator[tuple[list[str], FloatArray]]) -> None:
    """Put texts and their vectors, block by block, where `ReadyEncoder` needs them."""
    store = None
    for texts, vectors in blocks:
        encoder = ReadyEncoder(vectors.shape[1])
        store = store or VectorStore(cache / "vectors", NAME, encoder.settings(role), encoder.dimension)
        store.append(text_keys(texts), vectors, np.ones(len(texts), np.int64))


class Memory(threading.Thread):
    """Watches this process: `anonymous_mib` is the most that it held besides pages of files, by samples."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.anonymous_mib = 0.0

    def run(self) -> None:
        while True:
            self.anonymous_mib = max(self.anonymous_mib, status_mib("RssAnon"))
            time.sleep(0.02)


def status_mib(field: str) -> float:
    """A line of Linux's /proc/self/status, such as VmHWM, the most memory that was resident; else NaN."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    (line,) = (line for line in status.read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) / 1024
