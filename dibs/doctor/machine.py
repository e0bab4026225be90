"""The processor, its threads, the memory, and the disks."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from dibs.doctor.findings import Finding
from dibs.provenance import hardware
from dibs.workspace import Workspace

_SPEED_UPS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8", "asimd", "bf16")
"""Instructions that the libraries make use of, as Linux names them."""
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_GIB = 2**30
_ROOM, _LEAST_ROOM = 5.0, 0.2
"""GiB of a disk below which it is said, and below which nothing can be kept."""
_MEMORY = 2.0
_PATIENCE = 0.5
"""Seconds that are spent on counting what the cache holds."""


def machine_findings(workspace: Workspace) -> Iterator[Finding]:
    """What work here is done with, and the room there is for it."""
    yield _processor()
    yield _threads()
    yield _memory()
    yield _disk("cache", workspace.cache, "Set DIBS_CACHE to a folder on a disk with room.")
    yield _disk("workspace", workspace.root, "Use --workspace with a folder on a disk with room.")
    yield from _kept(workspace.cache)


def _processor() -> Finding:
    flags = _flags()
    useful = [flag for flag in _SPEED_UPS if flag in flags]
    found = f"{hardware()['processor']}: {', '.join(useful) or 'none of the usual vector instructions'}"
    slow = bool(flags) and not {"avx2", "asimd"} & flags
    todo = "Prefer static models (wordllama-256) and BM25 here." if slow else None
    return Finding("machine", "processor", "slow" if slow else "ready", found, todo)


def _flags() -> frozenset[str]:
    """What /proc/cpuinfo says that the processor can; empty where there is no such file."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    found = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return frozenset(found.partition(":")[2].split())


def _threads() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = {name: os.environ[name] for name in _THREADS if os.environ.get(name)}
    found = f"{cores} cores" + "".join(f", {name}={value}" for name, value in given.items())
    other = [name for name, value in given.items() if value != str(cores)]
    if other:
        return Finding("machine", "threads", "slow", found, f"unset {' '.join(other)}")
    return Finding("machine", "threads", "ready", found)


def _memory() -> Finding:
    total = hardware()["memory_gib"]
    free = _available()
    found = f"{total} GiB" + (f", {free:.1f} free" if free is not None else "")
    if free is not None and free < _MEMORY:
        todo = "Close other programs, or run with a small model: --set batch_tokens=4096."
        return Finding("machine", "memory", "slow", found, todo)
    return Finding("machine", "memory", "ready", found)


def _available() -> float | None:
    """GiB that are free now, as Linux tells."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        kib = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
    return kib * 1024 / _GIB


def _disk(name: str, folder: Path, todo: str) -> Finding:
    """The room where `folder` is or will be, and whether it may be written to."""
    home = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(home).free / _GIB
    found = f"{folder}: {free:,.1f} GiB free"
    if not home.is_dir() or not os.access(home, os.W_OK):
        return Finding("disk", name, "broken", f"{folder} cannot be written to", todo)
    if free < _ROOM:
        return Finding("disk", name, "broken" if free < _LEAST_ROOM else "slow", found, todo)
    return Finding("disk", name, "ready", found)


def _kept(cache: Path) -> Iterator[Finding]:
    """How much each kind of thing in the cache takes."""
    until = time.monotonic() + _PATIENCE
    kinds = sorted(path for path in cache.iterdir() if path.is_dir()) if cache.is_dir() else []
    for kind in kinds:
        size, whole = _size(kind, until)
        found = f"{'' if whole else 'more than '}{size / _GIB:,.2f} GiB"
        yield Finding("disk", f"cache/{kind.name}", "ready", found)


def _size(folder: Path, until: float) -> tuple[int, bool]:
    """Bytes below `folder` that were counted until that time, and whether that is all."""
    size = 0
    for home, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(os.path.join(home, name)).st_size  # noqa: PTH118 - a Path a file is slow
            except OSError:  # it has gone meanwhile
                continue
        if time.monotonic() > until:
            return size, False
    return size, True
