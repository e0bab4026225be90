"""Every command's help ends in an example that can be typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from dibs.cli.main import app

ROOT = get_command(app)


def commands(command: Any = ROOT, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that lead to it."""
    subs = getattr(command, "commands", None)
    if subs is None:
        yield path, command
        return
    for name, sub in subs.items():
        yield from commands(sub, (*path, name))


ALL = dict(commands())


def examples(text: str) -> list[str]:
    """The lines of a help text that are examples."""
    return [" ".join(found.split()) for found in re.findall(r"Example: (.*?)(?:\n\s*\n|\Z)", text, re.DOTALL)]


def parse(words: list[str]) -> tuple[str, ...]:
    """The path of the command that the words are for, once it has taken all of them.

    Raises:
        Exception: of the command line's parser.
    """
    command: Any = ROOT
    path = []
    while getattr(command, "commands", None) is not None:
        path.append(words[0])
        command, words = command.commands[words[0]], words[1:]
    command.make_context(" ".join(path), list(words))
    return tuple(path)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_each_command_has_an_example_that_parses(path: tuple[str, ...]) -> None:
    found = examples(ALL[path].help or "")
    assert found, "no Example: in the help text"
    for line in found:
        program, *words = shlex.split(line)
        assert program == "dibs"
        assert parse(words) == path


@pytest.mark.parametrize("line", ["run --modle bm25 --task T", "run", "show a b", "tasks x"])
def test_an_example_that_does_not_parse_is_found(line: str) -> None:
    with pytest.raises(Exception, match=r"--modle|Missing|extra|many|required"):
        parse(line.split())


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_each_option_is_explained(path: tuple[str, ...]) -> None:
    silent = [param.name for param in ALL[path].params if not getattr(param, "help", None)]
    assert silent == []
