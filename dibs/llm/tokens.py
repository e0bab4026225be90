"""Tokenizers of API models: what counts a text's tokens and cuts it before it is sent."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dibs.errors import InputError, MissingError

if TYPE_CHECKING:
    import tiktoken
    import tokenizers

CHARACTERS = "characters"
_CHARACTERS_A_TOKEN = 4


class Tokenizer(Protocol):
    """Counts and cuts, both in the model's own tokens."""

    @property
    def exact(self) -> bool:
        """Whether the counts are the model's, not estimates."""
        ...

    def count(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text, whole."""
        ...

    def cut(self, text: str, limit: int) -> str:
        """The longest beginning of `text` that has at most `limit` tokens."""
        ...


class CharacterTokenizer:
    """Estimates for models whose tokenizer cannot be had: 4 characters a token.

    That is what English prose has. Tables and numbers have fewer (2 to 3), so a text that is cut to
    the task's limit may have up to twice as many tokens; API models take more than twice the task's
    limit. Cutting shorter would drop half of every long page without a word, whereas a text that is
    too long after all is refused by the provider, and said.
    """

    exact = False

    def count(self, texts: Sequence[str]) -> list[int]:
        return [math.ceil(len(text) / _CHARACTERS_A_TOKEN) for text in texts]

    def cut(self, text: str, limit: int) -> str:
        return text[: limit * _CHARACTERS_A_TOKEN]


class TiktokenTokenizer:
    """OpenAI's encodings. Names of special tokens in a text are counted as the text they are."""

    exact = True

    def __init__(self, encoding: tiktoken.Encoding) -> None:
        self._encoding = encoding

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in self._encoding.encode_ordinary_batch(list(texts))]

    def cut(self, text: str, limit: int) -> str:
        ids = self._encoding.encode_ordinary(text)
        if len(ids) <= limit:
            return text

        def beginning(keep: int) -> str:  # a character whose bytes are not all there is dropped
            return self._encoding.decode_bytes(ids[:keep]).decode("utf-8", errors="ignore")

        return _longest(beginning, self.count, limit, limit)


class HubTokenizer:
    """A `tokenizer.json` of the Hugging Face kind; the tokens it adds by itself count."""

    exact = True

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._added = int(tokenizer.num_special_tokens_to_add(False))

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(encoding) for encoding in self._tokenizer.encode_batch(list(texts))]

    def cut(self, text: str, limit: int) -> str:
        # Offsets, not decoding, which changes case and blanks in many vocabularies.
        ends = [end for _, end in self._tokenizer.encode(text, add_special_tokens=False).offsets]
        keep = limit - self._added
        if len(ends) <= keep:
            return text
        return _longest(lambda count: text[: ends[count - 1]], self.count, limit, keep)


def make_tokenizer(name: str | None) -> Tokenizer:
    """The tokenizer a card names: `tiktoken:NAME`, `characters` (also for None), a folder or file with
    a `tokenizer.json`, or a name on the Hugging Face hub.

    Raises:
        InputError: there is no such encoding, or the file is not one.
        MissingError: it cannot be downloaded.
    """
    if name is None or name == CHARACTERS:
        return CharacterTokenizer()
    kind, _, encoding = name.partition(":")
    if kind == "tiktoken":
        return _from_tiktoken(encoding)
    return _from_hub(name)


def _from_tiktoken(name: str) -> TiktokenTokenizer:
    import tiktoken

    if name not in tiktoken.list_encoding_names():
        known = ", ".join(sorted(tiktoken.list_encoding_names()))
        raise InputError(f"tiktoken has no encoding {name!r}", todo=f"Known: {known}.")
    try:
        return TiktokenTokenizer(tiktoken.get_encoding(name))
    except OSError as error:  # requests' errors are among these
        raise _missing(f"tiktoken:{name}", "set TIKTOKEN_CACHE_DIR to a folder that has it") from error


def _from_hub(name: str) -> HubTokenizer:
    from tokenizers import Tokenizer

    place = Path(name)
    path = place / "tokenizer.json" if place.is_dir() else place
    if not path.is_file():
        path = _download(name)
    try:
        return HubTokenizer(Tokenizer.from_file(str(path)))
    except Exception as error:  # noqa: BLE001 - the library raises nothing more special
        raise InputError(f"is no tokenizer: {error}", where=str(path)) from None


def _download(name: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        try:  # what is there already needs no network
            return Path(hf_hub_download(name, "tokenizer.json", local_files_only=True))
        except LocalEntryNotFoundError:
            return Path(hf_hub_download(name, "tokenizer.json"))
    except HFValidationError:
        raise InputError(f"{name!r} is neither a tokenizer's file nor a name on the hub") from None
    except OSError as error:
        raise _missing(name, "set HF_HOME to a cache that has it") from error


def _missing(name: str, elsewhere: str) -> MissingError:
    return MissingError(
        f"the tokenizer {name!r} is not here and cannot be downloaded",
        todo=f'Run once with a network, {elsewhere}, or put tokenizer = "characters" into the card.',
    )


def _longest(
    beginning: Callable[[int], str], count: Callable[[Sequence[str]], list[int]], limit: int, keep: int
) -> str:
    """The longest beginning within the limit; a few less than `keep` tokens where a cut splits words anew."""
    for kept in range(keep, 0, -1):
        if count([text := beginning(kept)])[0] <= limit:
            return text
    return ""
