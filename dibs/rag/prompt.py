"""Prompts: text files with a version, one for each family of tasks and a closed-book one beside it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from dibs.errors import InputError, unknown
from dibs.llm.chat import Message
from dibs.rag.passages import inert
from dibs.workspace import Workspace

_BUILTIN = Path(__file__).parent / "prompts"
_PLACE = re.compile(r"\{(passages|question)\}")
_FILE = re.compile(r"(?P<name>.+)\.v(?P<version>[1-9][0-9]*)")
_CLOSED = "-closed"


@dataclass(frozen=True)
class Prompt:
    """What a generator is asked with: a text with `{question}` in it and, open book, `{passages}`."""

    name: str
    """With its version: `financial.v1`."""
    text: str

    @property
    def sha256(self) -> str:
        """Of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def messages(self, question: str, passages: str = "") -> tuple[Message, ...]:
        """The request for one question; `passages` are as `Passages.render` made them."""
        values = {"question": inert(question), "passages": passages}
        return (Message("user", _PLACE.sub(lambda place: values[place[1]], self.text)),)


def find_prompt(name: str, workspace: Workspace, *, closed: bool = False) -> Prompt:
    """The prompt `financial.v1`, or the newest `financial`: of the workspace's `prompts/`, or of DIBS.

    Args:
        closed: The closed-book one, whose file is called `financial-closed.v1.txt`.

    Raises:
        InputError: there is none, or it does not say where question and passages go.
    """
    versions: dict[str, dict[int, Path]] = {}
    for folder in (_BUILTIN, workspace.root / "prompts"):
        for path in folder.glob("*.txt"):
            if found := _FILE.fullmatch(path.stem):
                versions.setdefault(found["name"], {})[int(found["version"])] = path
    asked = _FILE.fullmatch(name)
    family = asked["name"] if asked else name
    known = versions.get(family + _CLOSED if closed else family, {})
    version = int(asked["version"]) if asked else max(known, default=0)
    if version not in known:
        names = [f"{n}.v{v}" for n, paths in versions.items() for v in paths if n.endswith(_CLOSED) == closed]
        raise unknown(
            "closed-book prompt" if closed else "prompt",
            name,
            [one.replace(_CLOSED, "") for one in names],
            todo="Your own are files in the workspace's prompts/: NAME.v1.txt and NAME-closed.v1.txt.",
        )
    path = known[version]
    return Prompt(path.stem, _read(path, {"question"} if closed else {"question", "passages"}))


def _read(path: Path, places: set[str]) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the prompt cannot be read: {error}", where=str(path)) from None
    if sorted(_PLACE.findall(text)) != sorted(places):
        wanted = " and ".join(f"{{{place}}}" for place in sorted(places))
        raise InputError(f"the prompt is to hold {wanted}, each once and nothing else", where=str(path))
    return text
