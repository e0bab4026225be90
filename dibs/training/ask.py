"""Asking a chat model for objects: one request each, and a second one where the first cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from dibs.errors import DibsError, ProviderError
from dibs.llm.chat import ChatModel
from dibs.training.prompt import Prompt, read_object

Read = TypeVar("Read")


@dataclass(frozen=True)
class Told(Generic[Read]):
    """What a model said of one item, or why nothing could be made of it."""

    value: Read | None
    error: str | None = None


def ask_each(
    llm: ChatModel,
    prompt: Prompt,
    items: Sequence[Mapping[str, str]],
    read: Callable[[dict[str, object]], Read],
    label: str,
) -> list[Told[Read]]:
    """What the model says of each item, in their order.

    Args:
        items: What the prompt is filled with.
        read: Makes a value of an object; raises ValueError where it is not as asked for.

    Raises:
        ProviderError: every request failed; MissingError: no request can succeed.
    """
    told, failures = _asked(llm, prompt, items, range(len(items)), read, label)
    if items and len(failures) == len(items):
        first = failures[0]
        problem = f"all {len(items):,} requests failed; the first: {first.problem}"
        raise ProviderError(problem, where=first.where or llm.name, todo=first.todo)
    unread = [place for place, one in told.items() if isinstance(one, _Unread)]
    if unread:
        again, _ = _asked(llm, prompt, items, unread, read, f"{label}, once more", again=True)
        told |= again
    return [
        Told(None, f"asked twice: the reply {one.problem}") if isinstance(one, _Unread) else one
        for one in (told[place] for place in range(len(items)))
    ]


@dataclass(frozen=True)
class _Unread:
    problem: str


def _asked(
    llm: ChatModel,
    prompt: Prompt,
    items: Sequence[Mapping[str, str]],
    places: Sequence[int],
    read: Callable[[dict[str, object]], Read],
    label: str,
    *,
    again: bool = False,
) -> tuple[dict[int, Told[Read] | _Unread], list[DibsError]]:
    told: dict[int, Told[Read] | _Unread] = {}
    failures: list[DibsError] = []
    for one in llm.ask([prompt.request(items[place], again=again) for place in places], label):
        place = places[one.position]
        if isinstance(one.reply, DibsError):
            failures.append(one.reply)
            told[place] = Told(None, f"no reply: {one.reply.problem}")
            continue
        try:
            told[place] = Told(read(read_object(one.reply)))
        except ValueError as error:
            told[place] = _Unread(str(error))
    return told, failures
