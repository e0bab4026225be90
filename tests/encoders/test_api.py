"""What both API encoders do, over real connections to a server on this machine."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import numpy as np
import pytest

from dibs.encoders.base import EncodedBatch, IntArray
from dibs.encoders.voyage import VoyageEncoder
from dibs.errors import InputError, MissingError
from tests.api_server import Fault
from tests.encoders.api_encoders import KEY, Make, expected, texts
from tests.encoders.api_server import SHUFFLED, ApiServer


def test_vectors_stand_where_their_texts_do(make: Make, server: ApiServer) -> None:
    encoder = make()
    np.testing.assert_allclose(encoder.encode(texts(30), "document"), expected(encoder, texts(30)), rtol=1e-6)
    assert server.paid == Counter(texts(30))
    assert len(server.asked) == 8


def test_each_batch_says_which_texts_it_holds(make: Make) -> None:
    encoder = make()
    batches = list(encoder.stream(texts(10), "document"))
    assert sorted(len(batch.positions) for batch in batches) == [2, 4, 4]
    for batch in batches:
        wanted = [texts(10)[place] for place in batch.positions]
        np.testing.assert_allclose(batch.vectors, expected(encoder, wanted), rtol=1e-6)
        assert batch.vectors.dtype == np.float32


def test_vectors_keep_their_length_if_the_card_says_so(make: Make) -> None:
    encoder = make(normalise=False)
    lengths = np.linalg.norm(encoder.encode(texts(3), "document"), axis=1)
    assert not np.allclose(lengths, 1)


def test_a_shuffled_reply_is_put_in_order(make: Make, server: ApiServer) -> None:
    server.faults = [SHUFFLED]
    encoder = make()
    np.testing.assert_allclose(encoder.encode(texts(4), "document"), expected(encoder, texts(4)), rtol=1e-6)


def test_blank_texts_are_zero_and_not_sent(make: Make, server: ApiServer) -> None:
    encoder = make(document_prompt="passage: ")
    vectors = encoder.encode(["", "a", " \n\t", "b", "\u3000"], "document")
    assert not vectors[[0, 2, 4]].any()
    np.testing.assert_allclose(vectors[[1, 3]], expected(encoder, ["passage: a", "passage: b"]), rtol=1e-6)
    assert server.paid == Counter(["passage: a", "passage: b"])


def test_nothing_is_asked_where_nothing_is_to_be_sent(
    make: Make, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DIBS_TEST_API_KEY")
    encoder = make(base_url="https://embeddings.invalid/v1")
    assert encoder.encode([], "query").shape == (0, 8)
    assert not encoder.encode(["", " "], "query").any()
    assert encoder.settings("query")["model"] == "toy"
    assert not server.asked


def test_the_key_is_looked_for_when_the_first_text_is_sent(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DIBS_TEST_API_KEY")
    encoder = make(base_url="https://embeddings.invalid/v1")
    with pytest.raises(MissingError, match="toy: the environment variable DIBS_TEST_API_KEY is not set"):
        encoder.encode(["a"], "query")


def test_the_key_is_sent_and_none_is_to_a_local_server_without(
    make: Make, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = make()
    encoder.encode(["a"], "query")
    monkeypatch.delenv("DIBS_TEST_API_KEY")
    encoder.encode(["b"], "query")
    assert [asked.authorization for asked in server.asked] == [f"Bearer {KEY}", "Bearer none"]


# Packing


def test_requests_hold_as_many_texts_as_the_card_allows(make: Make, server: ApiServer) -> None:
    make(batch_size=7).encode(texts(20), "document")
    assert sorted(len(asked.texts) for asked in server.asked) == [6, 7, 7]


def test_requests_hold_as_many_tokens_as_the_card_allows(make: Make, server: ApiServer) -> None:
    sizes = [10, 30, 20, 5, 40, 50, 1, 1, 1]
    make(batch_size=100, batch_tokens=100).encode(
        [f"{n}" + "x" * (4 * size - 1) for n, size in enumerate(sizes)], "document"
    )
    sent = [[len(text) // 4 for text in asked.texts] for asked in server.asked]
    assert all(sum(pack) <= 50 for pack in sent)  # half of what is allowed: these are estimates
    assert sorted(sent) == sorted([[10, 30], [20, 5], [40], [50], [1, 1, 1]])


def test_a_text_larger_than_a_request_goes_alone(make: Make, server: ApiServer) -> None:
    make(batch_size=100, batch_tokens=20).encode(["a" * 4, "b" * 400, "c" * 4], "document")
    assert sorted(len(asked.texts) for asked in server.asked) == [1, 1, 1]


def test_exact_tokens_are_packed_to_the_full_and_reported_whole(
    make: Make, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Letters:
        exact = True

        def count(self, texts: list[str]) -> list[int]:
            return [len(text) for text in texts]

        def cut(self, text: str, limit: int) -> str:
            return text[:limit]

    monkeypatch.setattr("dibs.encoders.api.make_tokenizer", lambda name: Letters())
    encoder = make(batch_size=100, batch_tokens=20, max_tokens=10, query_prompt="q: ")
    batches = list(encoder.stream(["short", "", "a long text"], "query"))
    tokens = {
        int(place): int(count)
        for batch in batches
        for place, count in zip(batch.positions, _counted(batch), strict=True)
    }
    assert tokens == {0: 8, 1: 0, 2: 14}
    assert [asked.texts for asked in server.asked] == [["q: short", "q: a long "]]


def _counted(batch: EncodedBatch) -> IntArray:
    assert batch.tokens is not None
    return batch.tokens


def test_estimated_tokens_are_not_reported(make: Make) -> None:
    assert {batch.tokens is None for batch in make().stream(["a", ""], "document")} == {True}


@pytest.mark.parametrize(("own", "task", "limit"), [(10, 2048, 10), (None, 20, 20), (30, 20, 20)])
def test_texts_are_cut_to_the_smaller_limit(
    make: Make, server: ApiServer, own: int | None, task: int, limit: int
) -> None:
    encoder = make(max_tokens=own, task_limit=task)
    assert encoder.max_tokens == limit
    encoder.encode(["x" * 1000], "document")
    assert server.asked[0].texts == ["x" * (4 * limit)]


def test_requests_are_sent_side_by_side(make: Make, server: ApiServer) -> None:
    server.together = 4
    make(batch_size=1).encode(texts(12), "document")
    assert server.most_at_once >= 4


def test_no_more_are_under_way_than_the_limiter_allows(make: Make, server: ApiServer) -> None:
    server.latency = 0.002
    make(batch_size=1, most=2).encode(texts(30), "document")
    assert server.most_at_once <= 2


def test_a_batch_is_given_before_the_last_has_come(make: Make, server: ApiServer) -> None:
    server.faults = [Fault(hang=True), None]
    stream = make(batch_size=1).stream(texts(2), "document")
    assert len(next(stream).positions) == 1
    server.closing.set()
    assert sum(len(batch.positions) for batch in stream) == 1


def test_a_stream_that_is_left_early_ends_what_it_began(make: Make, server: ApiServer) -> None:
    before = threading.active_count()
    server.latency = 0.002
    stream = make(batch_size=1, most=2).stream(texts(200), "document")
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert len(server.asked) < 100
    assert threading.active_count() <= before + 2  # the server's


# Cost


def test_what_was_billed_is_summed_up(make: Make, server: ApiServer) -> None:
    encoder = make(usd_per_million_tokens=0.5)
    assert (encoder.billed_tokens, encoder.usd) == (0, 0)
    encoder.encode(texts(30), "document")
    encoder.encode(texts(2), "query")
    assert encoder.billed_tokens == server.tokens > 0
    assert encoder.usd == pytest.approx(server.tokens * 0.5e-6)


def test_without_a_price_there_is_no_cost(make: Make) -> None:
    assert make().usd is None


@pytest.mark.parametrize("usage", [None, [], {}, {"total_tokens": "many"}, {"total_tokens": None}])
def test_a_server_that_says_nothing_of_usage_bills_nothing(
    make: Make, server: ApiServer, usage: object
) -> None:
    server.faults = [Fault(change=lambda content: content | {"usage": usage}, paid=True)]
    encoder = make()
    encoder.encode(["a"], "document")
    assert encoder.billed_tokens == 0


# Settings


def test_the_settings_hold_all_that_changes_a_vector(make: Make, server: ApiServer) -> None:
    encoder = make(model="small", query_prompt="{instruction}: ", tokenizer="characters", max_tokens=100)
    settings = encoder.settings("query")
    kind = settings.pop("input_type", None)
    assert kind == ("query" if isinstance(encoder, VoyageEncoder) else None)
    assert settings == {
        "adapter": encoder.adapter,
        "model": "small",
        "role": "query",
        "prompt": "Find it: ",
        "max_tokens": 100,
        "dimension": 8,
        "tokenizer": "characters",
        "normalise": True,
        "base_url": server.url,
    }


@pytest.mark.parametrize(
    "other",
    [
        {"model": "other"},
        {"document_prompt": "passage: "},
        {"max_tokens": 7},
        {"dimension": 4},
        {"tokenizer": "tiktoken:cl100k_base"},
        {"normalise": False},
        {"base_url": "http://localhost:1/v1"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_each_of_them_changes_the_fingerprint(make: Make, other: dict[str, Any]) -> None:
    assert make().fingerprint("document") != make(**other).fingerprint("document")
    assert make().fingerprint("document") != make().fingerprint("query")


@pytest.mark.parametrize("other", [{"key": "OTHER"}, {"batch_size": 9}, {"usd_per_million_tokens": 3.0}])
def test_nothing_else_does(make: Make, other: dict[str, Any]) -> None:
    assert make().fingerprint("document") == make(**other).fingerprint("document")


def test_the_providers_own_address_is_not_among_them(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert "base_url" not in make(base_url=None).settings("query")


def test_a_card_without_dimension_is_refused(make: Make) -> None:
    with pytest.raises(InputError, match="toy: an API model's card needs its dimension"):
        make(dimension=None)


def test_an_address_with_a_key_in_it_is_refused(make: Make) -> None:
    with pytest.raises(InputError, match="base_url") as caught:
        make(base_url=f"https://me:{KEY}@host/v1")
    assert KEY not in str(caught.value)


def test_an_option_that_nobody_knows_is_refused(make: Make) -> None:
    with pytest.raises(
        InputError, match=r"no option of toy is called 'send_dimension'\n  Did you mean send_dimensions"
    ):
        make(options={"send_dimension": True})
