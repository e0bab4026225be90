from __future__ import annotations

from pathlib import Path

import pytest

from dibs.data.documents.base import Part
from dibs.data.documents.markdown import markdown_parts, read_markdown
from dibs.errors import InputError

TEXT = """Before all.

# The `forge`

Hot.

## Install
### On Linux

Run it.

```sh
# no heading
```

#### Deep

Too deep to part.

Install
-------

Again.

## Nothing here
"""


def test_sections_stand_below_their_headings() -> None:
    assert markdown_parts(TEXT, "a file", None) == [
        Part("top", "The forge", "Before all."),
        Part("the-forge", "The forge", "Hot."),
        Part(
            "on-linux",
            "The forge: Install, On Linux",
            "Run it.\n\n```sh\n# no heading\n```\n\n#### Deep\n\nToo deep to part.",
        ),
        Part("install", "The forge: Install", "Again."),
    ]


def test_marks_are_distinct_and_headings_in_lists_are_none() -> None:
    text = "# A\n\n## Notes\nx\n\n> ## Quoted\n\n## Notes\ny\n\n## ??\nz"
    assert [(p.mark, p.title, p.text) for p in markdown_parts(text, "f", "section")] == [
        ("notes", "A: Notes", "x\n\n> ## Quoted"),
        ("notes-1", "A: Notes", "y"),
        ("section", "A: ??", "z"),
    ]


@pytest.mark.parametrize("by", ["document", "page"])
def test_the_whole_has_the_first_title(by: str) -> None:
    (whole,) = markdown_parts(TEXT, "a file", by)  # type: ignore[arg-type]
    assert whole == Part("", "The forge", TEXT)


def test_what_has_no_heading_is_whole() -> None:
    assert markdown_parts("Just text.", "a file", None) == [Part("", "a file", "Just text.")]
    assert markdown_parts("# Alone", "a file", None) == [Part("", "Alone", "# Alone")]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xff\xfa", "line 1: is not UTF-8"),
        (b"fine\n\xe4\n", "line 2: is not UTF-8"),
        (b"a\0b", "is not text: it holds NUL bytes"),
    ],
)
def test_malformed_files_are_named(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "a.md"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_markdown(path, None)
    assert str(path) in str(caught.value)
    assert problem in str(caught.value)


def test_encodings_that_say_what_they_are(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path = tmp_path / f"{encoding}.md"
        path.write_text("# Größe\r\n\r\nText.", encoding=encoding, newline="")
        assert read_markdown(path, None).parts == [Part("größe", "Größe", "Text.")]
