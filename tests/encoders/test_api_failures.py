"""What both API encoders do when the provider fails, and what is lost by it: nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tenacity import wait_none

from dibs.encoders.embed import embed
from dibs.errors import DibsError, InputError, MissingError, ProviderError
from dibs.llm.calls import Patience
from tests.api_server import DROPPED, TRUNCATED, Fault, status
from tests.encoders.api_encoders import KEY, Make, expected, texts
from tests.encoders.api_server import MALFORMED, WRONG_DIMENSION, ApiServer, serving

PASSING = {
    **{f"{code}": status(code) for code in (408, 409, 425, 429, 500, 502, 503, 504)},
    "Retry-After": status(429, Retry_After="0.01"),
    "Retry-After, no number": status(429, Retry_After="in a while"),
    "dropped": DROPPED,
    "truncated": TRUNCATED,
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_what_may_pass_is_asked_again(make: Make, server: ApiServer, fault: Fault) -> None:
    server.faults = [fault, fault]
    encoder = make()
    np.testing.assert_allclose(encoder.encode(["a"], "document"), expected(encoder, ["a"]), rtol=1e-6)
    assert len(server.asked) == 3
    assert server.paid == Counter(["a"])


def test_a_silent_server_is_asked_again_after_the_timeout(make: Make, server: ApiServer) -> None:
    server.faults = [Fault(hang=True)]
    make(Patience(wait=wait_none(), timeout=0.25)).encode(["a"], "document")
    assert len(server.asked) >= 2


def test_a_retry_after_is_heeded(make: Make, server: ApiServer) -> None:
    server.faults = [status(429, Retry_After="0.05")]
    make().encode(["a"], "document")
    first, second = server.asked
    assert second.at - first.at >= 0.05


@pytest.mark.parametrize("fault", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_reply_is_asked_for_again_twice(make: Make, server: ApiServer, fault: Fault) -> None:
    server.faults = [fault, fault]
    encoder = make()
    np.testing.assert_allclose(encoder.encode(texts(3), "document"), expected(encoder, texts(3)), rtol=1e-6)
    server.faults = [fault] * 3
    with pytest.raises(ProviderError, match=r"toy: 127.0.0.1:.* sent replies that cannot be read"):
        encoder.encode(texts(3), "document")
    assert not server.faults


def test_a_wrong_dimension_is_the_cards_fault_and_asked_once(make: Make, server: ApiServer) -> None:
    server.faults = [WRONG_DIMENSION]
    with pytest.raises(InputError, match=r"dimension 7, the card says 8\n  Correct `dimension`"):
        make().encode(["a"], "document")
    assert len(server.asked) == 1


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_key_is_named_by_its_variable(make: Make, server: ApiServer, code: int) -> None:
    server.faults = [status(code, f"Incorrect API key provided: {KEY}")]
    with pytest.raises(MissingError, match="DIBS_TEST_API_KEY"):
        make().encode(["a"], "document")
    assert len(server.asked) == 1


@pytest.mark.parametrize("code", [400, 404, 413, 422])
def test_what_the_provider_does_not_take_is_said_in_its_words(
    make: Make, server: ApiServer, code: int
) -> None:
    server.faults = [status(code, "this model's maximum context length is 8192 tokens")]
    with pytest.raises(InputError, match=f"answered {code}: this model's maximum context length"):
        make().encode(["a"], "document")
    assert len(server.asked) == 1


def test_nobody_there_is_the_providers_error(make: Make) -> None:
    with serving() as gone:
        pass
    with pytest.raises(ProviderError, match=r"gave no reply \(asked 3 times\)"):
        make(Patience(attempts=3, wait=wait_none()), base_url=gone.url).encode(["a"], "document")


def test_what_is_under_way_when_one_fails_is_still_given(make: Make, server: ApiServer) -> None:
    server.together = 3
    server.faults = [None, status(400), None]
    server.latency = 0.005
    given: list[str] = []

    def take() -> None:
        for batch in make(batch_size=1, most=3).stream(texts(20), "document"):
            given.extend(texts(20)[place] for place in batch.positions)

    with pytest.raises(InputError):
        take()
    assert Counter(given) == server.paid
    assert 2 <= len(given) < 20


def test_a_final_failure_says_how_far_it_came(make: Make, server: ApiServer) -> None:
    server.faults = [None, None, *[status(500, "overloaded")] * 8]
    with pytest.raises(
        ProviderError, match=r"^toy: 127.*answered 500 \(asked 8 times\): overloaded; 9 of 21 texts"
    ) as error:
        make(most=1).encode(["", *texts(20)], "document")
    assert "running" not in str(error.value)
    assert str(error.value).endswith(
        "Run the same command again: what is done is kept, and only the rest is asked for."
    )


# Through the store


def test_a_run_that_failed_resumes_and_pays_for_nothing_twice(
    make: Make, server: ApiServer, tmp_path: Path
) -> None:
    wanted = texts(60)
    server.faults = [*[None] * 5, *[status(500)] * 50]
    encoder = make(most=4)
    with pytest.raises(ProviderError, match="of 60 texts were done"):
        embed(encoder, "document", wanted, len(wanted), tmp_path)
    assert 20 <= sum(server.paid.values()) < 60
    server.faults = []
    done = embed(make(), "document", wanted, len(wanted), tmp_path)
    assert server.paid == Counter(wanted)
    np.testing.assert_allclose(done.vectors(), expected(encoder, wanted), rtol=1e-6)
    asked = len(server.asked)
    assert embed(make(), "document", wanted, len(wanted), tmp_path).encoded == 0
    assert len(server.asked) == asked


def test_a_stored_corpus_needs_no_key(
    make: Make, server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed(make(), "document", texts(5), 5, tmp_path)
    monkeypatch.delenv("DIBS_TEST_API_KEY")
    monkeypatch.setattr("dibs.llm.service.is_loopback", lambda url: False)
    assert embed(make(), "document", texts(5), 5, tmp_path).encoded == 0
    with pytest.raises(MissingError):
        embed(make(), "document", texts(6), 6, tmp_path)


def test_a_tenth_of_failures_loses_nothing_and_pays_nothing_twice(
    make: Make, server: ApiServer, tmp_path: Path
) -> None:
    wanted = ["", *texts(400), "text number 7"]
    server.chance = 0.1
    encoder = make(usd_per_million_tokens=1.0)
    done = embed(encoder, "document", wanted, len(wanted), tmp_path)
    assert len(server.asked) > 100
    assert server.paid == Counter(texts(400))
    assert encoder.billed_tokens == server.tokens
    np.testing.assert_allclose(done.vectors()[1:], expected(encoder, wanted[1:]), rtol=1e-6)


def test_the_key_reaches_no_file_and_no_message(
    make: Make,
    server: ApiServer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    messages = []
    leaks = [status(code, f"bad header: Bearer {KEY}") for code in (400, 401, 403, 404, 500)]
    for fault in [*leaks, Fault(body=KEY.encode()), Fault(500, KEY.encode()), DROPPED, None]:
        server.faults = [fault] * 8
        try:
            embed(make(), "document", texts(3), 3, tmp_path)
        except DibsError as error:
            messages += [str(error), repr(error), repr(vars(error))]
    embed(encoder := make(), "document", texts(9), 9, tmp_path)
    messages += [repr(encoder.settings("query")), repr(encoder), *capfd.readouterr(), caplog.text]
    assert len(messages) > 20
    assert all(KEY not in message for message in messages)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 3
    assert all(KEY.encode() not in path.read_bytes() for path in files)
