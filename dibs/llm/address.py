"""Addresses that a card leaves open: `${NAME}` in `base_url` is the environment's to fill."""

from __future__ import annotations

import os
import re

from dibs.errors import MissingError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def unset_variables(url: str) -> list[str]:
    """The variables of an address that the environment does not have."""
    return [name for name in _VARIABLE.findall(url) if not os.environ.get(name, "").strip()]


def filled_in(url: str, where: str) -> str:
    """The address with the environment's values, each without a final slash.

    Raises:
        MissingError: a variable is not set.
    """
    if lacking := unset_variables(url):
        raise MissingError(
            f"the environment variable {lacking[0]} is not set",
            where=where,
            todo=f"Set it to what stands for it in {url}: export {lacking[0]}=...",
        )
    return _VARIABLE.sub(lambda found: os.environ[found[1]].strip().rstrip("/"), url)
