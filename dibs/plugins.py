"""The one door through which adapters, sources and whatever else can be added are found.

A plugin is an installed distribution with entry points in the group `dibs.plugins`. The entry
point's name is `KIND.NAME` and its value is the object that implements it:

    [project.entry-points."dibs.plugins"]
    "encoder.shouting" = "my_package:ShoutingEncoder"

Kinds: `encoder` (called with a ModelCard, an EncoderContext; gives an Encoder), `retriever`
(called with a ModelCard; gives a Retriever), `reranker` (called with a RerankerCard, an
EncoderContext; gives a Reranker), `llm` (called with an LLMCard, the cache's folder; gives a
ChatModel), `judge` (called with a JudgeRequest; gives a Judge), `source` (called with a TaskCard, a
SourceRequest; writes the data). What DIBS ships is registered the same way.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from functools import cache
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from typing import Any

from dibs.cards.model import AdapterCard
from dibs.errors import DibsError, MissingError, unknown

GROUP = "dibs.plugins"


@cache
def _registered() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for entry in _entries():
        if entry.name in found and found[entry.name].value != entry.value:
            warnings.warn(
                f"plugin {entry.name} = {entry.value} is ignored: {found[entry.name].value} has that name",
                stacklevel=2,
            )
            continue
        found[entry.name] = entry
    return found


def _entries() -> Iterable[EntryPoint]:
    try:
        return entry_points(group=GROUP)
    except Exception:  # noqa: BLE001 - one distribution's malformed file fails the whole call
        return [entry for distribution in distributions() for entry in _entries_of(distribution)]


def _entries_of(distribution: Distribution) -> list[EntryPoint]:
    try:
        return [entry for entry in distribution.entry_points if entry.group == GROUP]
    except Exception as error:  # noqa: BLE001 - whatever is in it, the other plugins go on
        problem = f"the plugins of {distribution.metadata['Name']} are ignored: they cannot be read: {error}"
        warnings.warn(problem, stacklevel=4)
        return []


def names(kind: str) -> list[str]:
    """The names registered for `kind`, sorted; nothing is imported."""
    return sorted(name.removeprefix(f"{kind}.") for name in _registered() if name.startswith(f"{kind}."))


def adapter(kind: str, card: AdapterCard) -> Any:
    """The adapter that a card names; a missing package is said with the extra that brings it.

    Raises:
        InputError, MissingError, DibsError: as `load`.
    """
    try:
        return load(kind, card.adapter)
    except MissingError as error:
        if card.requires is None:
            raise
        todo = f'Run: pip install "dibs[{card.requires}]"'
        raise MissingError(error.problem, where=card.name, todo=todo) from None


def load(kind: str, name: str) -> Any:
    """Import and return the object registered as `name` of `kind`.

    Raises:
        InputError: nothing has that name.
        MissingError: its import fails for want of a package.
        DibsError: its import fails otherwise; the plugin is named.
    """
    entry = _registered().get(f"{kind}.{name}")
    if entry is None:
        raise unknown(kind, name, names(kind))
    try:
        return entry.load()
    except ModuleNotFoundError as error:
        package = (error.name or str(error)).partition(".")[0]
        raise MissingError(
            f"{kind} {name!r} needs the package {package!r}", todo=f"Run: pip install {package}"
        ) from error
    except DibsError:
        raise
    except Exception as error:  # a plugin may fail in any way; it is named and nothing else breaks
        raise DibsError(f"plugin {kind}.{name} ({entry.value}) cannot be loaded: {error!r}") from error
