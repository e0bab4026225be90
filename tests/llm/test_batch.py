"""Batches of chat requests: nothing lost, nothing paid twice, whatever happens in between."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tenacity import wait_none

from dibs.errors import DamagedError, DibsError, InputError, MissingError, ProviderError
from dibs.llm.batch import ROUNDS
from dibs.llm.batch_api import BatchApi
from dibs.llm.batch_journal import Journal
from dibs.llm.batch_lines import read_line
from dibs.llm.cache import ReplyCache
from dibs.llm.calls import MalformedReplyError, Patience
from dibs.llm.chat import Reply, make_llm
from dibs.llm.limiter import Limiter
from dibs.llm.openai_chat import OpenAIChat
from dibs.llm.pending import PendingError
from tests.api_server import DROPPED, PAGE, TRUNCATED, Fault, status
from tests.llm.batch_server import KEY, BatchServer, serving
from tests.llm.chat_server import card, question

QUICK = Patience(attempts=3, wait=wait_none(), timeout=10)
TEXTS = [f"question {n}" for n in range(6)]
LOST = Fault(drop=True, paid=True)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving() as api:
        yield api


def model(server: BatchServer, cache: Path, patience: Patience = QUICK, **options: Any) -> OpenAIChat:
    fields = {"key": "OPENAI_API_KEY", "base_url": server.url, "batch_discount": 0.5, "options": options}
    made = OpenAIChat(card(None, **fields), cache, limiter=Limiter(), patience=patience)
    made.use_batches()
    return made


def ask(model: OpenAIChat, texts: list[str] = TEXTS) -> dict[str, Reply | DibsError]:
    """What is back; a PendingError if anything is not."""
    return {texts[one.position]: one.reply for one in model.ask([question(text) for text in texts])}


def answers(model: OpenAIChat, texts: list[str] = TEXTS, times: int = 8) -> dict[str, str]:
    """The replies of the same command, given again until all are there."""
    for _ in range(times):
        with suppress(PendingError):
            found = ask(model, texts)
            return {text: said.text for text, said in found.items() if isinstance(said, Reply)}
    raise AssertionError("the batches do not end")


def journal(cache: Path) -> list[Path]:
    return sorted(cache.glob("batches/*/*.json"))


ALL = {text: text.upper() for text in TEXTS}


def test_it_hands_over_and_collects(server: BatchServer, tmp_path: Path) -> None:
    server.slow = True
    with pytest.raises(PendingError, match=r"batches at 127.*: 1 validating|in_progress") as handed:
        ask(model(server, tmp_path))
    assert handed.value.exit_code == 0
    order = server.batches[0].order
    assert (order["endpoint"], order["completion_window"]) == ("/v1/chat/completions", "24h")
    (note,) = journal(tmp_path)
    said = json.loads(note.read_text())
    assert order["metadata"] == {"dibs": said["mark"]} == {"dibs": note.stem}
    assert (said["batch"], len(said["names"])) == ("batch-1", 6)
    assert KEY not in note.read_text()

    with pytest.raises(PendingError, match="1 in_progress; 0 of 6 requests done"):
        ask(model(server, tmp_path))
    server.slow = False
    again = model(server, tmp_path)
    assert answers(again) == ALL
    assert (len(server.batches), server.paid) == (1, Counter(TEXTS))
    assert not journal(tmp_path)
    assert again.spent.requests == 6
    assert again.spent.usd == pytest.approx(6 * (100 * 1.0 + 10 * 10.0) / 1e6 / 2)
    assert server.keys == {f"Bearer {KEY}"}
    assert answers(model(server, tmp_path)) == ALL
    assert len(server.batches) == 1, "replies are kept as those of single requests are"


def test_a_reply_of_a_batch_is_that_of_a_single_request(server: BatchServer, tmp_path: Path) -> None:
    answers(model(server, tmp_path))
    single = OpenAIChat(card(None, key="OPENAI_API_KEY", base_url=server.url), tmp_path)
    assert ask(single) == ask(model(server, tmp_path))
    assert not server.direct


class _KilledError(BaseException):
    """Ends a process as kill does: nothing that handles errors handles it."""


def _dying(original: Callable[..., Any], at: int, after: bool) -> Callable[..., Any]:
    calls = 0

    def dies(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at and not after:
            raise _KilledError
        made = original(*args)
        if calls == at:
            raise _KilledError
        return made

    return dies


STEPS = [
    (Journal, "write", 1),  # planned
    (BatchApi, "upload", 1),
    (Journal, "write", 2),  # uploaded
    (BatchApi, "create", 1),
    (Journal, "write", 3),  # ordered
    (BatchApi, "state", 1),
    (BatchApi, "download", 1),
    (ReplyCache, "put", 1),
    (ReplyCache, "put", 6),
    (Journal, "take", 1),
    (Journal, "remove", 1),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("where", "name", "at"), STEPS)
def test_killed_at_any_moment_nothing_is_lost_and_nothing_paid_twice(
    server: BatchServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: Any,
    name: str,
    at: int,
    after: bool,
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(where, name, _dying(getattr(where, name), at, after))
        with pytest.raises(_KilledError):
            answers(model(server, tmp_path))
    assert answers(model(server, tmp_path)) == ALL
    assert server.paid == Counter(TEXTS)
    assert len(server.batches) == 1


def test_a_lost_reply_to_the_order_orders_once(server: BatchServer, tmp_path: Path) -> None:
    server.faults = {"order": [LOST, None]}
    for number in range(5):  # the list has several pages
        server.order(
            {"endpoint": "/x", "completion_window": "24h", "input_file_id": server.keep(b""), "n": number}
        )
    assert answers(model(server, tmp_path)) == ALL
    assert server.paid == Counter(TEXTS)


@pytest.mark.parametrize("step", ["upload", "order", "state", "download"])
@pytest.mark.parametrize(
    "fault",
    [status(500), status(429), PAGE, Fault(), DROPPED, TRUNCATED],
    ids=["500", "429", "page", "empty", "dropped", "truncated"],
)
def test_what_passes_is_asked_again(server: BatchServer, tmp_path: Path, step: str, fault: Fault) -> None:
    server.faults = {step: [fault]}
    if step == "download" and not fault.drop and not fault.truncate and fault.status == 200:
        with pytest.warns(UserWarning, match="a line of the results cannot be read|no line of the results"):
            assert answers(model(server, tmp_path)) == ALL
    else:
        assert answers(model(server, tmp_path)) == ALL
        assert server.paid == Counter(TEXTS)


def test_a_server_that_hangs_is_given_up_and_the_order_found_again(
    server: BatchServer, tmp_path: Path
) -> None:
    server.faults = {"order": [Fault(hang=True, paid=True)] * 2, "list": [Fault(hang=True)] * 2}
    short = Patience(attempts=2, wait=wait_none(), timeout=0.2)
    with pytest.raises(ProviderError, match=r"toy: 127.* gave no reply \(asked 2 times\)"):
        ask(model(server, tmp_path, short))
    server.faults = {}
    assert answers(model(server, tmp_path)) == ALL
    assert (len(server.batches), server.paid) == (1, Counter(TEXTS))


def test_what_expired_is_ordered_again_and_the_rest_kept(server: BatchServer, tmp_path: Path) -> None:
    server.ends, server.partly = ["expired"] * 4, 2
    with pytest.warns(UserWarning, match=r"\(expired\): \d times: the batch_expired came") as said:
        found = answers(model(server, tmp_path))
    assert found == ALL
    assert str(said[0].message).endswith("batch-1 (expired): 4 times: the batch_expired came")
    assert [len(batch.requests) for batch in server.batches] == [6, 4, 2]
    assert server.paid == Counter(TEXTS)


def test_what_was_cancelled_is_not_ordered_unasked(server: BatchServer, tmp_path: Path) -> None:
    server.ends, server.partly = ["cancelled"], 2
    first = model(server, tmp_path)
    with pytest.warns(UserWarning, match="4 times: batch_cancelled"):
        found = ask(first)
    assert ask(first).keys() == found.keys()
    assert sum(isinstance(said, Reply) for said in found.values()) == 2
    assert "the batch batch-1 was cancelled at" in str(found[TEXTS[5]])
    assert len(server.batches) == 1
    assert answers(model(server, tmp_path)) == ALL
    assert server.paid == Counter(TEXTS)


SERVER_ERROR = {"response": {"status_code": 500, "message": "Internal Server Error"}, "error": None}
BAD_REQUEST = {"response": {"status_code": 400, "body": {"error": {"message": "too long"}}}, "error": None}


@pytest.mark.filterwarnings("ignore:127")
def test_a_failing_request_is_tried_in_three_batches_and_then_an_error(
    server: BatchServer, tmp_path: Path
) -> None:
    server.broken = {"question 3": SERVER_ERROR, "question 4": BAD_REQUEST}
    asked = model(server, tmp_path)
    assert answers(asked) == {
        text: said for text, said in ALL.items() if text not in ("question 3", "question 4")
    }
    found = ask(asked)
    assert f"failed in {ROUNDS} batches, in the last because" in str(found["question 3"])
    assert "Internal Server Error" in str(found["question 3"])
    assert isinstance(found["question 4"], InputError)
    assert "too long" in str(found["question 4"])
    assert [len(batch.requests) for batch in server.batches] == [6, 1, 1]
    assert not journal(tmp_path)
    server.broken = {}
    assert answers(model(server, tmp_path)) == ALL
    assert server.paid == Counter(TEXTS)


def _edited(change: Callable[[dict[str, Any]], Any]) -> Callable[[list[bytes]], list[bytes]]:
    def edit(lines: list[bytes]) -> list[bytes]:
        return [json.dumps(change(json.loads(lines[0]))).encode(), *lines[1:]]

    return edit


def _body(**fields: Any) -> Callable[[list[bytes]], list[bytes]]:
    return _edited(lambda row: row | {"response": row["response"] | {"body": fields}})


BAD_LINES: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "missing": (lambda lines: lines[1:], "1 times: no line of the results is of it"),
    "truncated": (
        lambda lines: [*lines[:-1], lines[-1][:40]],
        "1 times: a line of the results cannot be read",
    ),
    "no JSON": (lambda lines: [b"<html>", *lines[1:]], "a line of the results cannot be read"),
    "not UTF-8": (
        lambda lines: [b'{"custom_id": "\xff"}', *lines[1:]],
        "a line of the results cannot be read",
    ),
    "null": (lambda lines: [b"null", *lines[1:]], "a line of the results cannot be read"),
    "another's": (
        _edited(lambda row: row | {"custom_id": "f" * 32}),
        "of a request that was not in the batch",
    ),
    "no name": (_edited(lambda row: row | {"custom_id": None}), "a line of the results cannot be read"),
    "no status": (_edited(lambda row: row | {"response": {}}), "a line of the results cannot be read"),
    "no body": (
        _edited(lambda row: row | {"response": {"status_code": 200}}),
        "a line of the results cannot be",
    ),
    "no choices": (_body(choices=[]), "1 times: a reply cannot be read"),
    "NaN": (
        _body(
            choices=[
                {
                    "message": {"content": "a"},
                    "logprobs": {"content": [{"token": "a", "logprob": float("nan")}]},
                }
            ]
        ),
        "1 times: a reply cannot be read",
    ),
}


@pytest.mark.parametrize(("lines", "said"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_is_named_and_its_request_ordered_again(
    server: BatchServer, tmp_path: Path, lines: Callable[[list[bytes]], list[bytes]], said: str
) -> None:
    server.lines = lambda found: lines(found) if len(found) == 6 else found
    with pytest.warns(UserWarning, match=re.escape(said)):
        assert answers(model(server, tmp_path)) == ALL
    assert [len(batch.requests) for batch in server.batches] == [6, 1]


def test_lines_in_any_order_and_twice(server: BatchServer, tmp_path: Path) -> None:
    server.lines = lambda lines: [*lines[::-1], lines[0], b"", lines[2]]
    with pytest.warns(UserWarning, match="2 times: a request has a second line, which is passed over"):
        assert answers(model(server, tmp_path)) == ALL
    assert len(server.batches) == 1


def test_a_batch_that_is_refused_says_why_and_is_forgotten(server: BatchServer, tmp_path: Path) -> None:
    server.ends, server.problem = ["failed"], {"code": "invalid", "message": f"the model of {KEY} is unknown"}
    with pytest.raises(
        InputError, match=r"^toy-1: 127.* refused a batch: the model of \*\*\* is unknown\n  Correct"
    ) as caught:
        ask(model(server, tmp_path))
    assert KEY not in str(caught.value)
    assert not journal(tmp_path)


def test_a_full_account_holds_back_what_it_has_no_room_for(server: BatchServer, tmp_path: Path) -> None:
    server.slow = True
    asked = model(server, tmp_path, batch_requests=3)
    with pytest.raises(PendingError):
        ask(asked)
    assert [len(batch.requests) for batch in server.batches] == [3, 3]
    server.batches[1].status, server.batches[1].problem = (
        "failed",
        {"code": "token_limit_exceeded", "message": "full"},
    )
    with pytest.raises(PendingError, match="3 are held back") as held:
        ask(asked)
    assert held.value.ready
    server.faults = {"order": [status(429)] * 3}
    with pytest.raises(PendingError, match="3 are held back"):
        ask(asked)
    server.slow = False
    assert answers(asked) == ALL
    assert server.paid == Counter(TEXTS)
    assert server.steps["upload"] == 2, "what was uploaded is ordered later"


def test_a_full_account_with_nothing_under_way_is_an_error(server: BatchServer, tmp_path: Path) -> None:
    server.faults = {"order": [status(429, "slow down")] * 3}
    with pytest.raises(ProviderError, match=r"toy: 127.* answered 429 \(asked 3 times\): slow down"):
        ask(model(server, tmp_path))
    server.ends, server.problem = ["failed"], {"code": "token_limit_exceeded", "message": "full"}
    with pytest.raises(
        ProviderError, match=r"has no room for a batch: full\n  .*batch_requests; this one had 6"
    ):
        answers(model(server, tmp_path))


@pytest.mark.parametrize("step", ["upload", "order", "state", "download"])
def test_a_refused_key_is_named_by_its_variable(server: BatchServer, tmp_path: Path, step: str) -> None:
    server.faults = {step: [status(401, f"bad key {KEY}")]}
    with pytest.raises(MissingError, match="OPENAI_API_KEY") as caught:
        answers(model(server, tmp_path))
    assert KEY not in str(caught.value)
    assert answers(model(server, tmp_path)) == ALL
    assert server.paid == Counter(TEXTS)


def test_a_server_without_batches_says_what_to_do(server: BatchServer, tmp_path: Path) -> None:
    server.faults = {"upload": [status(404, "no such path")]}
    with pytest.raises(InputError, match=r"answered 404: no such path\n  Run without --batch-api"):
        ask(model(server, tmp_path))
    with pytest.raises(InputError, match=r"mock.* has no batch interface\n  Run without --batch-api"):
        make_llm(card(name="mock", adapter="mock"), tmp_path, batch=True)


def test_a_batch_that_the_provider_does_not_know_is_not_paid_again_unasked(
    server: BatchServer, tmp_path: Path
) -> None:
    server.slow = True
    with pytest.raises(PendingError):
        ask(model(server, tmp_path))
    server.batches.clear()
    with pytest.raises(
        InputError, match=r"batch batch-1\)\n  Use the key that it was ordered with, or delete "
    ):
        ask(model(server, tmp_path))


def test_a_silent_provider_leaves_batches_pending(server: BatchServer, tmp_path: Path) -> None:
    server.slow = True
    asked = model(server, tmp_path)
    with pytest.raises(PendingError):
        ask(asked)
    server.faults = {"state": [DROPPED] * 3}
    with pytest.raises(PendingError, match="1 not reached; 0 of 6") as pending:
        ask(asked)
    assert pending.value.silent
    assert not pending.value.now().silent


def test_requests_that_other_commands_ask_for_stay_to_be_collected(
    server: BatchServer, tmp_path: Path
) -> None:
    server.slow = True
    with pytest.raises(PendingError):
        ask(model(server, tmp_path))
    server.slow = False
    assert answers(model(server, tmp_path), TEXTS[:2]) == {text: ALL[text] for text in TEXTS[:2]}
    (note,) = journal(tmp_path)
    assert len(json.loads(note.read_text())["names"]) == 4
    assert answers(model(server, tmp_path), [*TEXTS, "one more"]) == ALL | {"one more": "ONE MORE"}
    assert server.paid == Counter([*TEXTS, "one more"])


def test_batches_keep_to_the_limit(
    server: BatchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert answers(model(server, tmp_path, batch_requests=4)) == ALL
    assert [len(batch.requests) for batch in server.batches] == [4, 2]
    monkeypatch.setattr("dibs.llm.batch.LARGEST", 500)
    more = [f"another {n}" for n in range(5)]
    assert len(answers(model(server, tmp_path), more)) == 5
    assert all(
        len(content) <= 500
        for content in server.files.values()
        if b'"method"' in content and b"another" in content
    )


def test_a_damaged_note_is_named(server: BatchServer, tmp_path: Path) -> None:
    server.slow = True
    with pytest.raises(PendingError):
        ask(model(server, tmp_path))
    (note,) = journal(tmp_path)
    note.write_text(note.read_text()[:30])
    with pytest.raises(DamagedError, match=rf"{note}: the note of a batch cannot be read.*\n  Delete it"):
        ask(model(server, tmp_path))


@pytest.mark.parametrize(
    "line",
    [b"", b"3", b"[]", b'"a"', b'{"custom_id": "a"}', b'{"custom_id": "a", "response": 3}', b"[" * 100_000],
)
def test_a_line_of_another_form_is_malformed(line: bytes) -> None:
    with pytest.raises(MalformedReplyError):
        read_line(line)


def test_an_estimate_has_both_prices(server: BatchServer, tmp_path: Path) -> None:
    made = model(server, tmp_path).estimate([question(text) for text in TEXTS])
    assert made.usd is not None
    assert made.batch_usd == pytest.approx(made.usd / 2)
