from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tenacity import wait_none

from dibs.errors import DibsError, InputError, MissingError, ProviderError
from dibs.llm import parallel
from dibs.llm.calls import Patience
from dibs.llm.chat import ChatModel, Message, Reply, Request, Spent, Token
from dibs.llm.engine import HOPELESS
from tests.api_server import DROPPED, TRUNCATED, Fault, status
from tests.llm.chat_server import KEY, MALFORMED, QUICK, ChatServer, chat, completion, question, serving
from tests.toys import ROOT

SCHEMA = {"type": "object", "properties": {"verdict": {"type": "string"}}, "required": ["verdict"]}
TEN = [question(f"question {n}") for n in range(10)]


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with serving() as api:
        yield api


def results(model: ChatModel, requests: Sequence[Request]) -> list[Reply | DibsError]:
    """In the requests' order; each came once."""
    found = {asked.position: asked.reply for asked in model.ask(requests)}
    assert sorted(found) == list(range(len(requests)))
    return [found[position] for position in range(len(requests))]


def replies(model: ChatModel, requests: Sequence[Request]) -> list[Reply]:
    found = [result for result in results(model, requests) if isinstance(result, Reply)]
    assert len(found) == len(requests)
    return found


def only(model: ChatModel, request: Request) -> Reply:
    return replies(model, [request])[0]


def error_of(model: ChatModel, request: Request) -> DibsError:
    (result,) = results(model, [request])
    assert isinstance(result, DibsError)
    return result


def test_it_sends_the_request_and_reads_the_reply(server: ChatServer, tmp_path: Path) -> None:
    model = chat(server, tmp_path, temperature=0.5, options={"request.seed": 7})
    asked = Request((Message("system", "be brief"), Message("user", "hello")), max_tokens=30)

    assert only(model, asked) == Reply("HELLO", "stop", 100, 10)
    assert [request.body for request in server.asked] == [
        {
            "model": "toy-1",
            "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}],
            "max_tokens": 30,
            "temperature": 0.5,
            "seed": 7,
        }
    ]
    assert server.asked[0].authorization is None


def test_a_schema_and_log_probabilities_are_asked_for(server: ChatServer, tmp_path: Path) -> None:
    reply = only(chat(server, tmp_path), question("yes", schema=SCHEMA, top_logprobs=2))

    body = server.asked[0].body
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
    }
    assert (body["logprobs"], body["top_logprobs"]) == (True, 2)
    assert reply.tokens == (Token("YES", -0.5, {"YES": -0.5, "no": -1.0}),)


def test_every_request_is_answered_and_paid_once(server: ChatServer, tmp_path: Path) -> None:
    model = chat(server, tmp_path)

    assert [reply.text for reply in replies(model, TEN)] == [f"QUESTION {n}" for n in range(10)]
    assert [reply.cached for reply in replies(model, TEN)] == [True] * 10
    usd = 10 * (100 * 1 / 1e6 + 10 * 10 / 1e6)
    assert replace(model.spent, usd=0) == Spent(10, 10, 0, 1000, 100, 0)
    assert model.spent.usd == pytest.approx(usd)

    again = chat(server, tmp_path)  # another process would do the same
    assert [reply.text for reply in replies(again, TEN)] == [f"QUESTION {n}" for n in range(10)]
    assert again.spent == Spent(0, 10, 0, 0, 0, 0.0)
    assert server.paid == {f"question {n}": 1 for n in range(10)}


def test_equal_requests_are_asked_once(server: ChatServer, tmp_path: Path) -> None:
    model = chat(server, tmp_path)
    found = replies(model, [question("a"), question("b"), question("a"), question("a", max_tokens=21)])

    assert [reply.text for reply in found] == ["A", "B", "A", "A"]
    assert [reply.cached for reply in found] == [False, False, True, False]
    assert server.paid == {"a": 2, "b": 1}
    assert (model.spent.requests, model.spent.cached) == (3, 1)


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "toy-2"},
        {"revision": "2"},
        {"temperature": 1.0},
        {"options": {"request.seed": 1}},
        {"options": {"json_schema": False}},
    ],
)
def test_what_changes_a_reply_is_asked_anew(
    server: ChatServer, tmp_path: Path, fields: dict[str, Any]
) -> None:
    only(chat(server, tmp_path), question("a"))
    assert not only(chat(server, tmp_path, **fields), question("a")).cached


def test_what_changes_no_reply_is_not(server: ChatServer, tmp_path: Path) -> None:
    only(chat(server, tmp_path), question("a"))
    other: dict[str, Any] = {
        "name": "other",
        "options": {"concurrency": 1, "timeout": 3},
        "usd_per_million_tokens": 7,
    }
    assert only(chat(server, tmp_path, **other), question("a")).cached


@pytest.mark.parametrize(
    "other",
    [
        question("a", max_tokens=21),
        question("a", schema=SCHEMA),
        question("a", top_logprobs=3),
        Request((Message("system", "a"),), 20),
        Request((Message("user", "a"), Message("user", "a")), 20),
    ],
)
def test_every_part_of_a_request_is_part_of_its_key(
    server: ChatServer, tmp_path: Path, other: Request
) -> None:
    only(chat(server, tmp_path), question("a"))
    assert not only(chat(server, tmp_path), other).cached


def test_another_server_is_asked_anew(server: ChatServer, tmp_path: Path) -> None:
    only(chat(server, tmp_path), question("a"))
    with serving() as other:
        assert not only(chat(other, tmp_path), question("a")).cached


@pytest.mark.parametrize(
    "fault",
    [status(500), status(429), status(503, Retry_After="0.01"), DROPPED, TRUNCATED, *MALFORMED.values()],
)
def test_a_fault_that_passes_is_tried_again(server: ChatServer, tmp_path: Path, fault: Fault) -> None:
    server.faults = [fault]
    model = chat(server, tmp_path)
    assert only(model, question("a")).text == "A"
    assert len(server.asked) == 2
    assert (model.spent.requests, model.spent.failed) == (1, 0)


def test_a_retry_after_is_waited_for(server: ChatServer, tmp_path: Path) -> None:
    server.faults = [status(429, Retry_After="0.3")]
    start = time.monotonic()
    only(chat(server, tmp_path), question("a"))
    assert time.monotonic() - start > 0.3


@pytest.mark.parametrize("fault", MALFORMED.values(), ids=MALFORMED)
def test_replies_that_cannot_be_read_end_in_an_error(
    server: ChatServer, tmp_path: Path, fault: Fault
) -> None:
    server.faults = [fault] * 3
    model = chat(server, tmp_path, Patience(attempts=8, malformed=3, wait=wait_none(), timeout=10))
    error = error_of(model, question("a"))

    assert isinstance(error, ProviderError)
    assert "replies that cannot be read" in error.problem
    assert len(server.asked) == 3
    assert not chat(server, tmp_path).estimate([question("a")]).cached


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda c: c | {"usage": None}, Reply("A", "stop", None, None)),
        (
            lambda c: c | {"usage": {"prompt_tokens": "x", "completion_tokens": 3}},
            Reply("A", "stop", None, 3),
        ),
        (lambda c: {"choices": [{"message": {"content": "b"}}]}, Reply("b", "stop", None, None)),
        (
            lambda c: {"choices": [{"message": {"content": None}, "finish_reason": "length"}]},
            Reply("", "length", None, None),
        ),
        (
            lambda c: {"choices": [{"message": {"content": None, "refusal": "I won't"}}]},
            Reply("I won't", "refusal", None, None),
        ),
        (
            lambda c: {
                "choices": [
                    {"message": {"content": [{"type": "reasoning"}, {"type": "text", "text": "parts"}]}}
                ]
            },
            Reply("parts", "stop", None, None),
        ),
    ],
)
def test_replies_of_other_forms_are_read(
    server: ChatServer, tmp_path: Path, change: Any, expected: Reply
) -> None:
    server.reply = lambda body: change(completion(body))
    model = chat(server, tmp_path)
    assert only(model, question("a")) == expected
    assert only(model, question("a")) == replace(expected, cached=True)
    assert model.spent.usd is None  # a reply that does not say its tokens may have cost anything


def test_one_failure_leaves_the_others(server: ChatServer, tmp_path: Path) -> None:
    server.broken = {"question 3": status(400, "the prompt is too long")}
    model = chat(server, tmp_path)
    found = results(model, TEN)

    assert isinstance(found[3], InputError)
    assert "the prompt is too long" in found[3].problem
    assert [n for n, result in enumerate(found) if isinstance(result, Reply)] == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert (model.spent.requests, model.spent.failed) == (10, 1)

    server.broken = {}
    assert [reply.cached for reply in replies(model, TEN)] == [True] * 3 + [False] + [True] * 6


def test_a_server_that_is_down_is_not_asked_for_long(server: ChatServer, tmp_path: Path) -> None:
    server.broken = {"question": status(500)}
    model = chat(server, tmp_path)
    hundred = [question(f"question {n}") for n in range(100)]
    found = results(model, hundred)

    assert all(isinstance(result, ProviderError) for result in found)
    assert sum("was not asked" in str(result) for result in found) > 50
    assert len(server.asked) < 3 * (HOPELESS + 8 + 1)
    assert model.spent.failed == 100


def test_random_failures_lose_nothing_and_cost_nothing_twice(server: ChatServer, tmp_path: Path) -> None:
    server.chance = 0.1
    patience = Patience(attempts=8, malformed=8, wait=wait_none(), timeout=10)
    requests = [question(f"question {n}") for n in range(300)]
    found = replies(chat(server, tmp_path, patience), requests)

    assert [reply.text for reply in found] == [f"QUESTION {n}" for n in range(300)]
    assert server.paid == {f"question {n}": 1 for n in range(300)}
    assert len(server.asked) > 310


def test_a_server_that_hangs_is_given_up(server: ChatServer, tmp_path: Path) -> None:
    server.faults = [Fault(hang=True)] * 2
    model = chat(server, tmp_path, replace(QUICK, attempts=2, timeout=0.1))
    assert "gave no reply (asked 2 times): ReadTimeout" in error_of(model, question("a")).problem


def test_no_server_at_all(tmp_path: Path) -> None:
    with serving() as gone:
        pass
    error = error_of(chat(gone, tmp_path), question("a"))
    assert isinstance(error, ProviderError)
    assert "ConnectError" in error.problem


def test_requests_run_side_by_side(server: ChatServer, tmp_path: Path) -> None:
    server.latency = 0.1
    replies(chat(server, tmp_path), TEN)
    assert 4 <= server.most_at_once <= 8


# what stops everything


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_key_stops_at_once(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setenv("TOY_KEY", KEY)
    server.broken = {"question": status(code, f"Incorrect API key provided: {KEY}")}
    model = chat(server, tmp_path, key="TOY_KEY")
    with pytest.raises(MissingError, match="TOY_KEY") as raised:
        results(model, [question(f"question {n}") for n in range(100)])
    assert KEY not in str(raised.value)
    assert len(server.asked) <= 8
    assert server.asked[0].authorization == f"Bearer {KEY}"


def test_what_is_cached_needs_no_key(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_KEY", KEY)
    only(chat(server, tmp_path, key="TOY_KEY"), question("a"))
    monkeypatch.delenv("TOY_KEY")
    assert only(chat(server, tmp_path, key="TOY_KEY"), question("a")).cached


def test_the_key_is_in_no_file_and_no_error(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_KEY", KEY)
    server.broken = {"b": status(400, f"{KEY} may not do that")}
    model = chat(server, tmp_path, key="TOY_KEY")
    _, failed = results(model, [question("a"), question("b")])
    assert isinstance(failed, InputError)
    assert KEY not in str(failed) + repr(model.settings()) + repr(vars(model))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert all(KEY.encode() not in path.read_bytes() for path in files)


def test_a_cache_that_cannot_be_written_stops_before_more_is_paid(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = chat(server, tmp_path)

    def full(*args: object) -> None:
        raise InputError("the disk is full")

    monkeypatch.setattr(model._cache, "put", full)
    with pytest.raises(InputError, match="disk is full"):
        results(model, [question(f"question {n}") for n in range(100)])
    assert len(server.asked) <= 8


def test_a_request_that_is_no_text_is_its_own_failure(server: ChatServer, tmp_path: Path) -> None:
    found = results(chat(server, tmp_path), [question("half \ud83d"), question("a")])
    assert isinstance(found[0], InputError)
    assert found[1] == Reply("A", "stop", 100, 10)


# being stopped


def test_a_closed_iterator_stops_and_keeps_what_came(server: ChatServer, tmp_path: Path) -> None:
    server.latency = 0.02
    model = chat(server, tmp_path)
    with closing(model.ask([question(f"question {n}") for n in range(500)])) as asked:  # type: ignore[type-var]
        for _ in range(10):
            next(asked)
    sent = len(server.asked)
    assert sent < 100
    assert chat(server, tmp_path).estimate([question(f"question {n}") for n in range(500)]).cached == sent


def test_closing_does_not_wait_for_a_server_that_hangs(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "GRACE", 0.2)
    server.broken = {"slow": Fault(hang=True)}
    asked = chat(server, tmp_path).ask([question("a"), question("slow")])
    next(asked)
    start = time.monotonic()
    asked.close()  # type: ignore[attr-defined]
    assert time.monotonic() - start < 2


_ASKS = """
import sys
from pathlib import Path
from tests.llm.chat_server import chat, question, ChatServer
model = chat(ChatServer(sys.argv[1]), Path(sys.argv[2]))
for asked in model.ask([question(f"question {n}") for n in range(200)]):
    print(asked.position, flush=True)
"""


def _asking(server: ChatServer, cache: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _ASKS, server.url, str(cache)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def test_a_killed_process_pays_for_nothing_twice(server: ChatServer, tmp_path: Path) -> None:
    server.latency = 0.02
    process = _asking(server, tmp_path)
    assert process.stdout is not None
    given = [int(process.stdout.readline()) for _ in range(40)]
    process.kill()
    process.communicate()
    time.sleep(0.1)  # until those that were under way are answered
    server.latency = 0
    model = chat(server, tmp_path)
    found = replies(model, [question(f"question {n}") for n in range(200)])

    assert [found[n].cached for n in given] == [True] * 40
    twice = {text: count for text, count in server.paid.items() if count > 1}
    assert len(twice) <= 8  # those that were under way
    assert not twice.keys() & {f"question {n}" for n in given}
    assert len(server.paid) == 200


def test_ctrl_c_ends_a_process_with_threads_under_way(server: ChatServer, tmp_path: Path) -> None:
    server.broken = {"question 1": Fault(hang=True)}  # and 10 to 19, and 100 to 199
    process = _asking(server, tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    _, said = process.communicate(timeout=20)
    assert time.monotonic() - start < parallel.GRACE + 5
    assert b"KeyboardInterrupt" in said
    assert process.returncode != 0


def test_two_processes_share_a_cache(server: ChatServer, tmp_path: Path) -> None:
    both = [_asking(server, tmp_path) for _ in range(2)]
    ends = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    assert all(len(out.splitlines()) == 200 for out, _ in ends)
    assert [reply.cached for reply in replies(chat(server, tmp_path), TEN)] == [True] * 10


# what a server does not take


def test_a_server_without_schemas_is_asked_without(server: ChatServer, tmp_path: Path) -> None:
    server.refuses = {"response_format": status(400, "unknown field")}
    model = chat(server, tmp_path)
    with pytest.warns(UserWarning, match=f"toy-1 at {server.url} refuses response_format.*unknown"):
        assert only(model, question("a", schema=SCHEMA)).text == "A"
    assert only(model, question("b", schema=SCHEMA)).text == "B"
    assert ["response_format" in request.body for request in server.asked] == [True, False, False]
    again = chat(server, tmp_path)
    assert only(again, question("a", schema=SCHEMA)).cached  # what was found out changes no key
    assert only(again, question("c", schema=SCHEMA)).text == "C"
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("field", "message", "left"),
    [
        ("logprobs", "logprobs are not supported", {}),
        ("logprobs", "bad request", {}),
        ("top_logprobs", "Extra inputs are not permitted: logprobs", {}),
        ("temperature", "Unsupported value: 'temperature' does not support 0", {}),
        (
            "max_tokens",
            "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
            {"max_completion_tokens": 20},
        ),
    ],
)
def test_other_fields_that_a_server_refuses(
    server: ChatServer, tmp_path: Path, field: str, message: str, left: dict[str, Any]
) -> None:
    server.refuses = {field: status(400, message)}
    model = chat(server, tmp_path)
    with pytest.warns(UserWarning, match="refuses"):
        reply = only(model, question("a", top_logprobs=2))
    assert reply.text == "A"
    body = server.asked[-1].body
    assert field not in body
    assert left.items() <= body.items()
    assert len(server.asked) == 2


def test_all_refusals_at_once(server: ChatServer, tmp_path: Path) -> None:
    server.refuses = {
        "max_tokens": status(400, "use max_completion_tokens"),
        "temperature": status(422, "temperature?"),
        "logprobs": status(400, "no"),
        "response_format": status(400, "no"),
    }
    with pytest.warns(UserWarning, match="refuses"):
        only(chat(server, tmp_path), question("a", top_logprobs=2, schema=SCHEMA))
    assert server.asked[-1].body.keys() == {"model", "messages", "max_completion_tokens"}


def test_a_refusal_of_two_together_is_taken_for_one(server: ChatServer, tmp_path: Path) -> None:
    server.refuses = {"logprobs": status(400, "logprobs are not given together with a response_format")}
    with pytest.warns(UserWarning, match="refuses logprobs"):
        only(chat(server, tmp_path), question("a", top_logprobs=2, schema=SCHEMA))
    assert "response_format" in server.asked[-1].body


def test_a_refusal_for_another_reason_teaches_nothing(server: ChatServer, tmp_path: Path) -> None:
    server.broken = {"long": status(400, "the prompt is too long")}
    model = chat(server, tmp_path)
    assert "too long" in error_of(model, question("long", schema=SCHEMA, top_logprobs=1)).problem
    only(model, question("a", schema=SCHEMA, top_logprobs=1))
    assert {"response_format", "logprobs"} <= server.asked[-1].body.keys()


def test_a_card_says_what_its_server_does_not_take(server: ChatServer, tmp_path: Path) -> None:
    options = {
        "json_schema": False,
        "logprobs": False,
        "temperature": False,
        "max_tokens_field": "max_completion_tokens",
    }
    only(chat(server, tmp_path, options=options), question("a", schema=SCHEMA, top_logprobs=3))
    assert [request.body.keys() for request in server.asked] == [
        {"model", "messages", "max_completion_tokens"}
    ]


# costs


def test_an_estimate_asks_nothing_and_counts_what_is_missing(server: ChatServer, tmp_path: Path) -> None:
    model = chat(server, tmp_path)
    only(model, question("question 1"))
    estimate = model.estimate([*TEN, question("question 2")])

    assert len(server.asked) == 1
    assert (estimate.requests, estimate.cached, estimate.exact) == (9, 2, False)
    assert estimate.prompt_tokens == 9 * (3 + 4 + 3)  # 10 characters, and what is around them
    assert estimate.completion_tokens == 9 * 20
    assert estimate.usd == pytest.approx((90 * 1 + 180 * 10) / 1e6)


def test_a_card_without_prices_has_no_costs(server: ChatServer, tmp_path: Path) -> None:
    model = chat(server, tmp_path, usd_per_million_output_tokens=None)
    assert model.estimate(TEN).usd is None
    only(model, TEN[0])
    assert model.spent == Spent(1, 0, 0, 100, 10, None)


def test_an_estimate_counts_with_the_cards_tokenizer(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"one": 0, "two": 1, "?": 2}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(tmp_path / "tokenizer.json"))
    model = chat(server, tmp_path, tokenizer=str(tmp_path))
    estimate = model.estimate([question("one two"), question("one", schema={"type": "null"})])
    schema_tokens = 3 + 1 + 2  # {" type ":" null "}
    assert estimate.exact
    assert estimate.prompt_tokens >= 2 * (4 + 3) + 3 + schema_tokens - 1

    # The variable itself is read when the hub's client is imported, and it asks for 20 seconds.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    gone = chat(server, tmp_path, tokenizer="nobody/has-this").estimate([question("one two")])
    assert (gone.exact, gone.prompt_tokens) == (False, 2 + 7)


# cards


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"temprature": False}, "temprature"),
        ({"json_schema": "no"}, "json_schema is 'no', not true or false"),
        ({"concurrency": 0}, "concurrency is 0, not a whole number above 0"),
        ({"concurrency": 1.5}, "concurrency is 1.5"),
        ({"concurrency": True}, "concurrency is True"),
        ({"timeout": -1}, "timeout is -1, not a number above 0"),
        ({"timeout": "long"}, "timeout is 'long'"),
        ({"max_tokens_field": "tokens"}, "tokens"),
    ],
)
def test_wrong_options_are_named(
    server: ChatServer, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        chat(server, tmp_path, options=options)


def test_an_address_that_is_the_users_own(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOY_HOST", raising=False)
    fields: dict[str, Any] = {"base_url": "${TOY_HOST}/v1"}
    with pytest.raises(MissingError, match="TOY_HOST is not set"):
        chat(server, tmp_path, **fields)
    monkeypatch.setenv("TOY_HOST", f"{server.url.removesuffix('/v1')}/")
    model = chat(server, tmp_path, **fields)
    assert only(model, question("a")).text == "A"
    assert model.settings()["base_url"] == server.url
    monkeypatch.setenv("TOY_HOST", "https://me:secret@host")
    with pytest.raises(InputError, match="not a plain http") as raised:
        chat(server, tmp_path, **fields)
    assert "secret" not in str(raised.value)


def test_a_card_without_an_address(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    own = chat(server, tmp_path, base_url=None)
    assert own.settings()["base_url"] == "https://api.openai.com/v1"
    with pytest.raises(MissingError, match="OPENAI_API_KEY is not set"):
        results(own, [question("a")])
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert only(chat(server, tmp_path, base_url=None), question("a")).text == "A"
    assert server.asked[0].authorization == f"Bearer {KEY}"


def test_openais_key_goes_to_no_other_server_unasked(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    only(chat(server, tmp_path), question("a"))
    assert server.asked[0].authorization is None
    server.broken = {"b": status(401, "who are you?")}
    with pytest.raises(MissingError, match="Set the variable that `key` in the card names"):
        results(chat(server, tmp_path), [question("b")])


def test_settings_are_json_and_tell_everything(server: ChatServer, tmp_path: Path) -> None:
    options = {"request.seed": 1, "concurrency": 2, "logprobs": False}
    settings = chat(server, tmp_path, revision="r", options=options).settings()
    assert json.loads(json.dumps(settings)) == {
        "adapter": "openai",
        "base_url": server.url,
        "model": "toy-1",
        "revision": "r",
        "temperature": 0.0,
        "options": {"logprobs": False, "request.seed": 1},
    }
