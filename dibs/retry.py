"""When a request is made again and how long to wait before: one policy for everything that is fetched."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter
from tenacity.wait import wait_base

from dibs.errors import DamagedError, InputError, MissingError, ProviderError

RESUME = "Run the same command again: what was fetched is kept, and the rest resumes."
_BUSY = frozenset({408, 425, 429})
_T = TypeVar("_T")


class BusyError(ProviderError):
    """The server asked to come back later: 408, 425, 429 or 5xx."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"the server answered {_status(response)}", where=str(response.url), todo=RESUME)
        self.status = response.status_code
        self.retry_after = seconds_asked(response.headers.get("Retry-After", ""), date_of(response.headers))


@dataclass(frozen=True)
class RetryAfter(wait_base):
    """Waits as long as the server asked, but at most `longest` seconds; else as `otherwise` says."""

    otherwise: wait_base
    longest: float = 120.0

    def __call__(self, retry_state: RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        if isinstance(error, BusyError) and error.retry_after is not None:
            return min(error.retry_after, self.longest)
        return self.otherwise(retry_state)


POLITE = RetryAfter(wait_exponential_jitter(initial=1, max=60, jitter=2))
"""About 1, 2, 4, ... 60 seconds, each up to 2 seconds longer by chance."""


def with_retries(
    call: Callable[[], _T],
    url: str,
    *,
    attempts: int,
    wait: wait_base,
    sleep: Callable[[float], None] = time.sleep,
) -> _T:
    """What `call` returns; it is called again after what may pass: no connection, a timeout, a busy
    server, damaged bytes.

    Args:
        url: Named in errors.
        attempts: The first included.
        wait: Seconds between attempts.
        sleep: How to wait them.

    Raises:
        InputError: The address cannot be used.
        ProviderError: The last attempt got no whole answer.
        DibsError: Whatever else `call` raises, at once or in the last attempt.
    """
    again = Retrying(
        retry=retry_if_exception(_may_pass),
        stop=stop_after_attempt(attempts),
        wait=wait,
        sleep=sleep,
        reraise=True,
    )
    try:
        return again(call)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise InputError(f"the address cannot be used: {error}", where=url) from error
    except httpx.RequestError as error:
        problem = f"no whole answer came ({type(error).__name__}: {error})"
        raise ProviderError(problem, where=url, todo=RESUME) from error


def connected(make: Callable[[], _T]) -> _T:
    """The HTTP client that `make` makes, which reads the proxies of the environment.

    Raises:
        InputError: one of them cannot be used.
    """
    try:
        return make()
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        todo = "Correct or unset HTTPS_PROXY, HTTP_PROXY and ALL_PROXY."
        raise InputError(f"the environment's proxy cannot be used: {error}", todo=todo) from None


def check_status(response: httpx.Response) -> None:
    """Accept 200 only.

    Raises:
        BusyError: 408, 425, 429 or 5xx.
        MissingError: any other 4xx.
        ProviderError: anything else that is not 200.
    """
    status, where = response.status_code, str(response.url)
    if status in _BUSY or status >= 500:
        raise BusyError(response)
    if status >= 400:
        todo = "Check that the address is right and open to you."
        raise MissingError(f"the server answered {_status(response)}", where=where, todo=todo)
    if status != 200:
        raise ProviderError(f"the server answered {_status(response)}, which brings no content", where=where)


def seconds_asked(retry_after: str, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for, as a count or an HTTP date; None if it is neither."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())


def date_of(headers: Mapping[str, str]) -> datetime:
    """When a reply was sent, by the server's own clock (RFC 9110, 6.6.1): what it says of dates is by that
    one, and ours may be hours off. Ours where it does not say.
    """
    try:
        sent = parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return datetime.now(UTC)
    return sent.replace(tzinfo=sent.tzinfo or UTC)


def _status(response: httpx.Response) -> str:
    return f"{response.status_code} {response.reason_phrase}".rstrip()


def _may_pass(error: BaseException) -> bool:
    ours = isinstance(error, (httpx.UnsupportedProtocol, httpx.LocalProtocolError))
    return isinstance(error, (httpx.TransportError, BusyError, DamagedError)) and not ours
