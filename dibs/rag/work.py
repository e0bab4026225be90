"""One arm as it is to be answered and graded, and everything that its record says of how it was made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dibs.cards.model import LLMCard
from dibs.cards.task import TaskCard
from dibs.data.dataset import Dataset
from dibs.data.prepare import shortfall
from dibs.files import digest
from dibs.llm.chat import ChatModel, Spent
from dibs.llm.cost import price
from dibs.provenance import git, hardware, versions
from dibs.rag.answer import Answer, Asking
from dibs.rag.judges.base import Judge
from dibs.rag.questions import Question
from dibs.scoring.statistics import LEVEL, RESAMPLES, SEED


@dataclass(frozen=True)
class Work:
    """One arm, to be answered by a generator and graded by a judge."""

    task: TaskCard
    dataset: Dataset
    questions: Sequence[Question]
    asking: Asking
    generator: ChatModel
    card: LLMCard
    """The generator's."""
    judge: Judge
    known_issues: dict[str, str]
    """Why the gold answer of a query is disputed."""
    command: str = ""
    retry_errors: bool = False

    @property
    def pipeline(self) -> str:
        return f"{self.asking.arm.name} > {self.generator.name}"

    def inputs(self) -> dict[str, Any]:
        """Everything that answers and verdicts depend on; its hash is the record's name."""
        asking, all_ids = self.asking, self.dataset.query_ids
        ids = [question.id for question in self.questions]
        return {
            "kind": "answers",
            "task": self.task.name,
            "data": self.dataset.info.sha256,
            "arm": asking.arm.kind,
            "documents": asking.arm.inputs,
            "passages": None if asking.arm.documents is None else asking.passages.cut.settings(),
            "prompt": {"name": asking.prompt.name, "sha256": asking.prompt.sha256},
            "generator": self.generator.settings(),
            "max_tokens": asking.max_tokens,
            "queries": None if ids == all_ids else {"sample": len(ids), "sha256": digest(ids)},
            "gold": self.task.answers.model_dump(include={"field", "from_document"}),
            "judge": self.judge.settings(),
        }

    def scoring(self) -> dict[str, Any]:
        """Everything that the rates depend on besides the verdicts."""
        return {
            "cluster": self.task.cluster,
            "split_by": self.task.split_by,
            "subsets": {name: subset.model_dump() for name, subset in self.task.subsets.items()},
            "known_issues": self.known_issues,
            "interval": {"method": "cluster bootstrap", "level": LEVEL, "resamples": RESAMPLES, "seed": SEED},
        }

    def stated(self) -> dict[str, Any]:
        """What a manifest says of the task as its card and data now are."""
        info = self.dataset.info
        return {
            "task": self.task.model_dump(mode="json", exclude_defaults=True, exclude={"source": {"path"}}),
            "data": {
                "sha256": info.sha256,
                "queries": info.queries,
                "documents": info.documents,
                "lacking": shortfall(self.task, self.dataset),
                "notes": info.notes,
            },
            "scoring": self.scoring(),
        }

    def manifest(self, answers: Sequence[Answer], cost: dict[str, Any]) -> dict[str, Any]:
        """How the answers were made; `stated` is added when they are scored."""
        arm, passages = self.asking.arm, self.asking.passages
        given = {name for answer in answers for name in answer.passages}
        return {
            "kind": "answers",
            "pipeline": self.pipeline,
            "arm": arm.kind,
            "retrieval": arm.retrieval,
            "generator": _without_folder(self.card).model_dump(mode="json", exclude_defaults=True),
            "judge": self.judge.settings(),
            "judge_name": self.judge.name,
            "inputs": self.inputs(),
            "cost": cost,
            "about": {
                "queries": len(self.questions),
                "documents_given": len(given),
                "documents_cut": sum(passages.is_cut(name) for name in given),
                "answers_cut_off": sum(answer.finish == "length" for answer in answers),
                **_engine(self.generator),
            },
            "command": self.command,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
            "hardware": hardware(),
            "git": git(),
        }


def cost_of(
    answers: Sequence[Answer], card: LLMCard, paid: Spent | None, judged: Spent | None
) -> dict[str, Any]:
    """What the answers take, whoever paid for them when, and what was paid now.

    Args:
        card: The generator's, with its prices.
        paid: What was asked of the generator for this record.
        judged: What was asked of the judge's LLMs; None where it has none, or does not say.
    """
    prompt = _total(answer.prompt_tokens for answer in answers)
    completion = _total(answer.completion_tokens for answer in answers)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "usd": price(card, prompt, completion),
        "paid": paid and asdict(paid),
        "judge": judged and asdict(judged),
    }


def _engine(generator: ChatModel) -> dict[str, Any]:
    """What sent the requests, if other processes did."""
    relay = getattr(generator, "relay", None)
    return {"engine": relay.about} if relay is not None and relay.about else {}


def _total(counts: Iterable[int | None]) -> int | None:
    """The sum of what is known; None where nothing is."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _without_folder(card: LLMCard) -> LLMCard:
    """The card without where on this machine its weights lie; the inputs have their hash."""
    if card.model is None or not Path(card.model).is_absolute():
        return card
    return card.model_copy(update={"model": Path(card.model).name})
