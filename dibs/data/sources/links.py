"""Links of Markdown, taken out of a text in time that grows with its length and no faster.

A regular expression for them takes minutes for a page of 100,000 brackets that never close.
"""

from __future__ import annotations


def without_links(text: str, opening: str = "[", *, keep: bool = True) -> str:
    """The text with `[words](address)` as its words; from the first bracket to the first that closes one.

    Args:
        opening: "![" for pictures.
        keep: Whether the words stay.
    """
    parts: list[str] = []
    done, start = 0, text.find(opening)
    while start >= 0:
        words = start + len(opening)
        close = text.find("]", words)
        end = text.find(")", close + 2) if close >= 0 and text.startswith("(", close + 1) else None
        if close < 0 or (end is not None and end < 0):  # nothing closes any more
            break
        if end is not None:
            parts += [text[done:start], text[words:close] if keep else ""]
            done = end + 1
        # Whatever opens before a bracket that closes no link closes there too, and is none.
        start = text.find(opening, done if end is not None else close + 1)
    return "".join([*parts, text[done:]])
