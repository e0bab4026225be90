"""Writes what is generated: docs/cli.md from the commands, docs/cards.md from the card types, README.md's
results from the records.

python docs/build.py           write them
python docs/build.py --check   say what is out of date, and leave with 1 if anything is
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.cli import get_docs_for_click

from dibs.cards.model import LLMCard, ModelCard, RerankerCard
from dibs.cards.task import Answers, Documents, Expect, Repository, Source, Subset, TaskCard
from dibs.cli.main import app
from dibs.records import Record
from dibs.report.leaderboard.build import read_report

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results: written by docs/build.py -->", "<!-- end of results -->"


def main() -> int:
    """Write or check the generated files; the exit code."""
    stale = []
    generated = {"docs/cli.md": commands(), "docs/cards.md": cards(), "README.md": readme()}
    for path, text in ((ROOT / name, text) for name, text in generated.items()):
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


def cards() -> str:
    """The reference of the cards' fields: a table a type, from the types and the texts below their fields."""
    texts = _texts(ROOT / "dibs" / "cards" / "task.py") | _texts(ROOT / "dibs" / "cards" / "model.py")
    parts = [_CARDS]
    for heading, kind in _KINDS.items():
        rows = [_field(name, field, _text(texts, kind, name)) for name, field in kind.model_fields.items()]
        doc = inspect.cleandoc(kind.__doc__ or "")
        parts.append("\n".join([f"## {heading}", "", doc, "", "| field | kind | if not set | meaning |"]))
        parts[-1] += "\n|---|---|---|---|\n" + "\n".join(rows)
    return "\n\n".join(parts) + "\n"


_CARDS = """# Cards

A card is a TOML file, named after its card: a task's lies in `tasks/`, an embedding model's in `models/`, a
reranker's in `rerankers/`, a chat model's in `models/llm/` of the workspace. A field that is none of these is
refused, with its name. `--set FIELD=VALUE` changes a model's for one run."""
_KINDS: dict[str, type[BaseModel]] = {
    "Task": TaskCard,
    "Task: `[source]`": Source,
    "Task: `[source.repositories.NAME]`": Repository,
    "Task: `[documents]`": Documents,
    "Task: `[subsets.NAME]`": Subset,
    "Task: `[answers]`": Answers,
    "Task: `[expect]`": Expect,
    "Model": ModelCard,
    "Reranker": RerankerCard,
    "Chat model": LLMCard,
}


def _field(name: str, field: FieldInfo, text: str) -> str:
    if field.is_required():
        default = "**required**"
    elif isinstance(value := field.get_default(call_default_factory=True), BaseModel) or value in (
        None,
        {},
        (),
    ):
        default = ""
    else:
        default = f"`{json.dumps(value)}`"
    cells = (f"`{name}`", _kind(field.annotation), default, " ".join(text.split()))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _kind(kind: Any) -> str:
    """A type in the words of TOML."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _kind(inner[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_kind(one) for one in inner if one is not NoneType))
    if origin is dict:
        return f"table of {_kind(inner[1])}"
    if origin is tuple:
        return f"list of {_kind(inner[0])}"
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "table"
    return {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}[kind]


def _text(texts: dict[tuple[str, str], str], kind: type[BaseModel], field: str) -> str:
    return next((texts[each.__name__, field] for each in kind.__mro__ if (each.__name__, field) in texts), "")


def _texts(path: Path) -> dict[tuple[str, str], str]:
    """The texts that stand below the fields, by class and field."""
    found = {}
    for item in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(item, ast.ClassDef):
            for field, below in pairwise(item.body):
                if (
                    isinstance(field, ast.AnnAssign)
                    and isinstance(field.target, ast.Name)
                    and isinstance(below, ast.Expr)
                    and isinstance(below.value, ast.Constant)
                ):
                    found[item.name, field.target.id] = str(below.value.value)
    return found


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
