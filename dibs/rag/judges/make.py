"""From what a user names to a judge."""

from __future__ import annotations

from dataclasses import dataclass

from dibs import plugins
from dibs.cards.model import LLMCard
from dibs.errors import InputError, unknown
from dibs.rag.judges.base import Judge
from dibs.rag.judges.cascade import CascadeJudge
from dibs.rag.judges.panel import PanelJudge
from dibs.workspace import Workspace

_FORMS = (
    "A judge is rules, the name of an LLM card, NAME:logits, several with commas between them (a panel), "
    "or rules+NAME (the rules first)."
)


@dataclass(frozen=True)
class JudgeRequest:
    """What a plugin of the kind `judge` is called with; it gives a Judge."""

    name: str
    """What the user wrote: the plugin's own name, or for `judge.llm` a card's."""
    option: str | None
    """What followed it after a colon."""
    workspace: Workspace
    batch: bool = False
    """Ask an LLM through its provider's batch interface."""


def make_judge(spec: str, workspace: Workspace, *, batch: bool = False) -> Judge:
    """The judge that `spec` names.

    Args:
        spec: `rules` or another judge plugin; `NAME`, an LLM card; `NAME:logits`, which reads its verdict
            from probabilities; `A,B,C`, a panel; `rules+NAME`, a cascade.
        batch: Ask LLMs through their providers' batch interfaces.

    Raises:
        InputError: nothing has that name (the known ones are listed), or the form is wrong.
        MissingError: an LLM lacks what it needs to run here, such as a key.
    """
    judges = [_cascade(part.strip(), workspace, batch) for part in spec.split(",")]
    return judges[0] if len(judges) == 1 else PanelJudge(judges)


def rules(request: JudgeRequest) -> Judge:
    """The plugin `judge.rules`."""
    from dibs.rag.judges.rules import RulesJudge

    if request.option is not None:
        raise InputError(f"the judge rules has no option {request.option!r}", todo=_FORMS)
    return RulesJudge()


def llm(request: JudgeRequest) -> Judge:
    """The plugin `judge.llm`: the LLM of a card, with the option `logits` or none."""
    from dibs.llm.chat import make_llm
    from dibs.rag.judges.llm import LOGITS, VERDICT, LLMJudge

    methods = {None: VERDICT, LOGITS.name: LOGITS}
    if request.option not in methods:
        raise InputError(f"an LLM judge has no option {request.option!r}", todo=_FORMS)
    card = request.workspace.card(LLMCard, request.name)
    return LLMJudge(make_llm(card, request.workspace.cache, batch=request.batch), methods[request.option])


def _cascade(spec: str, workspace: Workspace, batch: bool) -> Judge:
    parts = [part.strip() for part in spec.split("+")]
    if len(parts) > 2 or not all(parts):
        raise InputError(f"{spec!r} names no judge", todo=_FORMS)
    if len(parts) == 2 and parts[0] not in _plugins():
        raise InputError(
            f"{parts[0]!r} cannot come first in {spec!r}: an LLM does not say which verdicts are clear",
            todo=f"Before the + stands one of: {', '.join(_plugins())}. A panel has commas.",
        )
    judges = [_single(part, workspace, batch) for part in parts]
    return judges[0] if len(judges) == 1 else CascadeJudge(*judges)


def _single(spec: str, workspace: Workspace, batch: bool) -> Judge:
    name, colon, option = spec.partition(":")
    request = JudgeRequest(name, option if colon else None, workspace, batch)
    if name in _plugins():
        made: Judge = plugins.load("judge", name)(request)
        return made
    cards = workspace.card_files(LLMCard)
    if name.lower() not in map(str.lower, cards):
        raise unknown("judge", name, [*_plugins(), *cards], todo=_FORMS)
    made = plugins.load("judge", "llm")(request)
    return made


def _plugins() -> list[str]:
    """Judges that are named by themselves; `llm` is named by its cards."""
    return [name for name in plugins.names("judge") if name != "llm"]
