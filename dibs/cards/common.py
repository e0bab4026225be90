"""What all cards share: names, addresses, and how a wrong field is told."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints

from dibs.toml import validated

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Address = Annotated[str, StringConstraints(pattern=r"^https?://\S*[^/\s]$")]


class Frozen(BaseModel):
    """A card, or a part of one: never changed, and no field but those declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


_Kind = TypeVar("_Kind", bound=Frozen)


def filled(kind: type[_Kind], values: dict[str, Any], where: str) -> _Kind:
    """The card of these values.

    Args:
        where: What the values are from, as an error names it.

    Raises:
        InputError: a field is wrong or unknown, with its name and the nearest one there is.
    """
    todo = f"Correct the {kind.__name__} there."
    if strange := sorted(set(values) - set(kind.model_fields)):
        near = get_close_matches(strange[0].lower(), kind.model_fields, n=1)
        meant = f" For {strange[0]!r}, did you mean {near[0]}?" if near else ""
        todo += f"{meant} The fields are: {', '.join(kind.model_fields)}."
    return validated(kind, values, where, todo)
