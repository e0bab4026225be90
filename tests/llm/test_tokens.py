from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiktoken
import tiktoken.registry
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Library
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

from dibs.errors import InputError, MissingError
from dibs.llm.tokens import (
    CharacterTokenizer,
    HubTokenizer,
    TiktokenTokenizer,
    Tokenizer,
    make_tokenizer,
)

PATTERN = "|".join(
    [
        r"'(?:[sdmt]|ll|ve|re)",
        r"[^\r\n\p{L}\p{N}]?+\p{L}+",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]++[\r\n]*",
        r"\s*[\r\n]",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
MERGED = ("th", "he", "the", " t", " the", "  ", "    ", "re", "ve", "rev", "en", "ue", "20", "23", "\u00fc")


def encoding() -> tiktoken.Encoding:
    """A small encoding of the kind of cl100k_base: bytes, and a few merged."""
    ranks = {bytes([value]): value for value in range(256)}
    for text in MERGED:
        ranks[text.encode()] = len(ranks)
    return tiktoken.Encoding("small", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={"<|end|>": 999})


def byte_level(added: bool) -> Library:
    """A trained byte-level BPE, as Voyage's are."""
    library = Library(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<s>", "</s>"],
    )
    library.train_from_iterator(["the revenue of the year 2023 over the previous year"] * 3, trainer)
    if added:
        library.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
        )
    library.enable_truncation(3)
    library.enable_padding(length=50)
    return library


def words() -> Library:
    """One token a word, in lower case, as BERT's."""
    library = Library(models.WordLevel({"[UNK]": 0, "revenue": 1}, unk_token="[UNK]"))
    library.normalizer = normalizers.Lowercase()
    library.pre_tokenizer = pre_tokenizers.Whitespace()
    return library


TOKENIZERS: dict[str, Tokenizer] = {
    "characters": CharacterTokenizer(),
    "tiktoken": TiktokenTokenizer(encoding()),
    "hub": HubTokenizer(byte_level(added=False)),
    "hub, tokens added": HubTokenizer(byte_level(added=True)),
}
TEXTS = st.text(alphabet=st.sampled_from("the rvnu 20\n,.'üß日🎉<|s>"), max_size=60)


@pytest.mark.parametrize("name", TOKENIZERS)
@given(text=TEXTS, limit=st.integers(3, 40))
@settings(max_examples=60, deadline=None)
def test_a_cut_text_is_a_beginning_within_the_limit(name: str, text: str, limit: int) -> None:
    tokenizer = TOKENIZERS[name]
    cut = tokenizer.cut(text, limit)
    assert text.startswith(cut)
    assert tokenizer.count([cut])[0] <= limit
    if tokenizer.count([text])[0] <= limit:
        assert cut == text
    else:
        assert len(cut) < len(text)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_little_is_lost_by_cutting(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    cut = tokenizer.cut("the revenue of the year 2023, " * 50, 100)
    assert tokenizer.count([cut])[0] >= 98


@pytest.mark.parametrize("name", TOKENIZERS)
def test_each_text_is_counted_by_itself(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    texts = ["the", "the revenue", "日本", "the"]
    assert tokenizer.count(texts) == [tokenizer.count([text])[0] for text in texts]
    assert tokenizer.count([]) == []


def test_characters_are_four_a_token_and_estimates() -> None:
    tokenizer = CharacterTokenizer()
    assert tokenizer.count(["", "a", "abcd", "abcde"]) == [0, 1, 1, 2]
    assert tokenizer.cut("abcdefghij", 2) == "abcdefgh"
    assert not tokenizer.exact
    assert TOKENIZERS["tiktoken"].exact
    assert TOKENIZERS["hub"].exact


def test_special_tokens_in_a_text_are_text() -> None:
    tokenizer = TOKENIZERS["tiktoken"]
    assert tokenizer.count(["<|end|>"])[0] > 1
    assert tokenizer.cut("<|end|> and more", 4).startswith("<|e")


def test_half_a_character_is_dropped() -> None:
    assert TOKENIZERS["tiktoken"].cut("日日", 4) == "日"


def test_added_tokens_count() -> None:
    plain, added = TOKENIZERS["hub"], TOKENIZERS["hub, tokens added"]
    assert added.count(["the year"])[0] == plain.count(["the year"])[0] + 2
    assert added.cut("the year", 2) == ""


def test_truncation_and_padding_of_the_file_are_off() -> None:
    assert TOKENIZERS["hub"].count(["1 2 3 4 5 6 7 8 9"])[0] > 3


def test_a_cut_text_keeps_its_case() -> None:
    assert HubTokenizer(words()).cut("Revenue  Grew FAST", 2) == "Revenue  Grew"


@pytest.mark.parametrize("name", [None, "characters"])
def test_no_tokenizer_is_characters(name: str | None) -> None:
    assert isinstance(make_tokenizer(name), CharacterTokenizer)


def test_a_tokenizer_is_read_from_a_file_or_folder(tmp_path: Path) -> None:
    byte_level(added=True).save(str(tmp_path / "tokenizer.json"))
    for place in (tmp_path, tmp_path / "tokenizer.json"):
        assert make_tokenizer(str(place)).count(["the"]) == TOKENIZERS["hub, tokens added"].count(["the"])


def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer\.json: is no tokenizer"):
        make_tokenizer(str(tmp_path))


def test_a_tokenizer_of_the_hub_is_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.errors import LocalEntryNotFoundError

    byte_level(added=False).save(str(tmp_path / "tokenizer.json"))
    asked: list[tuple[str, str, bool]] = []

    def download(repo: str, name: str, local_files_only: bool = False) -> str:
        asked.append((repo, name, local_files_only))
        if local_files_only and len(asked) == 1:
            raise LocalEntryNotFoundError("not here")
        return str(tmp_path / name)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert make_tokenizer("voyageai/voyage-3.5").exact
    assert asked == [
        ("voyageai/voyage-3.5", "tokenizer.json", True),
        ("voyageai/voyage-3.5", "tokenizer.json", False),
    ]
    make_tokenizer("voyageai/voyage-3.5")
    assert asked[2:] == [("voyageai/voyage-3.5", "tokenizer.json", True)]


def test_a_tokenizer_that_cannot_be_downloaded_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.errors import LocalEntryNotFoundError

    def download(*args: Any, **options: Any) -> str:
        raise LocalEntryNotFoundError("no network")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    with pytest.raises(MissingError, match=r"voyageai/voyage-3\.5.*\n  Run once with a network, set HF_HOME"):
        make_tokenizer("voyageai/voyage-3.5")


def test_what_is_no_name_is_refused() -> None:
    with pytest.raises(InputError, match="neither a tokenizer's file nor a name on the hub"):
        make_tokenizer("a/b/c/d")


def test_an_encoding_of_tiktoken_is_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: encoding())
    assert make_tokenizer("tiktoken:cl100k_base").count(["the"]) == [1]


def test_an_encoding_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match=r"no encoding 'cl100k'\n  Known: cl100k_base"):
        make_tokenizer("tiktoken:cl100k")


def test_an_encoding_that_cannot_be_downloaded_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import requests

    def download(name: str) -> tiktoken.Encoding:
        raise requests.ConnectionError("no network")

    monkeypatch.setattr(tiktoken, "get_encoding", download)
    with pytest.raises(
        MissingError, match=r"tiktoken:cl100k_base.*\n  Run once with a network, set TIKTOKEN_CACHE_DIR"
    ):
        make_tokenizer("tiktoken:cl100k_base")
