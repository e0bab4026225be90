from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dibs.training import slots
from dibs.training.base import DOMAINS, KINDS, Query
from dibs.training.layout import layout_of
from dibs.training.slots import slots_of
from dibs.training.structure import StructureGenerator, load_forms
from dibs.training.words import Rarity, copied
from tests.toys import ROOT
from tests.training.helpers import GUIDE, STATEMENT, document

RARITY = Rarity.of([STATEMENT, GUIDE, "the inventories of a key in the region", "current assets of a forge"])
PAGE = {"title": "anvil developer guide: Rotating the anvil key"}


def queries(text: str, domain: str, seed: int = 0, each: int = 8, **fields: str) -> list[Query]:
    generator = StructureGenerator(load_forms(domain), RARITY)
    (made,) = generator.make([document(text, **fields)], each, seed)
    return made.queries


def test_what_a_statement_offers() -> None:
    forms = load_forms("financial")
    found = slots_of(document(), layout_of(STATEMENT), RARITY, forms.measures)
    assert found["company"] == ["Zappa"]
    assert found["year"] == ["2021", "2020"]
    assert found["before"] == ["2020"]
    assert {"current ratio", "quick ratio"} <= set(found["measure"])
    assert "gross margin" not in found["measure"]
    assert found["moved"] == ["inventories"]
    assert found["problem"] == ["the covenant is not met at the end of a quarter"]


def test_what_a_guide_offers() -> None:
    found = slots_of(document(GUIDE, **PAGE), layout_of(GUIDE), RARITY, [])
    assert found["subject"] == ["anvil"]
    assert "topic" not in found  # the title says what to do, which is a task
    assert found["task"] == ["rotate the anvil key", "rotate the key of a forge"]
    assert found["problem"] == ["my key has already expired", 'a call ends in "forge not found"']
    assert found["error"] == ["forge not found"]
    assert "year" not in found


def test_queries_name_company_and_year_and_are_of_several_kinds() -> None:
    made = queries(STATEMENT, "financial")
    assert len({query.kind for query in made}) >= 4
    asked = [query.text for query in made if query.kind in ("lookup", "calculation")]
    assert asked
    assert all("zappa" in text.casefold() and re.search(r"20(20|21)", text) for text in asked)


def test_the_same_seed_gives_the_same_queries_and_another_others() -> None:
    assert queries(STATEMENT, "financial", 1) == queries(STATEMENT, "financial", 1)
    assert queries(STATEMENT, "financial", 1) != queries(STATEMENT, "financial", 2)


def test_the_queries_do_not_depend_on_the_process() -> None:
    code = (
        "from tests.training.test_structure import queries, STATEMENT\n"
        "print([query.text for seed in range(12) for query in queries(STATEMENT, 'financial', seed)])"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(made) == 1


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 10_000), st.sampled_from([(STATEMENT, "financial"), (GUIDE, "forum"), (GUIDE, "general")])
)
def test_queries_are_distinct_filled_and_copy_no_sentence(seed: int, given_text: tuple[str, str]) -> None:
    text, domain = given_text
    made = queries(text, domain, seed)
    assert 0 < len(made) <= 8
    assert len({query.text.casefold() for query in made}) == len(made)
    for query in made:
        assert "{" not in query.text
        assert 3 <= len(query.text.split()) <= 40
        assert query.kind in (*KINDS, "cloze")
        assert not copied(query.text, layout_of(text).sentences)


def test_a_cloze_is_taken_out_of_its_document() -> None:
    clozes = [q for seed in range(40) for q in queries(GUIDE, "forum", seed) if q.kind == "cloze"]
    without = [query.document for query in clozes if query.document is not None]
    assert len(without) > len(clozes) / 2
    assert all(len(text) < len(GUIDE.strip()) for text in without)


@pytest.mark.parametrize("text", ["", "Page 5", "Intentionally left blank. " * 10])
def test_nothing_is_asked_about_nothing(text: str) -> None:
    assert queries(text, "financial") == []


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_form_can_be_filled(domain: str) -> None:
    forms = load_forms(domain)
    known = set(re.findall(r"[a-z_]+", str(slots.__doc__))) | {"cloze"}
    used = {name for kind in forms.forms.values() for form in kind for name in re.findall(r"\{(\w+)\}", form)}
    assert used <= known
    assert forms.forms.keys() == forms.weights.keys() == {*KINDS, "cloze"}


def test_settings_have_what_changes_a_query() -> None:
    one, other = (StructureGenerator(load_forms(name), RARITY).settings() for name in ("forum", "general"))
    assert one["prompt"] == "forum"
    assert one["prompt_sha256"] != other["prompt_sha256"]
