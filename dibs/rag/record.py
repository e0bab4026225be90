"""One arm of answers as a record: what is kept of it, when it is made anew, and what is asked again."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from dibs.data.dataset import check_files
from dibs.errors import DamagedError
from dibs.llm.chat import Estimate, Request, Spent
from dibs.llm.cost import prompt_tokens, tokenizer_of
from dibs.rag.answer import NO_GOLD, Answer, askable, generate, lines_of, read_answers
from dibs.rag.grade import Graded, grade, subset_rates
from dibs.rag.judges.base import Case, Verdict
from dibs.rag.judges.spent import estimated_by
from dibs.rag.work import Work, cost_of
from dibs.records import QUERIES, SCORES, Record, making, record_folder, table_bytes, write_record
from dibs.workspace import Workspace

ANSWERS, VERDICTS, TEXTS = "answers.jsonl", "verdicts.jsonl", "texts.jsonl"
WITHHELD = "(withheld: it may quote texts that are not for passing on)"
"""Stands for an answer in a record that was passed on without its texts."""
_JUDGED = ("judge", "gold")
"""Inputs that verdicts depend on and answers do not."""
_AROUND = 100
"""Tokens of a chat template, at most."""
_AGAIN = "Delete that folder and run again."


@dataclass(frozen=True)
class Done:
    """A record, and whether it was there already."""

    record: Record
    reused: bool


@dataclass(frozen=True)
class _Stored:
    answers: list[Answer]
    verdicts: list[Graded]

    @property
    def failed(self) -> bool:
        return any(graded.verdict is None for graded in self.verdicts)


def answer_arm(work: Work, workspace: Workspace) -> Done:
    """The record of `work`: the one on disk if it is whole, else a new one.

    Another judge finds the answers of a record that is equal but for its judge. One that was scored by
    other rules is scored anew from what is stored.
    """
    found = _find(work, workspace)
    if found.stored and not (work.retry_errors and found.stored.failed):
        manifest = found.record.manifest
        if any(manifest.get(name) != value for name, value in work.stated().items()):
            return Done(_write(work, found.record.folder, found.stored, manifest), True)
        return Done(found.record, True)
    with making(found.record.folder, workspace.cache):
        return _made(work, workspace, found)


def _made(work: Work, workspace: Workspace, found: _Found) -> Done:
    """The record, made by this process or, while it waited, by another."""
    if not found.finished and found.record.finished:
        found = _find(work, workspace)
        if found.stored and not (work.retry_errors and found.stored.failed):
            return Done(found.record, True)
    check_files(work.dataset)
    _warn_of_length(work, found.kept)
    asked, judged = _spent(work.generator), _spent(work.judge)
    answers = generate(work.asking, work.questions, work.generator, found.kept)
    stored = _Stored(answers, grade(work.questions, answers, work.judge))
    cost = cost_of(answers, work.card, _since(asked, work.generator), _since(judged, work.judge))
    return Done(_write(work, found.record.folder, stored, work.manifest(answers, cost)), False)


def _warn_of_length(work: Work, kept: Mapping[str, Answer]) -> None:
    """Say what the generator has no room for; a server may refuse it, or cut it without a word."""
    if (limit := work.card.context_tokens) is None:
        return
    tokenizer = tokenizer_of(work.card)
    requests = [work.asking.request(question) for question in askable(work.questions, kept)]

    def fits(request: Request) -> bool:
        room = limit - request.max_tokens
        size = sum(len(message.content.encode()) for message in request.messages)  # a token is a byte or more
        return size < room - _AROUND or prompt_tokens([request], tokenizer) <= room

    long = sum(not fits(request) for request in requests)
    if long:
        problem = f"{long:,} of {len(requests):,} requests and their answers may exceed its {limit:,} tokens"
        warnings.warn(
            f"{work.pipeline}: {problem}: lower --k, --passage-tokens or --max-tokens", stacklevel=3
        )


def cost_ahead(work: Work, workspace: Workspace) -> Estimate:
    """What the answers of `work` would cost; nothing is asked."""
    asked = askable(work.questions, _find(work, workspace).kept)
    return work.generator.estimate([work.asking.request(question) for question in asked])


def judging_ahead(work: Work, workspace: Workspace) -> Estimate | None:
    """What grading would cost at most; None where the judge asks no chat model.

    An answer that is not there yet counts as one that is as long as it may be.
    """
    kept = _find(work, workspace).kept
    longest = "word " * work.asking.max_tokens
    given = {id: answer.answer for id, answer in kept.items()}
    cases = [Case(one.text, one.gold, given.get(one.id, longest) or "") for one in work.questions]
    return estimated_by((work.judge,), cases)


def read_stored(record: Record) -> tuple[list[Answer], list[Graded]]:
    """The answers and verdicts of a record.

    Raises:
        DamagedError: a file is not as it was written.
    """
    record.check()
    answers = read_answers((record.folder / ANSWERS).read_text(encoding="utf-8"), record.name)
    lines = (record.folder / VERDICTS).read_text(encoding="utf-8").split("\n")
    try:
        rows = [Graded(**json.loads(line)) for line in lines if line]
        verdicts = [replace(row, verdict=row.verdict and Verdict(row.verdict)) for row in rows]
    except (ValueError, TypeError) as error:
        raise DamagedError(f"{VERDICTS} cannot be read: {error}", where=record.name, todo=_AGAIN) from None
    if [answer.query_id for answer in answers] != [graded.query_id for graded in verdicts]:
        raise DamagedError(f"{ANSWERS} and {VERDICTS} differ in queries", where=record.name, todo=_AGAIN)
    if TEXTS in record.manifest["files"]:
        texts = _texts(record)
        answers = [a if a.error else replace(a, answer=texts.get(a.query_id, WITHHELD)) for a in answers]
    return answers, verdicts


def _texts(record: Record) -> dict[str, str | None]:
    path = record.folder / TEXTS
    if not path.is_file():
        return {}
    return {a.query_id: a.answer for a in read_answers(path.read_text(encoding="utf-8"), record.name)}


@dataclass(frozen=True)
class _Found:
    """What is on disk for some work."""

    record: Record
    """The work's own, finished or not."""
    finished: bool
    """Whether it was when this was found."""
    stored: _Stored | None
    """What it holds, if it is whole."""
    kept: dict[str, Answer]
    """Answers that need not be asked for: of this record, or of one that is equal but for its judge."""


def _find(work: Work, workspace: Workspace) -> _Found:
    inputs = work.inputs()
    record = Record(record_folder(workspace.results, work.task.name, work.pipeline, inputs))
    stored = _stored(record) if record.finished else None
    answers = stored.answers if stored else _sibling_answers(inputs, record.folder)
    kept = [a for a in answers if a.error != NO_GOLD and not (work.retry_errors and a.error)]
    return _Found(record, record.finished, stored, {answer.query_id: answer for answer in kept})


def _sibling_answers(inputs: dict[str, Any], folder: Path) -> list[Answer]:
    for path in sorted(folder.parent.glob("*/manifest.json")):
        other = Record(path.parent)
        try:
            if other.folder != folder and _without_judge(other.manifest["inputs"]) == _without_judge(inputs):
                return [one for one in read_stored(other)[0] if one.answer != WITHHELD]
        except (DamagedError, KeyError, AttributeError):  # which is said when it is asked for itself
            continue
    return []


def _stored(record: Record) -> _Stored | None:
    try:
        stored = _Stored(*read_stored(record))
        return None if any(one.answer == WITHHELD for one in stored.answers) else stored
    except DamagedError as error:
        warnings.warn(f"{record.name}: {error.problem}; it is made anew", stacklevel=4)
        return None


def _spent(asked: object) -> Spent | None:
    """What was asked of an LLM until now; None of a judge that asks none, or does not say."""
    spent = getattr(asked, "spent", None)
    return replace(spent) if isinstance(spent, Spent) else None


def _since(before: Spent | None, asked: object) -> Spent | None:
    after = _spent(asked)
    if before is None or after is None:
        return None
    usd = None if None in (before.usd, after.usd) else (after.usd or 0) - (before.usd or 0)
    counts = {
        f.name: getattr(after, f.name) - getattr(before, f.name) for f in fields(Spent) if f.name != "usd"
    }
    return Spent(**counts, usd=usd)


def _without_judge(inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in inputs.items() if name not in _JUDGED}


def _write(work: Work, folder: Path, stored: _Stored, manifest: dict[str, Any]) -> Record:
    columns = _columns(work, stored)
    subsets: dict[str, Sequence[bool]] = {"all": [True] * len(work.questions)}
    subsets |= {name.removeprefix("in:"): columns[name] for name in columns if name.startswith("in:")}
    for value in dict.fromkeys(columns.get("split", ())):
        subsets[f"{work.task.split_by}={value}"] = [found == value for found in columns["split"]]
    subsets["gold_in_context=yes"] = [found is True for found in columns["gold_in_context"]]
    subsets["gold_in_context=no"] = [found is False for found in columns["gold_in_context"]]
    if any(columns["known_issue"]):
        subsets["known_issue=no"] = [not found for found in columns["known_issue"]]
    verdicts = [graded.verdict for graded in stored.verdicts]
    scores = {
        "subsets": subset_rates(verdicts, subsets, columns.get("cluster")),
        "interval": work.scoring()["interval"] | {"cluster": work.task.cluster},
    }
    answers, apart = stored.answers, not work.task.redistributable
    files = {
        ANSWERS: lines_of([replace(one, answer=None) for one in answers] if apart else answers),
        VERDICTS: lines_of(stored.verdicts),
        SCORES: (json.dumps(scores, indent=2) + "\n").encode(),
        QUERIES: table_bytes(columns),
    }
    if apart:
        files[TEXTS] = lines_of(Answer(one.query_id, [], None, one.answer) for one in answers)
        manifest = manifest | {"withheld": [TEXTS]}
    return write_record(folder, manifest | work.stated(), files)


def _columns(work: Work, stored: _Stored) -> dict[str, Any]:
    """One row a query, for `queries.parquet`."""
    ids = [question.id for question in work.questions]
    places = {name: place for place, name in enumerate(work.dataset.query_ids)}

    def field(name: str) -> list[str]:
        values = work.dataset.query_field(name)
        return [values[places[query]] for query in ids]

    columns: dict[str, Any] = {"query_id": ids}
    if work.task.cluster:
        columns["cluster"] = field(work.task.cluster)
    if work.task.split_by:
        columns["split"] = field(work.task.split_by)
    for name, subset in work.task.subsets.items():
        columns[f"in:{name}"] = [value == subset.value for value in field(subset.field)]
    verdicts = [graded.verdict for graded in stored.verdicts]
    columns["verdict"] = [None if verdict is None else str(verdict) for verdict in verdicts]
    columns["correct"] = [None if verdict is None else verdict is Verdict.CORRECT for verdict in verdicts]
    columns["gold_in_context"] = [answer.gold_in_context for answer in stored.answers]
    columns["known_issue"] = [query in work.known_issues for query in ids]
    return columns
