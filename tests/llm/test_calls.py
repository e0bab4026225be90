from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from tenacity import wait_none
from tenacity.wait import wait_base

from dibs.errors import DibsError, InputError, MissingError, ProviderError
from dibs.llm.calls import (
    FailedCallError,
    MalformedReplyError,
    Patience,
    call,
    check_reply,
    retry_after,
)
from dibs.llm.limiter import Limiter, StoppedError
from dibs.llm.service import Service

KEY = "sk-very-secret"
SERVICE = Service("small", "OpenAI", "MY_KEY", KEY)
QUICK = Patience(attempts=4, malformed=2, wait=wait_none())


def run(*outcomes: Exception | str, patience: Patience = QUICK, stop: threading.Event | None = None) -> str:
    """What a call makes of these outcomes; all must be used."""
    left = list(outcomes)

    def send() -> str:
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    try:
        return call(send, SERVICE, Limiter(), patience, stop or threading.Event())
    finally:
        assert not left


def failed(status: int | None, message: str = "no", **more: str | float | None) -> FailedCallError:
    return FailedCallError(message, status=status, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [None, 408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_tried_again(status: int | None) -> None:
    assert run(failed(status), failed(status), failed(status), "good") == "good"


@pytest.mark.parametrize("status", [None, 429, 500])
def test_after_all_attempts_it_is_the_providers_error(status: int | None) -> None:
    with pytest.raises(
        ProviderError, match=r"small: OpenAI .*asked 4 times.*: no\n  Run the same command again"
    ):
        run(*[failed(status)] * 4)


@pytest.mark.parametrize("status", [400, 404, 413, 422, 301])
def test_what_the_user_must_correct_is_not_tried_again(status: int) -> None:
    with pytest.raises(InputError, match=rf"^small: OpenAI answered {status}: too long\n") as caught:
        run(failed(status, "too  long"))
    assert not isinstance(caught.value, MissingError)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_not_accepted_is_named_by_its_variable(status: int) -> None:
    with pytest.raises(MissingError, match="MY_KEY") as caught:
        run(failed(status, f"the key {KEY} is wrong"))
    assert KEY not in str(caught.value)


def test_a_403_gives_the_reason_and_a_401_does_not() -> None:
    with pytest.raises(MissingError, match="403: not in your country"):
        run(failed(403, "not in your country"))
    with pytest.raises(MissingError) as caught:
        run(failed(401, "incorrect key sk-ve********ret"))
    assert "sk-ve" not in str(caught.value)


@pytest.mark.parametrize("status", [None, 400, 403, 500])
def test_the_key_is_cut_out_of_every_message(status: int | None) -> None:
    failures = [failed(status, f"header 'Bearer {KEY}' {'x' * 1000}")] * (1 if status in (400, 403) else 4)
    with pytest.raises(DibsError) as caught:
        run(*failures)
    assert "Bearer $MY_KEY" in str(caught.value)
    assert KEY not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert KEY not in repr(SERVICE)


def test_malformed_replies_have_a_bound_of_their_own() -> None:
    bad = MalformedReplyError("3 vectors for 4 texts")
    assert run(failed(500), failed(500), bad, "good") == "good"
    with pytest.raises(ProviderError, match="cannot be read: 3 vectors for 4 texts"):
        run(bad, failed(500), bad)


def test_other_errors_pass_through_at_once() -> None:
    with pytest.raises(ZeroDivisionError):
        run(ZeroDivisionError())


def test_an_account_without_quota_is_not_waited_for() -> None:
    with pytest.raises(ProviderError, match="no quota left: pay\n  Add credit"):
        run(failed(429, "pay", code="insufficient_quota"))


def test_a_retry_after_that_is_too_long_is_not_waited_for() -> None:
    with pytest.raises(ProviderError, match=r"asked once\) and asks to wait 86,400 seconds"):
        run(failed(429, retry_after=86_400.0))


class Waits(wait_base):
    """Waits 3 ms, and says so."""

    def __call__(self, retry_state: object) -> float:
        return 0.003


@pytest.mark.parametrize(("asked", "waits"), [(None, 0.003), (0.001, 0.003), (0.02, 0.02)])
def test_the_longer_of_back_off_and_retry_after_is_waited(
    asked: float | None, waits: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()
    waited: list[float] = []

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        return False

    monkeypatch.setattr(stop, "wait", wait)
    run(failed(500, retry_after=asked), "good", patience=Patience(wait=Waits()), stop=stop)
    assert waited == [waits]


def test_the_usual_back_off_grows_and_is_bounded() -> None:
    class State:
        attempt_number = 1

    state, patience, waits = State(), Patience(), []
    for state.attempt_number in range(1, 12):
        waits.append(patience.wait(state))  # type: ignore[arg-type]
    assert 0.5 <= waits[0] <= 1.5
    assert all(0.5 * 2**n <= wait <= 0.5 * 2**n + 1 for n, wait in enumerate(waits[:6]))
    assert max(waits) <= 61


def test_when_stopped_nothing_is_tried_again() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        run(stop=stop)


def test_a_stop_ends_the_wait_for_the_next_attempt() -> None:
    stop = threading.Event()

    def send() -> str:
        stop.set()
        raise failed(500)

    with pytest.raises(StoppedError):
        call(send, SERVICE, Limiter(), Patience(), stop)


@pytest.mark.parametrize("status", [429, 503, 529])
def test_refusals_slow_the_limiter_down(status: int) -> None:
    limiter = Limiter(start=4)
    left: list[Exception | None] = [failed(status), None]

    def send() -> None:
        if error := left.pop(0):
            raise error

    call(lambda: None, SERVICE, limiter, QUICK, threading.Event())
    assert limiter.rate is None
    call(send, SERVICE, limiter, QUICK, threading.Event())
    assert limiter.rate is not None


def test_other_failures_do_not() -> None:
    limiter = Limiter()
    with pytest.raises(InputError):
        call(lambda: check_reply(400, {}, b""), SERVICE, limiter, QUICK, threading.Event())
    assert limiter.rate is None
    assert limiter.under_way == 0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "12"}, 12),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "1"}, 1),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "later"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
    ],
)
def test_what_a_retry_after_may_be(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_retry_after_may_be_a_date() -> None:
    until = datetime.now(UTC) + timedelta(seconds=30)
    assert retry_after({"retry-after": format_datetime(until, usegmt=True)}) == pytest.approx(30, abs=2)


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ({"error": {"message": "too long", "code": "max_tokens"}}, "too long", "max_tokens"),
        ({"error": {"message": "too long", "code": 400}}, "too long", None),
        ({"error": "too long"}, "too long", None),
        ({"detail": "too long"}, "too long", None),
        ({"message": "too long", "code": "x"}, "too long", "x"),
        (["too long"], '["too long"]', None),
        ({"reason": 1}, '{"reason": 1}', None),
    ],
)
def test_the_providers_words_are_found(body: object, message: str, code: str | None) -> None:
    with pytest.raises(FailedCallError) as caught:
        check_reply(400, {"retry-after": "2"}, json.dumps(body).encode())
    error = caught.value
    assert (error.message, error.code, error.status, error.retry_after) == (message, code, 400, 2)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 100_000])
def test_words_that_are_no_json_are_taken_as_they_are(body: bytes) -> None:
    with pytest.raises(FailedCallError) as caught:
        check_reply(502, {}, body)
    assert caught.value.message == body.decode(errors="replace")


def test_a_good_reply_is_accepted() -> None:
    check_reply(200, {}, b"{}")
