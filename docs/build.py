"""Writes what is generated: docs/cli.md from the commands, README.md's results from the records.

python docs/build.py           write them
python docs/build.py --check   say what is out of date, and leave with 1 if anything is
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import typer
from typer.cli import get_docs_for_click

from dibs.cli.main import app
from dibs.records import Record, all_records

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results: written by docs/build.py -->", "<!-- end of results -->"
MEASURES = ("recall@10", "recall@30", "recall@100", "success@10", "ndcg@10")


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
    """A table of every record of the real tasks, best first within a task and subset."""
    heading = ["task", "pipeline", "queries", "documents", *MEASURES, "record"]
    lines = [f"| {' | '.join(heading)} |", f"|{'---|' * len(heading)}"]
    rows = sorted(_rows(), key=lambda cells: (cells[0], cells[4]))
    lines += [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join(lines)


def _rows() -> Iterator[list[str]]:
    for record in all_records(ROOT / "results"):
        for subset, scores in record.scores["subsets"].items():
            name = record.task if subset == "all" else f"{record.task}, {subset}"
            cells = [_cell(scores["measures"][measure], measure == MEASURES[0]) for measure in MEASURES]
            yield [
                name,
                record.pipeline,
                f"{scores['n_queries']:,}",
                _documents(record),
                *cells,
                _link(record),
            ]


def _documents(record: Record) -> str:
    return f"{record.manifest['data']['documents']:,}"


def _link(record: Record) -> str:
    return f"[{record.hash[:6]}](results/{record.name}/manifest.json)"


def _cell(score: dict[str, float], interval: bool) -> str:
    value = f"{score['value']:.3f}"
    return f"**{value}** [{score['low']:.3f}, {score['high']:.3f}]" if interval else value


if __name__ == "__main__":
    sys.exit(main())
