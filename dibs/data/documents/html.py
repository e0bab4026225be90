"""HTML, read as Markdown: tables and lists stay, scripts, styles and navigation go."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

from dibs.data.documents.base import By, Part, Read, title_of
from dibs.data.documents.markdown import markdown_parts
from dibs.data.documents.text import whole
from dibs.errors import InputError

_DROPPED = ("script", "style", "nav", "noscript", "template", "iframe", "svg", "head", "img")


def read_html(path: Path, by: By | None) -> Read:
    """The sections of a page, or the whole of it.

    Raises:
        InputError: it is not in the encoding it names, or nested deeper than any page.
    """
    return Read(html_parts(whole(path), path, by))


def html_parts(content: bytes | str, path: Path, by: By | None) -> list[Part]:
    """The parts of HTML that came from `path`."""
    from bs4 import BeautifulSoup, XMLParsedAsHTMLWarning
    from markdownify import MarkdownConverter

    try:
        with warnings.catch_warnings():  # a feed or an address is read as what it is called: a page
            warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
            warnings.simplefilter("ignore", UserWarning)
            soup = BeautifulSoup(content, "html.parser")
        if soup.contains_replacement_characters:
            raise InputError("is not in the encoding that it names", where=str(path))
        title = " ".join(soup.title.get_text().split()) if soup.title is not None else ""
        for tag in soup(_DROPPED):
            tag.decompose()
        converter = MarkdownConverter(
            heading_style="ATX", escape_asterisks=False, escape_underscores=False, escape_misc=False
        )
        text = str(converter.convert_soup(soup))
    except RecursionError:
        raise InputError("is nested too deep to be read", where=str(path)) from None
    text = re.sub(r"\n{3,}", "\n\n", text.replace("\u00a0", " ")).strip()
    return markdown_parts(text, title or title_of(path), by)
