"""Python and the packages, by what their metadata says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from dibs.doctor.findings import Finding

_AREA = "packages"
_PYTHON = (3, 11)
_OURS_ALONE = frozenset({"dev", "docs"})
"""Extras for those who work on DIBS itself."""


def package_findings() -> Iterator[Finding]:
    """Python, what DIBS needs, each extra, and the build of torch."""
    yield _python()
    wanted = [Requirement(text) for text in requires("dibs") or ()]
    yield from _needed([one for one in wanted if _applies(one, "")])
    for extra in sorted(set(metadata("dibs").get_all("Provides-Extra") or ()) - _OURS_ALONE):
        own = [one for one in wanted if _applies(one, extra) and not _applies(one, "")]
        lacking = [text for one in own if (text := _lacks(one))]
        todo = f'pip install "dibs[{extra}]"'
        if lacking:
            yield Finding(_AREA, f"dibs[{extra}]", "missing", "; ".join(lacking), todo)
        else:
            yield Finding(_AREA, f"dibs[{extra}]", "ready", ", ".join(_shown(one) for one in own))
    yield from _torch()


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _PYTHON:
        todo = f"Make a virtual environment with Python {'.'.join(map(str, _PYTHON))} or later."
        return Finding(_AREA, "python", "broken", found, todo)
    return Finding(_AREA, "python", "ready", found)


def _needed(wanted: list[Requirement]) -> Iterator[Finding]:
    lacking = {one: text for one in wanted if (text := _lacks(one))}
    for one, text in lacking.items():
        yield Finding(_AREA, one.name, "broken", text, f'pip install "{one.name}{one.specifier}"')
    if not lacking:
        found = f"{len(wanted)} packages, none older than it may be"
        yield Finding(_AREA, f"dibs {version('dibs')}", "ready", found)


def _torch() -> Iterator[Finding]:
    try:
        found = version("torch")
    except PackageNotFoundError:
        return
    build = found.partition("+")[2] or "as on PyPI"
    gpu = Path("/proc/driver/nvidia/version").exists()
    if gpu and build == "cpu":
        todo = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu126"
        yield Finding(_AREA, "torch", "slow", f"{found}, which does not use the GPU that is here", todo)
    else:
        yield Finding(_AREA, "torch", "ready", f"build {build}, {'with' if gpu else 'no'} NVIDIA GPU here")


def _applies(one: Requirement, extra: str) -> bool:
    return one.marker is None or one.marker.evaluate({"extra": extra})


def _lacks(one: Requirement) -> str | None:
    """What is wrong with an installed package; None if nothing is."""
    try:
        found = version(one.name)
    except PackageNotFoundError:
        return f"{one.name} is not installed"
    wanted = one.specifier.contains(found, prereleases=True)
    return None if wanted else f"{one.name} {found} is not {one.specifier}"


def _shown(one: Requirement) -> str:
    return f"{one.name} {version(one.name)}"
