"""For the site alone: a link out of docs/ leads to the repository, and is plain text if none is known."""

from __future__ import annotations

import posixpath
import re
from typing import Any

_OUTSIDE = re.compile(r"\[([^\]]*)\]\((\.\./[^)\s]*)\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """The page with its links out of docs/ mended; `repo_url` of mkdocs.yml is the repository."""

    def mended(link: re.Match[str]) -> str:
        text, target = link.groups()
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page.file.src_uri), target))
        if not config.repo_url:
            return text
        kind = "tree" if target.endswith("/") else "blob"
        return f"[{text}]({config.repo_url.rstrip('/')}/{kind}/main/{path})"

    return _OUTSIDE.sub(mended, markdown)
