from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from dibs.errors import DibsError, InputError, MissingError, ProviderError
from dibs.llm.limiter import Limiter
from dibs.retrieval.rerank import rerank
from dibs.retrieval.rerankers.api import HOPELESS, NOTHING
from dibs.retrieval.rerankers.base import Pair, make_reranker
from dibs.retrieval.rerankers.endpoint import EndpointReranker
from dibs.retrieval.run import Run
from tests.api_server import DROPPED, Fault, status
from tests.retrieval.rerankers.server import (
    DOCUMENTS,
    KEY,
    PAIRS,
    QUERIES,
    QUICK,
    RerankServer,
    card,
    context,
    expected,
    scored,
)
from tests.toys import make_dataset


def endpoint(server: RerankServer, tmp_path: Path, **fields: Any) -> EndpointReranker:
    limiter = Limiter(start=fields.pop("most", 4), most=4)
    made = card("endpoint", **{"base_url": server.url} | fields)
    return EndpointReranker(made, context(tmp_path), limiter=limiter, patience=QUICK)


def test_each_query_is_one_request_with_all_its_documents(server: RerankServer, tmp_path: Path) -> None:
    reranker = endpoint(server, tmp_path)
    assert scored(reranker, PAIRS) == expected(PAIRS)
    assert server.queries() == sorted(QUERIES)
    assert reranker.failures == []
    assert reranker.billed_tokens == 100 * len(QUERIES)
    for asked in server.asked:
        assert asked.path == "/v1/rerank"
        assert asked.authorization == f"Bearer {KEY}"
        query = asked.query
        assert asked.body == {"model": "toy-1", "query": query, "documents": DOCUMENTS, "top_n": 4}


def test_tei_has_its_own_words_and_no_model(server: RerankServer, tmp_path: Path) -> None:
    reranker = endpoint(server, tmp_path, options={"path": "/rerank", "style": "tei"})
    assert scored(reranker, PAIRS[:4]) == expected(PAIRS[:4])
    (asked,) = server.asked
    assert asked.path == "/rerank"
    assert asked.body == {"query": QUERIES[0], "texts": DOCUMENTS, "truncate": True, "raw_scores": True}


@pytest.mark.parametrize(
    ("end", "path", "whole"),
    [
        ("", "/v1/rerank", "/v1/rerank"),
        ("/", "/v1/rerank", "/v1/rerank"),
        ("/v1", "/v1/rerank", "/v1/rerank"),
        ("/v1/", "/v1/rerank", "/v1/rerank"),
        ("", "/v2/rerank", "/v2/rerank"),
        ("/proxy", "rerank", "/proxy/rerank"),
        ("/v1", "/rerank", "/v1/rerank"),
    ],
)
def test_a_path_is_put_after_the_address(
    server: RerankServer, tmp_path: Path, end: str, path: str, whole: str
) -> None:
    scored(endpoint(server, tmp_path, base_url=server.url + end, options={"path": path}), PAIRS[:4])
    assert server.asked[0].path == whole


def test_further_fields_of_the_request_come_from_the_card(server: RerankServer, tmp_path: Path) -> None:
    options = {"request.return_documents": False, "request.max_tokens_per_doc": 512, "request.top_n": 9}
    scored(endpoint(server, tmp_path, options=options), PAIRS[:4])
    body = server.asked[0].body
    assert (body["return_documents"], body["max_tokens_per_doc"], body["top_n"]) == (False, 512, 9)


def test_requests_go_side_by_side(server: RerankServer, tmp_path: Path) -> None:
    server.together = 3
    assert scored(endpoint(server, tmp_path), PAIRS) == expected(PAIRS)
    assert server.most_at_once == 3


def test_more_queries_than_threads_are_all_asked(server: RerankServer, tmp_path: Path) -> None:
    pairs = [Pair(f"query {n}", document) for n in range(30) for document in DOCUMENTS[:2]]
    assert scored(endpoint(server, tmp_path), pairs) == expected(pairs)
    assert len(server.asked) == 30


def test_limits_of_a_request_split_a_query(server: RerankServer, tmp_path: Path) -> None:
    assert scored(endpoint(server, tmp_path, batch_size=3), PAIRS) == expected(PAIRS)
    assert sorted(len(asked.documents) for asked in server.asked) == [1, 1, 1, 3, 3, 3]
    server.asked.clear()
    # A query of 20 characters is 5 tokens, for each document anew; a document is 5 to 8 more, and of
    # the limit a half is used, since counts are estimates.
    assert scored(endpoint(server, tmp_path, batch_tokens=60), PAIRS) == expected(PAIRS)
    assert all(len(asked.documents) == 2 for asked in server.asked)


def test_documents_are_cut_to_the_lesser_limit(server: RerankServer, tmp_path: Path) -> None:
    long = Pair("q", "abcd" * 3000)
    for limit, kept in ((None, 2048), (8000, 2048), (10, 10)):
        scored(endpoint(server, tmp_path, max_tokens=limit), [long])
        assert server.asked.pop().documents == ["abcd" * kept]


def test_blank_texts_are_never_sent_and_come_last(server: RerankServer, tmp_path: Path) -> None:
    pairs = [Pair("q", ""), Pair("q", "a text"), Pair("q", " \n\t"), Pair(" ", "a text")]
    found = scored(endpoint(server, tmp_path), pairs)
    assert [found[pair] == NOTHING for pair in pairs] == [True, False, True, True]
    assert [asked.documents for asked in server.asked] == [["a text"]]


def test_nothing_to_score_asks_nobody_and_needs_no_key(
    server: RerankServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RERANK_API_KEY")
    reranker = endpoint(server, tmp_path, base_url="http://rerank.invalid")
    assert scored(reranker, []) == {}
    assert scored(reranker, [Pair("q", " ")]) == {Pair("q", " "): NOTHING}


PASSING = {
    "500": status(500),
    "429": status(429),
    "429 with a wish": status(429, Retry_After="0"),
    "503": status(503),
    "dropped": DROPPED,
    "not JSON": Fault(body=b"<html>"),
    "too few": Fault(change=lambda content: content | {"results": content["results"][1:]}),
    "NaN": Fault(
        change=lambda content: {
            "results": [row | {"relevance_score": float("nan")} for row in content["results"]]
        }
    ),
    "no index": Fault(
        change=lambda content: {
            "results": [{"relevance_score": row["relevance_score"]} for row in content["results"]]
        }
    ),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_what_may_pass_is_asked_again(server: RerankServer, tmp_path: Path, fault: Fault) -> None:
    server.faults[QUERIES[1]] = iter([fault, fault])
    reranker = endpoint(server, tmp_path)
    assert scored(reranker, PAIRS) == expected(PAIRS)
    assert server.queries() == sorted([*QUERIES, QUERIES[1], QUERIES[1]])
    assert reranker.failures == []


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_query_that_keeps_failing_is_passed_over_and_named(
    server: RerankServer, tmp_path: Path, fault: Fault
) -> None:
    server.faults[QUERIES[1]] = itertools.repeat(fault)
    reranker = endpoint(server, tmp_path)
    rest = [pair for pair in PAIRS if pair.query != QUERIES[1]]
    assert scored(reranker, PAIRS) == expected(rest)
    (line,) = reranker.failures
    assert repr(QUERIES[1]) in line
    assert server.queries().count(QUERIES[1]) == QUICK.attempts


def test_a_refused_query_is_asked_once_and_named_in_the_providers_words(
    server: RerankServer, tmp_path: Path
) -> None:
    server.faults[QUERIES[2]] = iter([status(400, "the query is too long")])
    reranker = endpoint(server, tmp_path)
    assert len(scored(reranker, PAIRS)) == 8
    (line,) = reranker.failures
    assert "answered 400: the query is too long" in line
    assert len(server.asked) == 3


def test_failures_stand_in_the_order_of_the_queries_and_are_of_the_last_stream(
    server: RerankServer, tmp_path: Path
) -> None:
    server.faults = {query: iter([status(400, query)]) for query in QUERIES}
    reranker = endpoint(server, tmp_path)
    assert scored(reranker, PAIRS) == {}
    assert [query in line for query, line in zip(QUERIES, reranker.failures, strict=True)] == [True] * 3
    assert scored(reranker, PAIRS) == expected(PAIRS)
    assert reranker.failures == []


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_key_stops_at_once(server: RerankServer, tmp_path: Path, code: int) -> None:
    pairs = [Pair(f"query {n}", document) for n in range(40) for document in DOCUMENTS]
    server.faults["query"] = itertools.repeat(status(code, f"no rights for {KEY}"))
    with pytest.raises(MissingError, match="RERANK_API_KEY") as caught:
        scored(endpoint(server, tmp_path), pairs)
    assert KEY not in str(caught.value)
    assert len(server.asked) <= 8


def test_a_missing_key_is_said_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MY_API_KEY", raising=False)
    made = card("endpoint", base_url="https://rerank.invalid", key="MY_API_KEY")
    with pytest.raises(MissingError, match="MY_API_KEY is not set"):
        scored(EndpointReranker(made, context(tmp_path)), PAIRS)


def test_a_server_on_this_machine_needs_no_key(
    server: RerankServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RERANK_API_KEY")
    assert scored(endpoint(server, tmp_path), PAIRS) == expected(PAIRS)
    assert {asked.authorization for asked in server.asked} == {None}


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (status(404, "no such path"), InputError, "answered 404: no such path"),
        (status(500, "out of memory"), ProviderError, "answered 500"),
        (DROPPED, ProviderError, "gave no reply"),
    ],
    ids=["404", "500", "dropped"],
)
def test_a_server_that_fails_every_query_is_given_up(
    server: RerankServer, tmp_path: Path, fault: Fault, kind: type[DibsError], words: str
) -> None:
    pairs = [Pair(f"query {n}", document) for n in range(200) for document in DOCUMENTS[:1]]
    server.faults["query"] = itertools.repeat(fault)
    with pytest.raises(kind, match=f"{HOPELESS} requests in a row failed.*{words}"):
        scored(endpoint(server, tmp_path), pairs)
    assert len(server.asked) < 20 * QUICK.attempts


def test_what_was_scored_before_it_is_given_up_is_given(server: RerankServer, tmp_path: Path) -> None:
    pairs = [Pair(f"query {n}", document) for n in range(40) for document in DOCUMENTS]
    bad = [f"query {n}" for n in range(10, 40)]
    server.faults = {f'"{query}"': itertools.repeat(status(400)) for query in bad}
    stream = endpoint(server, tmp_path, most=1).stream(pairs)
    got = [next(stream).positions.tolist() for _ in range(10)]
    with pytest.raises(InputError, match="in a row failed"):
        next(stream)
    assert sorted(itertools.chain(*got)) == list(range(40))


def test_whoever_stops_listening_stops_the_requests(server: RerankServer, tmp_path: Path) -> None:
    pairs = [Pair(f"query {n}", document) for n in range(200) for document in DOCUMENTS[:1]]
    stream = endpoint(server, tmp_path).stream(pairs)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    asked = len(server.asked)
    assert asked < 50
    assert server.queries() == sorted(set(server.queries()))


def test_settings_name_what_changes_a_score_and_no_key(server: RerankServer, tmp_path: Path) -> None:
    reranker = endpoint(server, tmp_path, key="RERANK_API_KEY", options={"request.x": 1})
    settings = reranker.settings()
    assert settings == {
        "adapter": "endpoint",
        "model": "toy-1",
        "max_tokens": 2048,
        "path": "/v1/rerank",
        "style": "cohere",
        "request": {"x": 1},
        "base_url": server.url,
    }
    assert KEY not in json.dumps(settings)


def test_failures_and_messages_never_show_the_key(server: RerankServer, tmp_path: Path) -> None:
    server.faults = {query: iter([status(400, f"bad {KEY} key")]) for query in QUERIES}
    reranker = endpoint(server, tmp_path)
    scored(reranker, PAIRS)
    assert len(reranker.failures) == 3
    assert KEY not in "".join(reranker.failures)


def test_a_reranked_run_leaves_no_key_in_any_file(server: RerankServer, tmp_path: Path) -> None:
    names = {f"q{n}": query for n, query in enumerate(QUERIES)}
    dataset = make_dataset(tmp_path / "data", {f"d{n}": text for n, text in enumerate(DOCUMENTS)}, names)
    run = Run.of({query: {"d0": 4, "d1": 3, "d2": 2, "d3": 1} for query in names}, list(names))
    server.faults[QUERIES[1]] = iter([status(400, f"wrong key {KEY}")])
    reranker = endpoint(server, tmp_path)
    done = rerank(reranker, run, dataset, "{text}", 4, tmp_path / "cache")
    assert done.failed == ["q1"]
    assert done.run.rankings["q1"] == run.rankings["q1"]
    again = rerank(reranker, run, dataset, "{text}", 4, tmp_path / "cache")
    assert (again.failed, again.scored, len(server.asked)) == ([], 4, 4)
    texts = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(texts) > 4
    assert not any(KEY.encode() in text for text in texts)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "where the server is"),
        ({"base_url": "https://name:secret@host"}, "not a plain http"),
        ({"base_url": "http://host", "options": {"stile": "tei"}}, "no option of the adapter endpoint"),
        ({"base_url": "http://host", "options": {"style": "te"}}, "no style of the adapter endpoint"),
    ],
)
def test_a_card_that_cannot_work_is_refused(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        make_reranker(card("endpoint", **fields), context(tmp_path))
    assert "secret" not in str(caught.value)


def test_the_cost_is_the_cards_price_of_the_billed_tokens(server: RerankServer, tmp_path: Path) -> None:
    reranker = endpoint(server, tmp_path, usd_per_million_tokens=50)
    scored(reranker, PAIRS)
    assert reranker.usd == pytest.approx(0.015)
    assert endpoint(server, tmp_path).usd is None
