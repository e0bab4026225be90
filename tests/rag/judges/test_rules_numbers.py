from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibs.rag.judges.rules.numbers import Quantity, quantities
from dibs.rag.judges.rules.text import plain


def values(text: str) -> list[float]:
    return [found.value for found in quantities(plain(text))]


def only(text: str) -> Quantity:
    (found,) = quantities(plain(text))
    return found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42),
        ("1,577", 1577),
        ("1577.00", 1577),
        (".5 of it", 0.5),
        ("$1.6 billion", 1.6e9),
        ("$1.6bn", 1.6e9),
        ("$1.6B", 1.6e9),
        ("US$ 32,635m", 32_635e6),
        ("EUR 12 million", 12e6),
        ("€12.5 million", 12.5e6),
        ("3 thousand", 3000),
        ("2 trillion yen", 2e12),
        ("12 (in millions)", 12e6),
        ("a 5-million loss", 5e6),
        ("2.8%", 0.028),
        ("2.8 percent", 0.028),
        ("2.8 per cent", 0.028),
        ("2.8 percentage points", 0.028),
        ("25 basis points", 0.0025),
        ("25bps", 0.0025),
        ("-473", -473),
        ("\u2212473", -473),
        ("-$473 million", -473e6),
        ("$-473 million", -473e6),
        ("$(473) million", -473e6),
        ("(1,577)", -1577),
        ("($1,577)", -1577),
        ("it is (2.8%) of sales", 0.028),
        ("1.33x", 1.33),
        ("twelve people", 12),
        ("zero", 0),
    ],
)
def test_a_number_is_worth_what_a_reader_takes_it_for(text: str, value: float) -> None:
    assert values(text) == [pytest.approx(value)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "In 2022 and FY2021, FY 22, fiscal 2020, Q3 2023 and Q2'23",
        "May 26, 2023; 26 May 2023; 1st of June; 2023-05-26; 5/26/23",
        "the 10-K and the 8-K of 3M, COVID-19, MMM26, version v2",
        "1. Sales\n2) Costs\n(3) Profit",
        "rounded to two decimal places",
        "one of the segments",
    ],
)
def test_dates_names_and_list_numbers_are_no_numbers(text: str) -> None:
    assert values(text) == []


def test_a_difference_is_no_range_and_no_sign() -> None:
    assert values("$19,815 million - $13,997 million") == [19_815e6, 13_997e6]


@pytest.mark.parametrize("text", ["10-12%", "10%-12%", "10\u201312 %", "between 10% and 12%"])
def test_the_ends_of_a_range_are_known_as_such(text: str) -> None:
    low, high = quantities(plain(text))
    assert [low.value, high.value] == pytest.approx([0.10, 0.12])
    assert low.ranged
    assert high.ranged


def test_from_and_to_is_no_range() -> None:
    assert not any(found.ranged for found in quantities("it rose from 8% to 9%"))


def test_a_year_with_a_unit_is_a_number() -> None:
    assert values("2,015 people, $2015, 2015 million") == [2015, 2015, 2015e6]


def test_the_printed_digits_are_kept() -> None:
    found = only("$1.60 billion")
    assert (found.decimals, found.currency, found.text) == (2, "$", "$1.60 billion")


@given(st.integers(0, 999_999_999))
def test_separators_of_thousands_change_nothing(number: int) -> None:
    assert values(f"${number:,}") == values(f"${number}") == [number]


@given(st.integers(1, 999_999), st.sampled_from([("thousand", 3), ("million", 6), ("billion", 9)]))
def test_a_scale_is_so_many_zeros(number: int, scale: tuple[str, int]) -> None:
    name, zeros = scale
    assert values(f"${number} {name}") == values(f"${number}{'0' * zeros}")


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    assert all(found.printed == found.printed for found in quantities(plain(text)))
