"""Does what a guide shows: writes its files, runs its console blocks, compares what they print.

    ```console
    $ dibs run --model bm25 --task Handbook   # a comment
    $ dibs run --model bm25 \\
        --task Handbook
    Handbook: 12 queries, ...
    ```

A line that begins with `$ ` is a command, with the lines after it that a backslash ends. Other lines are what
it prints: each has to be there in that order, blanks aside; `...` stands for anything, and as a line for any
lines or none. An HTML comment on the line above a block says more:

    <!-- not run: REASON -->    the block is passed over
    <!-- keys: yyn s q -->      what is typed into the block's commands; blanks are left out
    <!-- file: PATH -->         the block, of any language, is written to PATH, from the current folder

`dibs` runs in this process, which spares its start, as do `cd FOLDER` and `export NAME=VALUE`; whatever else
is run by bash, with `dibs` on its path.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from dibs.cli.main import app

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,})(?P<language>[\w-]*).*$")
_NOTE = re.compile(r"^ *<!-- (?P<kind>not run|keys|file): (?P<value>.+?) -->$")
_SHELL = re.compile(r"[|<>;&`]|\$[({\w]|[*?]")
"""What only a shell understands."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page and the note above it."""

    language: str
    lines: list[str]
    number: int
    """Of its first line in the page, from 1."""
    kind: str = ""
    value: str = ""


@dataclass(frozen=True)
class Command:
    """A command of a page, what is typed into it, and what the page says that it prints."""

    text: str
    shown: list[str]
    where: str
    keys: str = ""


@dataclass(frozen=True)
class Ran:
    """A command and what it printed; standard error comes last."""

    command: Command
    code: int
    out: str


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page."""
    note: re.Match[str] | None = None
    opened: re.Match[str] | None = None
    lines: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if opened is None:
            if opened := _FENCE.match(line):
                lines = []
            elif line.strip():
                note = _NOTE.match(line)
        elif line.strip() == opened["fence"]:
            kind, value = (note["kind"], note["value"]) if note else ("", "")
            yield Block(opened["language"], lines, number - len(lines), kind, value)
            opened = note = None
        else:
            lines.append(line.removeprefix(opened["indent"]))
    assert opened is None, f"{page.name}: the last block is not closed"


def commands(block: Block, page: str) -> Iterator[Command]:
    """The commands of a console block with what each prints."""
    keys = block.value.replace(" ", "") if block.kind == "keys" else ""
    found: list[tuple[str, list[str], int]] = []
    goes_on = False
    for number, line in enumerate(block.lines, start=block.number):
        if goes_on:
            text, shown, first = found.pop()
            found.append((f"{text} {line.removeprefix('> ').strip().removesuffix(chr(92))}", shown, first))
        elif line.startswith("$ "):
            found.append((line[2:].removesuffix("\\").strip(), [], number))
        elif line.strip():
            assert found, f"{page}, line {number}: what no command prints"
            found[-1][1].append(line)
        goes_on = line.endswith("\\") and (goes_on or line.startswith("$ "))
    for text, shown, number in found:
        yield Command(text, shown, f"{page}, line {number}", keys)


def run_guide(page: Path, folder: Path) -> list[Ran]:
    """Do in `folder`, which is the current one meanwhile, what the page shows.

    Raises:
        AssertionError: a command fails, or does not print what is shown; page and line are named.
    """
    done = []
    before, environment = Path.cwd(), os.environ.copy()
    os.chdir(folder)
    try:
        for block in blocks(page):
            if block.kind == "file":
                path = Path(block.value)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("\n".join(block.lines) + "\n", encoding="utf-8")
            elif block.language == "console" and block.kind != "not run":
                for command in commands(block, page.name):
                    done.append(_run(command))
                    _compare(done[-1])
    finally:
        os.chdir(before)
        os.environ.clear()
        os.environ.update(environment)
    return done


def _run(command: Command) -> Ran:
    words = [] if _SHELL.search(command.text) else shlex.split(command.text, comments=True)
    if words[:1] == ["cd"]:
        os.chdir(words[1])
        return Ran(command, 0, "")
    if words[:1] == ["export"]:
        os.environ.update({name: value for name, _, value in (word.partition("=") for word in words[1:])})
        return Ran(command, 0, "")
    if words[:1] == ["dibs"]:
        result = CliRunner().invoke(app, words[1:], input=command.keys, prog_name="dibs")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise AssertionError(f"{command.where}: {command.text}") from result.exception
        ran = Ran(command, result.exit_code, result.stdout + result.stderr)
    else:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        told = subprocess.run(
            ["bash", "-c", command.text],
            input=command.keys,
            capture_output=True,
            text=True,
            env=os.environ | {"PATH": path},
        )
        ran = Ran(command, told.returncode, told.stdout + told.stderr)
    assert ran.code == 0, f"{command.where}: {command.text}: left with {ran.code}\n{ran.out}"
    return ran


def _compare(ran: Ran) -> None:
    """Every shown line is printed, in that order, with whatever else between them."""
    rest = [" ".join(line.split()) for line in ran.out.splitlines()]
    for line in ran.command.shown:
        if line.strip() != "...":
            wanted = " ".join(line.split())
            pattern = re.compile(re.escape(wanted).replace(r"\.\.\.", ".*"))
            place = next((n for n, printed in enumerate(rest) if pattern.fullmatch(printed)), None)
            assert place is not None, f"{ran.command.where}: does not print {wanted!r}:\n{ran.out}"
            rest = rest[place + 1 :]
