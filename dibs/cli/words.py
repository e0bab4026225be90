"""The command line that a record keeps: options said again as words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

_NONE: Mapping[str, str] = {}


def option_words(options: Any, *, repeated: Mapping[str, str] = _NONE, always: str = "") -> list[str]:
    """The options of a dataclass that are not at their defaults, in the order of its fields.

    A folder is named without where it lies; several values stand with commas between them.

    Args:
        repeated: Fields whose values each stand after the option again, and how that is called.
        always: A field that is said at its default too.
    """
    words: list[str] = []
    for field in fields(options):
        value, name = getattr(options, field.name), f"--{field.name.replace('_', '-')}"
        if value == field.default and field.default is not MISSING and field.name != always:
            continue
        if value is True:
            words.append(name)
        elif field.name in repeated:
            words += [word for one in value for word in (repeated[field.name], str(one))]
        elif isinstance(value, tuple):
            words += [name, ",".join(map(str, value))]
        else:
            words += [name, value.name if isinstance(value, Path) and value.is_absolute() else str(value)]
    return words
