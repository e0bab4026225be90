from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dibs.training.layout import Row, layout_of
from tests.training.helpers import GUIDE, STATEMENT


def test_a_page_of_a_filing() -> None:
    found = layout_of(STATEMENT)
    assert found.rows[:2] == [Row("Cash and cash equivalents", 2), Row("Inventories", 2)]
    assert [row.label for row in found.rows][-1] == "Total assets"
    assert "Long-term debt" in [row.label for row in found.rows]  # without the mark of its note
    assert found.years == ["2021", "2020"]
    assert found.headings == ["Consolidated Balance Sheets", "Zappa Corporation"]
    assert len(found.sentences) == 2


def test_markdown() -> None:
    found = layout_of(
        GUIDE + "```\n# no heading\nvalue 12 13\n```\nSee [the list](https://a.example/list) now.\n"
    )
    assert found.headings == ["Rotating the anvil key", "Before you begin"]
    assert found.rows == []
    assert "https" not in found.plain
    assert "the list" in found.plain


def test_what_is_no_row() -> None:
    lines = [
        "Notes to Statements 57",
        "Year ended December 31, 2021 2020",
        "Total 12 13",
        "(1) 5 6",
        "and 7 8",
    ]
    assert layout_of("\n".join(lines)).rows == []


@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_no_text_is_too_strange(text: str) -> None:
    found = layout_of(text)
    assert all(row.values > 0 and row.label for row in found.rows)
    assert all(found.headings)
