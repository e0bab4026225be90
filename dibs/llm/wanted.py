"""Which replies are wanted: requests by the keys that they are kept under."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dibs.errors import InputError
from dibs.files import digest
from dibs.llm.chat import Asked
from dibs.llm.http import Payload

_FORMAT = 1
"""Changed when a kept reply is no longer what the same request would get."""


@dataclass
class Wanted:
    """Requests by their keys; equal ones have one."""

    bodies: dict[str, Payload] = field(default_factory=dict)
    positions: dict[str, list[int]] = field(default_factory=dict)
    faulty: list[Asked] = field(default_factory=list)
    """Those that have no key, with what is wrong."""


def wanted(bodies: Iterable[Payload], settings: Mapping[str, Any], name: str) -> Wanted:
    """The requests with these bodies, in their order.

    Args:
        settings: All else of a model that decides a reply.
        name: The model's, for errors.
    """
    found = Wanted()
    for position, body in enumerate(bodies):
        try:
            key = digest({"format": _FORMAT, "settings": settings, "request": body})
        except ValueError as error:  # half a surrogate pair; a number in a schema that is none
            problem = f"the request cannot be written as JSON: {error}"
            fault = InputError(problem, where=name, todo="Correct the text it is made of.")
            found.faulty.append(Asked(position, fault))
            continue
        found.bodies[key] = body
        found.positions.setdefault(key, []).append(position)
    return found
