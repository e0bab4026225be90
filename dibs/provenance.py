"""What a result was made with: versions, hardware, git; nothing that names a person or a machine."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import dibs

_PACKAGES = (
    "dibs", "accelerate", "bm25s", "faiss-cpu", "model2vec", "mteb", "numpy", "onnxruntime", "openai",
    "openvino", "optuna", "peft", "pypdfium2", "pytrec-eval-terrier", "ray", "sentence-transformers", "torch",
    "transformers", "voyageai", "wordllama",
)  # fmt: skip


_SHAPING = ("dibs", "tasks", "models", "rerankers")
"""What of a checkout shapes a result."""


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape results, those that are installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Processor, cores, memory in GiB, and system."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": _memory(),
        "system": platform.system(),
        "machine": platform.machine(),
    }


def git() -> dict[str, Any] | None:
    """The commit DIBS runs from, and whether its code or cards were changed; None outside a checkout.

    A new card, as finetuning writes one, changes none of them, and is in a record whole.
    """
    root = Path(dibs.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        commit, status = (
            subprocess.run(
                ["git", *words], cwd=root, capture_output=True, text=True, check=True, timeout=10
            ).stdout
            for words in (
                ("rev-parse", "HEAD"),
                ("status", "--porcelain", "--untracked-files=no", "--", *_SHAPING),
            )
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.strip(), "changed": bool(status.strip())}


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None
