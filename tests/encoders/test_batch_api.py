"""Documents that OpenAI's and Voyage's batches embed: the same vectors, in the same store."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tenacity import wait_none

from dibs.cards.model import ModelCard
from dibs.encoders.api import ApiEncoder
from dibs.encoders.base import EncoderContext
from dibs.encoders.embed import embed
from dibs.errors import DibsError, InputError, ProviderError
from dibs.llm.calls import Patience
from dibs.llm.limiter import Limiter
from dibs.llm.pending import PendingError
from tests.api_server import Payload, status
from tests.encoders.api_encoders import ENCODERS, KEY, texts
from tests.encoders.api_server import MALFORMED
from tests.llm.batch_server import BatchServer, good, serving

TEXTS = texts(5)
ALL = Counter(TEXTS)
Make = Callable[..., ApiEncoder]


@pytest.fixture
def server() -> Iterator[BatchServer]:
    with serving() as api:
        yield api


@pytest.fixture(params=ENCODERS)
def make(
    request: pytest.FixtureRequest, server: BatchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Make:
    """Makes an encoder of the server's model; words are the card's options."""
    monkeypatch.setenv("DIBS_TEST_API_KEY", KEY)

    def made(*, batch: bool = True, **options: Any) -> ApiEncoder:
        fields = {"dimension": 8, "base_url": server.url, "key": "DIBS_TEST_API_KEY", "options": options}
        prices = {"usd_per_million_tokens": 1.0, "batch_discount": 0.33}
        return ENCODERS[request.param](
            ModelCard.model_validate({"name": "toy", "adapter": request.param} | fields | prices),
            EncoderContext(cache=tmp_path / "cache", batch=batch),
            limiter=Limiter(),
            patience=Patience(attempts=3, wait=wait_none()),
        )

    return made


def embedded(encoder: ApiEncoder, folder: Path, texts: list[str] = TEXTS, times: int = 6) -> Any:
    """The vectors, by the same command given again until they are there."""
    for _ in range(times - 1):
        try:
            return embed(encoder, "document", texts, len(texts), folder).vectors()
        except PendingError:
            continue
    return embed(encoder, "document", texts, len(texts), folder).vectors()


def test_vectors_are_those_of_single_requests(make: Make, server: BatchServer, tmp_path: Path) -> None:
    found = embedded(make(), tmp_path / "batch")
    assert (server.paid, server.direct) == (ALL, Counter())
    np.testing.assert_array_equal(found, embedded(make(batch=False), tmp_path / "single"))
    assert make().fingerprint("document") == make(batch=False).fingerprint("document")
    embedded(make(batch=False), tmp_path / "batch")
    assert server.direct == ALL, "what a batch embedded is found by whoever asks"


def test_the_order_is_in_the_providers_form(make: Make, server: BatchServer, tmp_path: Path) -> None:
    embedded(encoder := make(), tmp_path)
    (batch,) = server.batches
    row = json.loads(server.files["file-1"].splitlines()[0])
    asked = {"model": "toy", "encoding_format": "base64"}
    if encoder.adapter == "openai":
        assert batch.order["completion_window"] == "24h"
        assert row["body"] == asked | {"input": [TEXTS[0]]}
        assert (row["method"], row["url"]) == ("POST", "/v1/embeddings")
    else:
        assert batch.order["completion_window"] == "12h"
        assert row.keys() == {"custom_id", "body"}
        assert row["body"] == {"input": [TEXTS[0]]}
        assert batch.order["request_params"] == asked | {"input_type": "document", "truncation": False}


def test_queries_are_not_made_to_wait(make: Make, server: BatchServer, tmp_path: Path) -> None:
    server.slow = True
    embed(make(), "query", TEXTS, 5, tmp_path)
    assert (server.direct, server.batches) == (ALL, [])


def test_the_discount_is_charged(make: Make, server: BatchServer, tmp_path: Path) -> None:
    encoder = make()
    embedded(encoder, tmp_path)
    assert encoder.billed_tokens == sum(len(text) // 4 for text in TEXTS)
    assert encoder.usd == pytest.approx(encoder.billed_tokens * 0.67e-6)
    assert encoder.batch_usd(1_000_000, "document") == pytest.approx(0.67)
    assert encoder.batch_usd(1_000_000, "query") == pytest.approx(1.0)


def test_windows_are_handed_over_together(
    make: Make, server: BatchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dibs.encoders.api._BATCH", 2)
    server.slow = True
    with pytest.raises(PendingError, match="3 in_progress; 0 of 5 requests done"):
        embed(make(), "document", TEXTS, 5, tmp_path)
    server.slow = False
    embedded(make(), tmp_path)
    assert (len(server.batches), server.paid) == (3, ALL)


def test_other_texts_the_next_time_find_what_is_under_way(
    make: Make, server: BatchServer, tmp_path: Path
) -> None:
    server.slow = True
    with pytest.raises(PendingError):
        embed(make(), "document", TEXTS[:3], 3, tmp_path)
    server.slow = False
    embedded(make(), tmp_path, [*TEXTS[::-1], "", TEXTS[0]])
    assert server.paid == ALL


_WRONG = {name: fault.change for name, fault in MALFORMED.items() if fault.change and "twice" not in name}


@pytest.mark.parametrize("name", _WRONG)
def test_a_malformed_vector_is_ordered_again(
    make: Make, server: BatchServer, tmp_path: Path, name: str
) -> None:
    change = _WRONG[name]
    assert change is not None
    spoilt: list[str] = []

    def reply(body: Payload) -> Payload:
        if body["input"] == [TEXTS[2]] and not spoilt:
            spoilt.append(name)
            made: Payload = change(good(body))
            return made
        return good(body)

    server.reply = reply
    if name == "one too short":  # of one vector: nothing tells it from another dimension
        with pytest.raises(InputError, match="dimension 7, the card says 8; 1 of 5 texts failed"):
            embedded(make(), tmp_path)
    else:
        with pytest.warns(UserWarning, match="1 times: a reply cannot be read"):
            embedded(make(), tmp_path)
    good_ones = embedded(make(), tmp_path)
    server.reply = good
    np.testing.assert_array_equal(good_ones, embedded(make(batch=False), tmp_path / "single"))
    assert max(server.paid.values()) == 2
    assert server.paid[TEXTS[2]] == 2


@pytest.mark.filterwarnings("ignore:127")
def test_texts_that_fail_for_good_do_not_lose_the_others(
    make: Make, server: BatchServer, tmp_path: Path
) -> None:
    server.broken = {TEXTS[1]: {"response": {"status_code": 500, "message": "oh no"}, "error": None}}
    with pytest.raises(
        ProviderError, match=r"failed in 3 batches, .* oh no.*; 1 of 1 texts failed\n  Run the same"
    ):
        embedded(make(), tmp_path)
    server.broken = {
        TEXTS[1]: {"response": {"status_code": 400, "body": {"detail": "too long"}}, "error": None}
    }
    with pytest.raises(InputError, match="answered 400: too long"):
        embedded(make(), tmp_path)
    server.broken = {}
    embedded(make(), tmp_path)
    assert server.paid == ALL


def test_a_run_that_is_killed_while_it_stores_pays_nothing_twice(
    make: Make, server: BatchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dibs.llm.batch.CHUNK", 2)
    with monkeypatch.context() as patched:
        stored = []

        def append(*args: Any) -> None:
            stored.append(args)
            if len(stored) == 2:
                raise KeyboardInterrupt
            original(*args)

        original: Any = __import__("dibs.encoders.vectors", fromlist=["x"]).VectorStore.append
        patched.setattr("dibs.encoders.vectors.VectorStore.append", append)
        with pytest.raises(KeyboardInterrupt):
            embedded(make(), tmp_path)
    embedded(make(), tmp_path)
    assert (len(server.batches), server.paid) == (1, ALL)


def test_a_refused_order_says_what_to_do(make: Make, server: BatchServer, tmp_path: Path) -> None:
    server.faults = {"order": [status(400, "this model has no batches")]}
    with pytest.raises(
        DibsError, match=r"answered 400: this model has no batches\n  Run without --batch-api"
    ):
        embedded(make(), tmp_path)
    embedded(make(), tmp_path)
    assert server.paid == ALL
