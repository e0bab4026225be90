from __future__ import annotations

from pathlib import Path

import pytest

from dibs.data.documents import text as text_reader
from dibs.data.documents.base import Part
from dibs.data.documents.html import read_html
from dibs.errors import InputError

PAGE = """<!doctype html><html><head><title>The
 forge</title><style>p { color: red }</style></head><body>
<nav><a href="/">Home</a></nav><script>alert("x")</script><h1>The forge</h1><p>It is&nbsp;<b>hot</b>.</p>
<h2>Prices</h2><table><tr><th>what</th><th>price</th></tr><tr><td>anvil_1*</td><td>3</td></tr></table>
<img src="data:image/png;base64,AAAA"><template>hidden</template></body></html>"""


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "a_page.html"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_sections_without_what_is_no_text(tmp_path: Path) -> None:
    first, second = read_html(written(tmp_path, PAGE), None).parts
    assert first == Part("the-forge", "The forge", "It is **hot**.")
    assert (second.mark, second.title) == ("prices", "The forge: Prices")
    assert second.text.splitlines() == ["| what | price |", "| --- | --- |", "| anvil_1* | 3 |"]


def test_the_whole(tmp_path: Path) -> None:
    (whole,) = read_html(written(tmp_path, PAGE), "document").parts
    assert whole.title == "The forge"
    assert whole.text.startswith("# The forge\n\nIt is **hot**.\n\n## Prices")
    for gone in ("alert", "Home", "color", "base64", "hidden"):
        assert gone not in whole.text


def test_a_page_says_its_encoding(tmp_path: Path) -> None:
    page = '<meta charset="iso-8859-1"><p>Größe</p>'.encode("latin-1")
    assert read_html(written(tmp_path, page), None).parts == [Part("", "a page", "Größe")]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("<div>" * 30_000 + "x", "is nested too deep to be read"),
        (b'<meta charset="utf-8">\xff\xfe\x00\x81' * 3, "is not in the encoding that it names"),
    ],
)
def test_malformed_pages_are_named(tmp_path: Path, content: str | bytes, problem: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read_html(path, None)
    assert (caught.value.where, caught.value.problem) == (str(path), problem)


def test_a_page_that_is_larger_than_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_reader, "MOST_BYTES", 10)
    with pytest.raises(InputError, match="has 20 bytes, more than 10"):
        read_html(written(tmp_path, "x" * 20), None)
