from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dibs import plugins
from dibs.errors import InputError
from dibs.llm import chat
from dibs.rag.judges.base import Verdict
from dibs.rag.judges.make import make_judge
from dibs.workspace import Workspace
from tests.rag.judges.scripted import ScriptedLLM, case

LENIENT = '''
from dibs.rag.judges.base import Judgement, Verdict


class Lenient:
    """Anything is correct; the option is the reason."""

    name = "lenient"

    def __init__(self, request):
        self.reason = request.option or "why not"

    def settings(self):
        return {"judge": "lenient", "reason": self.reason}

    def judge(self, cases):
        return [Judgement(Verdict.CORRECT, self.reason) for _ in cases]
'''


@pytest.fixture
def cards(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with the LLM cards toy-a and toy-b, whose models are scripted."""
    folder = workspace.root / "models" / "llm"
    folder.mkdir(parents=True)
    for name in ("toy-a", "toy-b"):
        (folder / f"{name}.toml").write_text(f'name = "{name}"\nadapter = "openai"\n')
    said = '{"reason": "It agrees.", "verdict": "correct"}'
    monkeypatch.setattr(
        chat, "make_llm", lambda card, cache, batch: ScriptedLLM(lambda request: said, card.name)
    )
    return workspace


@pytest.fixture
def lenient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A distribution with the judge `lenient`."""
    site = tmp_path / "site"
    (site / "toy_judge-1.0.dist-info").mkdir(parents=True)
    (site / "toy_judge-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: toy-judge\nVersion: 1.0\n"
    )
    entries = '[dibs.plugins]\n"judge.lenient" = toy_judge:Lenient\n'.replace('"', "")
    (site / "toy_judge-1.0.dist-info" / "entry_points.txt").write_text(entries)
    (site / "toy_judge.py").write_text(LENIENT)
    monkeypatch.syspath_prepend(site)
    plugins._registered.cache_clear()
    yield
    plugins._registered.cache_clear()


@pytest.mark.parametrize(
    ("spec", "name", "kind"),
    [
        ("rules", "rules", "rules"),
        ("toy-a", "toy-a", "llm"),
        ("Toy-A:logits", "toy-a:logits", "llm"),
        ("toy-a,toy-b,rules", "toy-a,toy-b,rules", "panel"),
        ("rules+toy-a", "rules+toy-a", "cascade"),
        (" rules + toy-a , toy-b ", "rules+toy-a,toy-b", "panel"),
    ],
)
def test_a_judge_is_what_its_name_says(cards: Workspace, spec: str, name: str, kind: str) -> None:
    judge = make_judge(spec, cards)
    assert judge.name == name
    assert judge.settings()["judge"] == kind


def test_a_cards_judge_grades(cards: Workspace) -> None:
    (found,) = make_judge("toy-a", cards).judge([case("12")])
    assert (found.verdict, found.reason) == (Verdict.CORRECT, "It agrees.")


@pytest.mark.usefixtures("lenient")
def test_a_judge_may_come_from_another_package(cards: Workspace) -> None:
    judge = make_judge("lenient:always", cards)
    assert judge.settings() == {"judge": "lenient", "reason": "always"}
    assert make_judge("lenient+toy-a", cards).name == "lenient+toy-a"
    with pytest.raises(InputError, match=r"Known: .*lenient, .*rules, toy-a, toy-b"):
        make_judge("nobody", cards)


@pytest.mark.parametrize(
    ("spec", "problem", "todo"),
    [
        ("nobody", "no judge is called 'nobody'", "rules, toy-a, toy-b."),
        ("ruels", "no judge is called 'ruels'", "Did you mean rules?"),
        ("llm", "no judge is called 'llm'", "A judge is rules, the name of an LLM card"),
        ("", "'' names no judge", "A judge is rules"),
        ("toy-a,", "'' names no judge", "A judge is rules"),
        ("rules+", "'rules+' names no judge", "A judge is rules"),
        ("rules+toy-a+toy-b", "'rules+toy-a+toy-b' names no judge", "A judge is rules"),
        ("toy-a+rules", "'toy-a' cannot come first", "Before the + stands one of: rules."),
        ("toy-a:loud", "an LLM judge has no option 'loud'", "NAME:logits"),
        ("toy-a:", "an LLM judge has no option ''", "NAME:logits"),
        ("rules:x", "the judge rules has no option 'x'", "A judge is rules"),
        ("toy-a,toy-a", "the panel has 'toy-a' twice", "once"),
    ],
)
def test_what_is_no_judge_says_what_is(cards: Workspace, spec: str, problem: str, todo: str) -> None:
    with pytest.raises(InputError) as caught:
        make_judge(spec, cards)
    assert problem in caught.value.problem
    assert todo in str(caught.value)
