"""Labelling in a terminal, a key at a time."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

from dibs.labelling.session import Item, Session
from dibs.labelling.text import Piece

_LINES = 30
"""Of a document, until all of it is asked for."""


def label_in_terminal(session: Session, console: Console, key: Callable[[], str]) -> None:
    """Show documents and take grades until the last, or until the labeller quits.

    Args:
        key: Gives the key that is pressed; "" when there is no more to come.

    Raises:
        DibsError: a judgement cannot be written.
    """
    helped = " ".join(f"[{grade}] {meaning} " for grade, meaning in enumerate(session.grades))
    helped += " [s] skip  [b] back  [m] whole text  [q] quit"
    grades = {str(grade): grade for grade in range(len(session.grades))} | {"n": 0, "y": 1}
    whole, shown = False, -1
    while (item := session.item()) is not None:
        if item.place != shown or whole:
            _show(item, console, whole=whole)
            console.print(Text(helped, style="dim"))
        shown, whole = item.place, False
        pressed = key().lower()
        if pressed in grades:
            session.judge(grades[pressed])
        elif pressed == "s":
            session.skip()
        elif pressed == "b":
            session.back()
            shown = -1
        elif pressed == "m":
            whole = True
        elif pressed in ("q", "", "\x04"):
            return
    console.print("That was the last document.")


def _show(item: Item, console: Console, *, whole: bool) -> None:
    console.print(Rule(item.progress))
    console.print(Text(item.query, style="bold"))
    if item.answer:
        console.print(Text(f"answer: {item.answer}", style="green"))
    text = _marked(item.text)
    lines = text.wrap(console, max(20, console.width - 4))
    hidden = 0 if whole else max(0, len(lines) - _LINES)
    body = Text("\n").join(lines[: len(lines) - hidden])
    if hidden:
        body.append(f"\n... {hidden:,} more lines: [m]", style="dim")
    title = _marked(item.title)
    console.print(Panel(body, title=title if title.plain.strip() else None, subtitle=Text(item.document)))
    for labeller, grade in item.others.items():
        console.print(Text(f"{labeller} said {grade}"))
    if item.grade is not None:
        console.print(Text(f"you said {item.grade}", style="yellow"))


def _marked(found: list[Piece]) -> Text:
    return Text.assemble(*((part, "bold black on yellow") if marked else part for part, marked in found))
