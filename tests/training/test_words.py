from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dibs.training.words import Rarity, copied, normalised, terms, words

TEXTS = [
    "The relay of the boiler is open. Check the relay and the Boiler.",
    "The meter reads the pulses of a relay, and despite that the boiler runs.",
    "Unrelated words despite everything.",
]


def test_normalised_texts_differ_in_words_alone() -> None:
    assert normalised("  What's the FY2018\nCAPEX?! ") == "what s the fy2018 capex"
    assert normalised("ﬁne ①") == "fine 1"
    assert normalised("?!") == ""


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)


def test_rare_words_weigh_more_and_stop_words_nothing() -> None:
    rarity = Rarity.of(TEXTS)
    assert rarity.documents == 3
    assert rarity.idf("meter") > rarity.idf("relay") > rarity.idf("the") == 0
    assert rarity.mean("the of") == 0


def test_terms_are_nouns_and_identifiers() -> None:
    rarity = Rarity.of(TEXTS * 2)
    found = terms(TEXTS[0] + " despite GPIO_12", rarity)
    assert {"relay", "GPIO_12"} <= set(found)
    assert "despite" not in found
    assert "the" not in found


def test_what_many_documents_have_is_no_term() -> None:
    many = ["Check the way of the relay." for _ in range(15)] + ["Nothing of the kind."] * 100
    found = terms("the way of the boiler", Rarity.of([*many, "the boiler is hot", "a boiler was hot"]))
    assert found == ["boiler"]


def test_names_keep_their_capitals() -> None:
    rarity = Rarity.of(["The Net sales of Corning", "net sales", "net SALES of Corning"])
    assert rarity.lowered("NET SALES of Corning and R&D") == "net sales of Corning and R&D"


def test_a_whole_sentence_in_a_query_is_noticed() -> None:
    assert copied("Why: The relay of the boiler is OPEN?", ["The relay of the boiler is open."])
    assert not copied("Is the relay of the boiler open?", ["The relay of the boiler is open."])
    assert words("A-b") == ["a", "b"]
