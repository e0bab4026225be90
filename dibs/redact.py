"""What may be shown of a text: no key, no password. The one place where they are cut out."""

from __future__ import annotations

import os
import re
from urllib.parse import quote, unquote, urlsplit

SHORTEST = 6
"""Characters of the shortest value that is looked for; `none` and `EMPTY` are no keys."""

_NAME = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_USER = re.compile(r"(?<=://)[^/\s@'\"<>]+(?=@)")
_SCHEME = re.compile(r"\b(Bearer|Basic)\s+[\w+/=.~-]{6,}", re.IGNORECASE)


def is_secret_name(variable: str) -> bool:
    """Whether an environment variable of that name is taken to hold a secret."""
    return _NAME.search(variable) is not None


def redacted(text: str) -> str:
    """The text without the secrets of the environment, as they are or percent-encoded; without names and
    passwords in addresses, and without what follows Bearer or Basic, as a header has it.
    """
    for value, name in _secrets().items():
        if value in text:
            text = text.replace(value, f"${name}")
    return _SCHEME.sub(r"\1 ***", _USER.sub("***", text))


def _secrets() -> dict[str, str]:
    """Values and the variables that hold them, the longest first, since one may be a part of another."""
    found: dict[str, str] = {}
    for name, whole in os.environ.items():
        if name.lower() in _PROXIES:
            value = _password(whole)
        elif is_secret_name(name):
            value = whole.strip()
        else:
            continue
        if len(value) >= SHORTEST:
            found |= {value: name, quote(value, safe=""): name}
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


def _password(address: str) -> str:
    try:
        return unquote(urlsplit(address).password or "")
    except ValueError:
        return ""
