"""ManufactQA-Open from its repositories: a forum's archive, a FAQ and a help centre.

The card names the three, each at a commit, as `source.repositories.oem`, `.esp` and `.ard`. A folder with
the ready data in BEIR's layout is read as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from dibs.data.prepare import SourceData, SourceRequest
from dibs.data.repository import named_repository, repository_files
from dibs.data.sources import beir
from dibs.data.sources.manufactqa_open import faq, forum, help_centre
from dibs.data.sources.manufactqa_open.pairs import LeftOut, Pair, tables

__all__ = ["read"]


class _Maker(NamedTuple):
    """How one maker's questions and answers are read."""

    parts: tuple[str, ...]
    """Where they are in its repository."""
    wanted: Callable[[str], bool]
    pairs: Callable[[Mapping[str, bytes]], Iterable[Pair | LeftOut]]


_MAKERS = {
    "oem": _Maker(forum.PARTS, forum.is_topic, forum.pairs),
    "esp": _Maker(faq.PARTS, faq.is_page, faq.pairs),
    "ard": _Maker(help_centre.PARTS, help_centre.is_article, help_centre.pairs),
}


def read(request: SourceRequest) -> SourceData:
    """Each question as a query whose one relevant document is its answer.

    Raises:
        InputError: the card names not all repositories, or one has not what it should.
        ProviderError, DamagedError: an archive could not be fetched; those that were are kept.
    """
    if beir.is_ready(request.folder):
        return beir.read(request)
    found = []
    for name, maker in _MAKERS.items():
        repository = named_repository(request.card, name)
        files = repository_files(request, repository, maker.parts, maker.wanted)
        found.append((name, repository.name, maker.pairs(files)))
    return tables(found)
