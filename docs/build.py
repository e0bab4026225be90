"""Writes what is generated: docs/cli.md from the commands, README.md's results from the records.

python docs/build.py           write them
python docs/build.py --check   say what is out of date, and leave with 1 if anything is
"""

from __future__ import annotations

import sys
from pathlib import Path

import typer
from typer.cli import get_docs_for_click

from dibs.cli.main import app
from dibs.records import Record
from dibs.report.leaderboard.build import read_report

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results: written by docs/build.py -->", "<!-- end of results -->"


def main() -> int:
    """Write or check the generated files; the exit code."""
    stale = []
    for path, text in ((ROOT / "docs" / "cli.md", commands()), (ROOT / "README.md", readme())):
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if "--check" in sys.argv:
            stale.append(path.relative_to(ROOT).as_posix())
        else:
            path.write_text(text, encoding="utf-8")
    if stale:
        print(f"out of date: {', '.join(stale)}\n  Run: python docs/build.py", file=sys.stderr)
    return 1 if stale else 0


def commands() -> str:
    """The reference of the command line."""
    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="dibs")
    text = get_docs_for_click(obj=command, ctx=context, name="dibs", title="Commands")
    return f"{text.strip()}\n"


def readme() -> str:
    """README.md with its results as the records have them."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{results()}\n{END}{after}"


def results() -> str:
    """The best of each task: the pipelines that no paired test separates from it, and the next after them."""
    measures = ("recall@10", "success@10", "ndcg@10")
    heading = ["task", "rank", "pipeline", *measures, "record"]
    lines = [f"| {' | '.join(heading)} |", f"|{'---|' * len(heading)}"]
    for board in read_report(ROOT / "results").benchmark:
        rows = sorted(board.rows, key=lambda row: (row.rank, -row.entry.estimate(board.main).value))
        second = min((row.rank for row in rows if row.rank > 1), default=1)
        for row in (row for row in rows if row.rank <= second):
            main, *others = (row.entry.estimate(measure) for measure in measures)
            scores = [f"**{main.value:.3f}** [{main.low:.3f}, {main.high:.3f}]"]
            scores += [f"{one.value:.3f}" for one in others]
            cells = [board.name, str(row.rank), row.entry.pipeline, *scores, _link(row.entry.record)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _link(record: Record) -> str:
    return f"[{record.hash[:6]}](results/{record.name}/manifest.json)"


if __name__ == "__main__":
    sys.exit(main())
