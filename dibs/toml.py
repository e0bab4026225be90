"""TOML files as validated objects, with errors that name the file and the field."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from dibs.errors import InputError

_Kind = TypeVar("_Kind", bound=BaseModel)


def read_toml(
    path: Path, absent: str = "Check the path.", malformed: str = "Correct it there."
) -> dict[str, Any]:
    """What a TOML file holds.

    Args:
        absent, malformed: What to do if there is no such file, and if it is not TOML.

    Raises:
        InputError: it cannot be read, or is not TOML (with the line).
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("there is no such file", where=str(path), todo=absent) from None
    except (OSError, UnicodeDecodeError) as error:
        todo = "Make it a text file in UTF-8 that you may read."
        raise InputError(f"cannot be read: {error}", where=str(path), todo=todo) from None
    except (ValueError, RecursionError) as error:  # also a number of 5,000 digits; 5,000 lists in each other
        raise InputError(f"is not TOML: {error}", where=str(path), todo=malformed) from None


def validated(kind: type[_Kind], values: dict[str, Any], where: str, todo: str) -> _Kind:
    """The values as an object of that kind.

    Raises:
        InputError: the first field that is wrong, by its name, and how many more are.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first, *others = error.errors()
        field = ".".join(str(part) for part in first["loc"]) or kind.__name__
        more = f" (and {len(others)} more)" if others else ""
        raise InputError(f"field {field!r}: {first['msg']}{more}", where=where, todo=todo) from None
