"""The configurations of a sweep: every combination of the values that are tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Any

from dibs.errors import InputError

MOST = 1000
"""Configurations in one sweep: with so many, the best on few queries is the luckiest."""

Changes = dict[str, Any]
"""What a configuration changes of the model's own card, by its fields; empty is the card as it is."""


def grid(over: Mapping[str, Sequence[Any]], own: Mapping[str, Any]) -> list[Changes]:
    """The product of the values; first the card's own, whether or not it is among them.

    Args:
        over: The values to try, by the card's field.
        own: The card's fields. A value that is the card's own changes nothing.

    Raises:
        InputError: a field has no value, or there are too many combinations.
    """
    if empty := [field for field, values in over.items() if not values]:
        raise InputError(f"there is no value to try of {empty[0]}", todo=f"Such as --over {empty[0]}=A,B.")
    found: list[Changes] = [{}]
    for values in product(*over.values()):
        tried = zip(over, values, strict=True)
        changes = {field: value for field, value in tried if value != own.get(field)}
        if changes not in found:
            found.append(changes)
        if len(found) > MOST:
            raise InputError(f"more than {MOST:,} configurations", todo="Try fewer values.")
    return found


def simplex(parts: int, steps: int) -> list[tuple[float, ...]]:
    """Weights of a hybrid's parts that add up to 1, in `steps` steps from 0 to 1 each.

    Raises:
        InputError: fewer than two steps.
    """
    if steps < 2:
        raise InputError(f"--weights {steps}: weights from 0 to 1 take at least 2 steps")
    last = steps - 1
    cuts = combinations(range(last + parts - 1), parts - 1)  # stars and bars
    counts = (
        [after - before - 1 for before, after in zip((-1, *bars), (*bars, last + parts - 1), strict=True)]
        for bars in cuts
    )
    return [tuple(round(count / last, 4) for count in each) for each in counts]


def label(changes: Changes) -> str:
    """As tables show a configuration; the card as it is is the default one."""
    return ", ".join(f"{field}={_shown(value)}" for field, value in changes.items()) or "default"


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value if value and value == value.strip() and value.isprintable() else repr(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}={_shown(held)}" for name, held in value.items()) + "}"
    if isinstance(value, tuple | list):
        return ":".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
