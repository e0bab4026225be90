"""Addresses that a card leaves open: `${NAME}` where `base_url` begins is the environment's to fill."""

from __future__ import annotations

import os
import re

from dibs.errors import InputError, MissingError
from dibs.redact import is_secret_name

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_HOST = re.compile(r"(?:https?://)?\$\{[A-Za-z_][A-Za-z0-9_]*\}(?=[:/]|$)")


def unset_variables(url: str) -> list[str]:
    """The variables of an address that the environment does not have."""
    return [name for name in _VARIABLE.findall(url) if not os.environ.get(name, "").strip()]


def filled_in(url: str, where: str) -> str:
    """The address with the environment's values, each without a final slash.

    A card may not choose who is told a variable: it stands for the host, and for nothing behind it.

    Raises:
        InputError: a variable stands elsewhere, or is one for secrets.
        MissingError: a variable is not set.
    """
    rest = _HOST.sub("", url, count=1) if _HOST.match(url) else url
    if "${" in rest or any(map(is_secret_name, _VARIABLE.findall(url))):
        raise InputError(
            "base_url may begin with the variable of a host, and hold no other variable",
            where=where,
            todo="Such as ${MY_HOST}/v1; a key belongs into `key`.",
        )
    if lacking := unset_variables(url):
        raise MissingError(
            f"the environment variable {lacking[0]} is not set",
            where=where,
            todo=f"Set it to what stands for it in {url}: export {lacking[0]}=...",
        )
    return _VARIABLE.sub(lambda found: os.environ[found[1]].strip().rstrip("/"), url)
