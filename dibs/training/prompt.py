"""The prompts of this package: text files with a version, filled with texts that cannot pass for more."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dibs.llm.chat import Message, Reply, Request
from dibs.rag.pieces import PieceTokenizer

AGAIN = "Write the bare object: no word before it or after it, and no other fields."
"""What is added where a first reply could not be read. Replies are kept, so the request has to differ."""

_FOLDER = Path(__file__).parent / "prompts"
_PLACE = re.compile(r"\{(\w+)\}")
_TAG = re.compile(r"<(?=[^\w<>]*(?:document|question)\b)", re.IGNORECASE)
_THOUGHT = re.compile(r"\s*<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)\n?\s*```", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Prompt:
    """A prompt that asks for a JSON object."""

    name: str
    """With its version: `financial.v1`."""
    text: str
    reply: str
    """What the prompt ends in: the object that is asked for."""
    schema: dict[str, Any]
    max_tokens: int

    @property
    def sha256(self) -> str:
        """Of all that is sent besides what is filled in."""
        return hashlib.sha256("\0".join((self.text, self.reply, AGAIN)).encode()).hexdigest()

    def settings(self) -> dict[str, Any]:
        """Everything that changes a reply besides the model and what is filled in."""
        return {"prompt": self.name, "prompt_sha256": self.sha256, "max_tokens": self.max_tokens}

    def request(self, values: Mapping[str, str], *, again: bool = False) -> Request:
        """The request with these texts filled in, the second one of its kind if `again`."""
        filled = {name: _TAG.sub("&lt;", text.strip()) for name, text in values.items()}
        filled["reply"] = f"{self.reply} {AGAIN}" if again else self.reply
        content = _PLACE.sub(lambda place: filled.get(place[1], place[0]), self.text)
        return Request((Message("user", content),), self.max_tokens, self.schema)


def load_prompt(name: str, reply: str, schema: dict[str, Any], max_tokens: int) -> Prompt:
    """The prompt in the file of that name."""
    text = (_FOLDER / f"{name}.txt").read_text(encoding="utf-8").strip()
    return Prompt(name, text, reply, schema, max_tokens)


def shortened(text: str, tokens: int) -> str:
    """The beginning of a document, in tokens of `pieces.v1`."""
    return PieceTokenizer().cut(text, tokens)


def read_object(reply: Reply) -> dict[str, Any]:
    """The reply's one JSON object, with or without a code fence, and nothing else.

    Raises:
        ValueError: it is anything else.
    """
    text = _THOUGHT.sub("", reply.text, count=1).strip()
    if fenced := _FENCE.fullmatch(text):
        text = fenced[1]
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        cut = "was cut off and " if reply.finish == "length" else ""
        raise ValueError(f"{cut}is not the JSON object asked for: {text!r:.80}") from None
    if not isinstance(found, dict):
        raise ValueError(f"is not a JSON object: {text!r:.80}")
    return found
