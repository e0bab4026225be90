"""Values as tables and pages print them; a dash is what is not known."""

from __future__ import annotations

import re

import jinja2

from dibs.report.leaderboard.boards import Board
from dibs.report.leaderboard.finetuned import Gain
from dibs.scoring.statistics import Estimate

NOTHING = "\N{EN DASH}"
_MARKUP = re.compile(r"([\\`*_\[\]<>|#])")


def md(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _MARKUP.sub(r"\\\1", " ".join("".join(c if c.isprintable() else " " for c in text).split()))


def number(found: float | None) -> str:
    """A share with three digits."""
    return NOTHING if found is None else f"{found:.3f}"


def value(found: Estimate | None) -> str:
    """A measure's mean alone."""
    return NOTHING if found is None else number(found.value)


def interval(found: Estimate | None) -> str:
    """A measure's mean and its interval."""
    return NOTHING if found is None else str(found)


def seconds(found: float | None) -> str:
    """A time in the unit that it is read in."""
    if found is None:
        return NOTHING
    if found < 1:
        return f"{found * 1000:,.0f} ms" if found >= 0.001 else "< 1 ms"
    return f"{found:.3g} s" if found < 120 else f"{found / 60:,.0f} min"


def usd(found: float | None) -> str:
    """An amount of money, with the digits of its smallest parts where it is small."""
    return NOTHING if found is None else f"${found:,.2f}" if found >= 1 else f"${found:.2g}"


def size(parameters: int | None) -> str:
    """A model's parameters as the study's table writes them."""
    if parameters is None:
        return NOTHING
    return f"{parameters / 1e9:.1f}B" if parameters >= 1e8 else f"{parameters / 1e6:.0f}M"


def base(gain: Gain | None) -> str:
    """What the base model scored."""
    return number(gain.base.value) if gain and gain.base else NOTHING


def finetuned(gain: Gain | None) -> str:
    """What the best finetuned model scored, of how many, and whether the difference is chance's."""
    if not gain or not gain.finetuned:
        return NOTHING
    of = f", best of {gain.tried} on these queries" if gain.tried > 1 else ""
    p = "" if gain.p is None else f" (p = {gain.p:.2g}{of})"
    return f"{number(gain.finetuned.value)}{p}"


def counted(number: int, noun: str) -> str:
    """`1 record`, `2 records`, `2 queries`."""
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else many}"


def notes(board: Board) -> list[str]:
    """What has to be known of a board before its numbers are read."""
    task, cluster = board.task, board.entries[0].manifest["scoring"]["cluster"]
    told = []
    if task.get("sample"):
        told.append("A small sample to try things on, no part of the benchmark.")
    if board.lacking:
        told.append(f"Not the whole task: {board.lacking}.")
    if synthetic := task.get("synthetic"):
        told.append(f"Synthetic: no person asked these queries; {synthetic} made them.")
    if stood_for := task.get("stand_in_for"):
        told.append(f"A stand-in: its scores are not {stood_for}'s and are not comparable with them.")
    drawn = f"queries of equal {cluster} together" if cluster else "single queries"
    told.append(f"Intervals and tests draw {drawn}.")
    return told


def columns(board: Board) -> list[str]:
    """The measures beside the main one."""
    known = {name for entry in board.entries for name in entry.manifest["scoring"]["measures"]}
    return [name for name in ("recall@10", "success@10", "ndcg@10") if name in known - {board.main}]


FILTERS = {
    "md": md,
    "number": number,
    "value": value,
    "interval": interval,
    "seconds": seconds,
    "usd": usd,
    "size": size,
    "base": base,
    "finetuned": finetuned,
}


def templates() -> jinja2.Environment:
    """The templates of the report and the site; what goes into HTML is escaped."""
    loader = jinja2.PackageLoader("dibs.report.leaderboard", "page")
    environment = jinja2.Environment(
        loader=loader,
        autoescape=lambda name: name is None or ".html" in name,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= FILTERS
    environment.globals |= {"counted": counted, "notes": notes, "columns": columns}
    return environment
