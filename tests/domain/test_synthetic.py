from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pytest

from dibs.cards.model import LLMCard
from dibs.domain.synthetic import Synthesis, synthesize
from dibs.errors import InputError, ProviderError
from dibs.workspace import Workspace
from tests.training.helpers import GUIDE


def corpus(texts: Sequence[str]) -> pa.Table:
    """Each text two chunks of a page of its own, but for the last chunk of the last."""
    ids = [f"d{n // 2}.md#c{n % 2 + 1}" for n in range(len(texts))]
    parts = [name.partition("#")[0] for name in ids]
    return pa.table(
        {"id": ids, "title": [""] * len(ids), "text": list(texts), "document": parts, "part": parts}
    )


def test_what_has_the_same_text_is_right_too(workspace: Workspace) -> None:
    table = corpus([GUIDE, "Short.", f"{GUIDE} ", "Short.", GUIDE.replace("anvil", "hammer")])
    how = Synthesis(count=0, domain="documentation", each=3)
    found = synthesize("here", table, how, "id", workspace)
    gold = {tuple(query.gold) for query in found.queries}
    assert gold == {("d0.md#c1", "d1.md#c1"), ("d2.md#c1",)}
    assert {"kind"} == set(found.queries[0].fields)
    assert "cloze" not in {query.fields["kind"] for query in found.queries}
    assert (
        found.about["kept"]
        == len(found.queries)
        == found.about["made"] - found.about["near-duplicates"]["rejected"]
    )
    by_part = synthesize("here", table, how, "part", workspace)
    assert {tuple(query.gold) for query in by_part.queries} == {("d0.md", "d1.md"), ("d2.md",)}
    assert [query.text for query in by_part.queries] == [query.text for query in found.queries]


def test_nothing_to_ask_about_is_an_error(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="not one query could be made of 1 units") as caught:
        synthesize("here", corpus(["Too short.", "Too short."]), Synthesis(count=0), "id", workspace)
    assert "--generator" in (caught.value.todo or "")


@pytest.mark.parametrize(
    ("option", "kind", "problem"),
    [
        ("mode", InputError, "not one query could be made of 1 units"),
        ("fault", ProviderError, "all 1 requests"),
    ],
)
def test_an_llm_that_says_nonsense_or_nothing(
    workspace: Workspace, option: str, kind: type[InputError], problem: str
) -> None:
    odd = LLMCard(name="odd", adapter="mock", options={option: {"mode": "refuse", "fault": "error"}[option]})
    with pytest.raises(kind, match=problem) as caught:
        synthesize("here", corpus([GUIDE]), Synthesis(generator=odd), "id", workspace)
    if option == "mode":
        assert "The first failed: asked twice" in (caught.value.todo or "")


def test_what_made_and_judged_them_is_said() -> None:
    llm = LLMCard(name="large", adapter="mock")
    assert Synthesis().maker == "structure, judged by nobody"
    assert Synthesis(llm, llm).maker == "large, judged by large"
    assert Synthesis(llm).settings() != Synthesis().settings()
    with pytest.raises(InputError, match="no domain is called 'law'"):
        Synthesis(domain="law")
