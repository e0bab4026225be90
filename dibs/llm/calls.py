"""One request to a provider: when it is made again, and which error it ends in."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exponential, wait_random
from tenacity.wait import wait_base

from dibs.errors import DibsError, InputError, MissingError, ProviderError
from dibs.llm.limiter import Limiter, StoppedError
from dibs.llm.service import Service
from dibs.retry import date_of, seconds_asked

RESUME = "Run the same command again: what is done is kept, and only the rest is asked for."
REFUSALS = frozenset({429, 503, 529})
"""Statuses that say: too many requests (529 is Anthropic's)."""
_PASSING = frozenset({408, 409, 425}) | REFUSALS
_SPENT = frozenset({"insufficient_quota", "billing_hard_limit_reached"})

_T = TypeVar("_T")


class FailedCallError(Exception):
    """A request that brought no reply to use. Adapters raise it; `call` makes it one of our errors."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        code: str | None = None,
    ) -> None:
        """What happened.

        Args:
            message: The provider's words, or those of the library that sent the request.
            status: The HTTP status; None if no reply came.
            retry_after: Seconds that the provider asked to wait.
            code: The provider's own name of the error.
        """
        super().__init__(message)
        self.message, self.status, self.retry_after, self.code = message, status, retry_after, code


class MalformedReplyError(Exception):
    """A reply that is not what the provider's protocol says."""


class RefusedError(ProviderError):
    """The provider takes no more requests for now, and said so to the last attempt too."""


@dataclass(frozen=True)
class Patience:
    """How long a request is tried."""

    attempts: int = 8
    """Times a request is made, the first included."""
    malformed: int = 3
    """Replies that cannot be read, after which it is given up; each of them may be paid for."""
    wait: wait_base = wait_exponential(multiplier=0.5, max=60) + wait_random(0, 1)
    """Seconds between attempts: half a second, 1, 2, 4, ... 60, each up to a second longer by chance."""
    longest: float = 300.0
    """A Retry-After of more seconds is not waited for."""
    timeout: float = 120.0
    """Seconds without a byte after which an attempt has failed."""


def call(
    send: Callable[[], _T],
    service: Service,
    limiter: Limiter,
    patience: Patience,
    stop: threading.Event,
) -> _T:
    """What `send` returns, which is called under the limiter until it does or hope is gone.

    Args:
        stop: When it is set, nothing is tried again.

    Raises:
        MissingError: 401 or 403; the environment variable of the key is named.
        InputError: any other 4xx that does not pass; in the provider's words.
        ProviderError: the last attempt failed or its reply cannot be read.
        StoppedError: `stop` was set between two attempts.
    """
    malformed = 0

    def attempt() -> _T:
        with limiter.slot(stop) as slot:
            try:
                return send()
            except FailedCallError as failed:
                if failed.status in REFUSALS and not _is_final(failed, patience):
                    slot.refused(failed.retry_after)
                raise

    def enough(state: RetryCallState) -> bool:
        nonlocal malformed
        malformed += isinstance(_failure(state), MalformedReplyError)
        return malformed >= patience.malformed or state.attempt_number >= patience.attempts

    def pause(state: RetryCallState) -> float:
        failure = _failure(state)
        asked = failure.retry_after if isinstance(failure, FailedCallError) else None
        return max(patience.wait(state), asked or 0.0)

    def sleep(seconds: float) -> None:
        if stop.wait(seconds):
            raise StoppedError

    again = Retrying(
        retry=retry_if_exception(lambda error: _may_pass(error, patience)),
        stop=enough,
        wait=pause,
        sleep=sleep,
        reraise=True,
    )
    try:
        return again(attempt)
    except FailedCallError as failed:
        raise our_error(failed, service, again.statistics["attempt_number"]) from None
    except MalformedReplyError as error:
        problem = f"{service.provider} sent replies that cannot be read: {service.shown(str(error))}"
        raise ProviderError(problem, where=service.model, todo=RESUME) from None


def check_reply(status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Accept status 200 only.

    Raises:
        FailedCallError: any other; with the provider's words and wishes.
    """
    if status != 200:
        raise failure_of(status, headers, body)


def failure_of(status: int, headers: Mapping[str, str], body: bytes) -> FailedCallError:
    """A reply of another status than 200, with the provider's words and wishes."""
    message, code = _explained(body)
    return FailedCallError(message, status=status, retry_after=retry_after(headers), code=code)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a reply asks to wait: `retry-after-ms` (OpenAI's), else Retry-After (RFC 9110, or a
    fraction, which some send).
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if 0 <= seconds < math.inf:
            return seconds
    return seconds_asked(headers.get("retry-after", ""), date_of(headers))


def _explained(body: bytes) -> tuple[str, str | None]:
    """The message and code in an error's body: OpenAI's `error.message`, Voyage's `detail`, or its text."""
    text = body.decode("utf-8", errors="replace")
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text, None
    if not isinstance(content, dict):
        return text, None
    error = content.get("error")
    inner = error if isinstance(error, dict) else content
    message = inner.get("message") or inner.get("detail") or (error if isinstance(error, str) else text)
    code = inner.get("code")
    return str(message), code if isinstance(code, str) else None


def _failure(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _is_final(failed: FailedCallError, patience: Patience) -> bool:
    too_long = failed.retry_after is not None and failed.retry_after > patience.longest
    return too_long or failed.code in _SPENT


def _may_pass(error: BaseException, patience: Patience) -> bool:
    if not isinstance(error, FailedCallError):
        return isinstance(error, MalformedReplyError)
    return is_passing(error) and not _is_final(error, patience)


def is_passing(failed: FailedCallError) -> bool:
    """Whether the same request may succeed later."""
    return failed.status is None or failed.status in _PASSING or failed.status >= 500


def our_error(failed: FailedCallError, service: Service, attempts: int) -> DibsError:
    """What the user is told of a request that failed for good, after so many attempts."""
    said = service.shown(failed.message)
    status, provider = failed.status, service.provider
    if status in (401, 403):
        # The words of a 401 are left out: providers put parts of the key into them.
        reason = "" if status == 401 else f": {said}"
        return MissingError(
            f"{provider} answered {status}{reason}",
            where=service.model,
            todo=f"Set {service.variable} to a key that may use this model.",
        )
    if failed.code in _SPENT:
        problem = f"the {provider} account has no quota left: {said}"
        return ProviderError(problem, where=service.model, todo=f"Add credit. {RESUME}")
    if status is not None and status < 500 and status not in _PASSING:
        problem = f"{provider} answered {status}: {said}"
        return InputError(problem, where=service.model, todo="Correct the model's card.")
    answer = "gave no reply" if status is None else f"answered {status}"
    wish = f" and asks to wait {failed.retry_after:,.0f} seconds" if (failed.retry_after or 0) >= 1 else ""
    times = "once" if attempts == 1 else f"{attempts} times"
    kind = RefusedError if status in REFUSALS else ProviderError
    return kind(f"{provider} {answer} (asked {times}){wish}: {said}", where=service.model, todo=RESUME)
