"""Which pairs go into one request, and the requests side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from itertools import groupby, islice
from typing import NamedTuple

import numpy as np

from dibs.encoders.base import IntArray
from dibs.errors import DibsError
from dibs.llm.limiter import StoppedError
from dibs.llm.tokens import CharacterTokenizer
from dibs.retrieval.rerankers.base import Pair
from dibs.retrieval.rerankers.replies import Reply


class Answer(NamedTuple):
    """A request that has ended."""

    request: IntArray
    """(n,) the places of its pairs."""
    result: Reply | DibsError


def pair_tokens(pairs: Sequence[Pair], longest: int) -> list[int]:
    """Tokens of each pair, estimated: those of its query, and of its document cut to `longest`."""
    count = CharacterTokenizer().count
    queries, documents = count([pair.query for pair in pairs]), count([pair.document for pair in pairs])
    return [query + min(longest, document) for query, document in zip(queries, documents, strict=True)]


def requests_for(
    pairs: Sequence[Pair],
    places: Sequence[int],
    *,
    longest: int,
    documents: int | None = None,
    tokens: int | None = None,
) -> list[IntArray]:
    """Places of the pairs of each request, in order; no request has two queries.

    Args:
        places: Those of the pairs that are asked for.
        longest: Tokens that a document is cut to.
        documents: In a request at most.
        tokens: In a request at most, where the query counts once for each document.
    """
    needs = pair_tokens(pairs, longest)
    most = tokens and tokens // 2  # dense texts have twice the tokens that are estimated
    requests: list[list[int]] = []
    for _, mine in groupby(places, key=lambda place: pairs[place].query):
        room = 0
        pack: list[int] = []
        for place in mine:
            if not pack or len(pack) == documents or (most is not None and needs[place] > room):
                requests.append(pack := [])
                room = most or 0
            pack.append(place)
            room -= needs[place]
    return [np.array(request, dtype=np.int64) for request in requests]


def answers(
    requests: Sequence[IntArray], ask: Callable[[IntArray], Reply], most: int, stop: threading.Event
) -> Iterator[Answer]:
    """Each request's answer as soon as it is there.

    Args:
        ask: Called from `most` threads at once.
        stop: When it is set, no more are sent; those under way are waited for and given.
    """
    coming = iter(requests)
    with ThreadPoolExecutor(most) as pool:
        waiting: dict[Future[Reply], IntArray] = {}
        try:
            while True:
                if not stop.is_set():  # few are handed over at a time: a large task has 200,000 pairs
                    new = islice(coming, 2 * most - len(waiting))
                    waiting |= {pool.submit(ask, request): request for request in new}
                if not waiting:
                    return
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    request = waiting.pop(future)
                    try:
                        yield Answer(request, future.result())
                    except (CancelledError, StoppedError):
                        continue
                    except DibsError as error:
                        yield Answer(request, error)
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
