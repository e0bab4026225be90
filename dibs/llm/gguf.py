"""A chat model in a GGUF file, run on this machine's processor by openvino-genai."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dibs.errors import InputError, MissingError
from dibs.llm.chat import Message


class Likely(NamedTuple):
    """A token that may come next."""

    token: int
    logprob: float
    """Natural logarithm of its probability."""


class Written(NamedTuple):
    """Tokens that a model wrote."""

    tokens: list[int]
    """The end of turn included, where the model wrote it."""
    finish: str
    """`stop`, or `length` where they were cut off."""


class GgufModel:
    """Writes the likeliest continuation of a conversation. One thread at a time may use it.

    Prefix caching is off: with it a reply depends, in its last digits, on what was asked before.
    """

    def __init__(self, path: Path) -> None:
        """Load the weights, which takes seconds.

        Raises:
            MissingError: openvino-genai is not installed, or there is no such file.
            InputError: the file is not a GGUF model that openvino-genai reads.
        """
        try:
            import openvino_genai  # type: ignore[import-untyped, import-not-found, unused-ignore]
        except ImportError:
            raise MissingError(
                "openvino-genai, which runs GGUF models, is not installed",
                todo="Run: pip install 'dibs[genai]'",
            ) from None
        if not path.is_file():
            raise MissingError("there is no such file", where=str(path))
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise InputError("is not a GGUF file", where=str(path))
        self._genai = openvino_genai
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.enable_prefix_caching = False
        # Read in one piece, a prompt of 4,500 tokens takes a tenth less processor time than in the default
        # pieces of 256.
        scheduler.dynamic_split_fuse, scheduler.max_num_batched_tokens = False, sys.maxsize
        try:
            self._pipeline = openvino_genai.LLMPipeline(str(path), "CPU", scheduler_config=scheduler)
        except RuntimeError as error:
            problem = f"openvino-genai cannot run it: {_reason(error)}"
            raise InputError(problem, where=str(path)) from None
        self._tokenizer = self._pipeline.get_tokenizer()
        self._special = _special_texts(self._tokenizer)

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """The prompt's tokens: the messages in the model's own chat template, ready for its answer.

        A message is data. Where it holds the text of a special token, such as `<|im_end|>`, a space
        after the first character makes it ordinary text, so that it cannot end its turn.
        """
        turns = [
            {"role": m.role, "content": self._special.sub(lambda found: _split(found[0]), m.content)}
            for m in messages
        ]
        text = self._tokenizer.apply_chat_template(turns, add_generation_prompt=True)
        tokens = self._tokenizer.encode(text, add_special_tokens=False).input_ids.data
        return [int(token) for token in tokens[0]]

    def write(
        self, prompt: Sequence[int], limit: int, stops: Sequence[str] = (), schema: str | None = None
    ) -> Written:
        """The likeliest continuation, token by token.

        Args:
            limit: The most tokens.
            stops: Texts before which it ends.
            schema: A JSON schema, as JSON, that it has to fit.

        Raises:
            InputError: the schema is not one that can be followed.
        """
        settings: dict[str, Any] = {"stop_strings": set(stops)}
        if schema is not None:
            constraint = self._genai.StructuredOutputConfig(json_schema=schema)
            settings["structured_output_config"] = constraint
        try:
            result = self._generate(prompt, limit, **settings)
        except RuntimeError as error:
            if schema is None:
                raise
            raise InputError(f"the JSON schema cannot be followed: {_reason(error)}") from None
        cut = result.finish_reasons[0] == self._genai.GenerationFinishReason.LENGTH
        return Written([int(token) for token in result.tokens[0]], "length" if cut else "stop")

    def likeliest(self, prompt: Sequence[int], count: int) -> list[Likely]:
        """The likeliest next tokens, best first.

        openvino-genai tells the log-probability of written tokens alone, and only their sum. But the
        beams of a search that ends after one token are the likeliest tokens, and their scores are
        those tokens' log-probabilities.
        """
        if count == 1:
            result = self._generate(prompt, 1, logprobs=1)
        else:
            result = self._generate(prompt, 1, num_beams=count, num_return_sequences=count)
        beams = zip(result.tokens, result.scores, strict=True)
        found = [Likely(int(tokens[0]), float(score)) for tokens, score in beams]
        return sorted(found, key=lambda likely: (-likely.logprob, likely.token))

    def is_end(self, token: int) -> bool:
        """Whether that token ends the model's turn."""
        return token in self._pipeline.get_generation_config().stop_token_ids

    def decode(self, tokens: Sequence[int], *, special: bool = False) -> str:
        """The tokens' text, with the special ones or without."""
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=not special))

    def _generate(self, prompt: Sequence[int], limit: int, **settings: Any) -> Any:
        from openvino import Tensor

        config = self._pipeline.get_generation_config()
        config.max_new_tokens, config.do_sample, config.apply_chat_template = limit, False, False
        for name, value in settings.items():
            setattr(config, name, value)
        return self._pipeline.generate(Tensor(np.array([prompt], dtype=np.int64)), config)


def _special_texts(tokenizer: Any) -> re.Pattern[str]:
    """What matches the text of any special token: those that decoding leaves out unless told not to."""
    single = [[token] for token in range(len(tokenizer.get_vocab()))]
    plain = tokenizer.decode(single)
    whole = tokenizer.decode(single, skip_special_tokens=False)
    texts = {text for text, shown in zip(whole, plain, strict=True) if text and not shown}
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def _split(special: str) -> str:
    return f"{special[0]} {special[1:]}"


def _reason(error: RuntimeError) -> str:
    """What openvino says went wrong, without the places in its own source that come first."""
    return re.split(r"is false: |\n", str(error).strip())[-1]
