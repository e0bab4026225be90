"""Where a provider is, and the key it is asked with; shared by all that talk to one."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from dibs.errors import InputError, MissingError
from dibs.keys import check_key, is_loopback, may_go, say_key
from dibs.redact import redacted

_LONGEST_MESSAGE = 300


@dataclass(frozen=True)
class Service:
    """Who is asked, as errors name them."""

    model: str
    provider: str
    variable: str
    """The environment variable of the key."""
    key: str | None = field(repr=False)
    """Never shown: it is cut out of whatever a provider says. None for a local server without one."""

    def shown(self, message: str) -> str:
        """The message as one short line without the key."""
        safe = redacted(message.replace(self.key, f"${self.variable}") if self.key else message)
        line = " ".join(safe.split()) or "no reason given"
        return line if len(line) <= _LONGEST_MESSAGE else line[:_LONGEST_MESSAGE] + "..."


def find_service(model: str, provider: str, url: str, named: str | None, usual: str) -> Service:
    """The service with the key that the environment holds; a server on this machine needs none.

    Args:
        named: The environment variable that the card names.
        usual: The adapter's own, where the card names none. To a host that it does not belong to, it is not
            sent, and no key is.

    Raises:
        InputError: the variable that the card names is not for that address, see `dibs.keys`.
        MissingError: there is no key, or it cannot be one.
    """
    if named is None and not may_go(usual, url):
        return Service(model, provider, "the variable that `key` in the card names", None)
    variable = named or usual
    check_key(variable, url, model)
    key = os.environ.get(variable, "").strip() or None
    if key is None and not is_loopback(url):
        raise MissingError(
            f"the environment variable {variable} is not set",
            where=model,
            todo=f"Set it to your key for {provider}: export {variable}=...",
        )
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
        raise MissingError(
            f"the environment variable {variable} holds what cannot be a key",
            where=model,
            todo="Set it to the key alone, without blanks or line ends.",
        )
    if key is not None:
        say_key(variable, url, model)
    return Service(model, provider, variable, key)


def plain_url(url: str, where: str) -> str:
    """The address without a final slash.

    Raises:
        InputError: it is not http(s)://HOST/PATH. Names, keys and queries are refused, because the
            address is shown and stored.
    """
    try:
        parts = urlsplit(url)
        plain = (
            parts.scheme in ("http", "https")
            and parts.hostname
            and "@" not in parts.netloc
            and not parts.query
        )
    except ValueError:
        plain = False
    if not plain:
        raise InputError(
            "base_url is not a plain http(s) address",
            where=where,
            todo="Give it as https://HOST/v1; a key belongs into the environment.",
        )
    return url.rstrip("/")
