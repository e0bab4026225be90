"""What was made of a user's documents, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from dibs.report.terminal import printable

if TYPE_CHECKING:
    from dibs.domain.new import New

_NAMED = 10
"""Files that are named of those that were passed over."""


def as_json(made: New) -> dict[str, Any]:
    """The task, its counts, what was passed over, and whether it was there already."""
    names = ("counts", "queries", "skipped", "ignored", "identity")
    return {
        "task": made.card.name,
        "folder": f"tasks/{made.folder.name}",
        "levels": list(made.card.levels),
        "synthetic": made.card.synthetic,
        "reused": made.reused,
        **{name: made.manifest[name] for name in names},
        "next": _next(made),
    }


def new_view(made: New) -> Iterator[RenderableType]:
    """Counts, what was passed over by name, what is to be known of the queries, and the next commands."""
    counts, card = made.manifest["counts"], made.card
    unit = card.levels[-1] if card.levels else "document"
    yield Text(
        f"{card.name}: {counts['units']:,} units of {counts['files']:,} files (a {unit} each), "
        f"{counts['queries']:,} queries, {counts['with_gold']:,} of them with gold; "
        f"in tasks/{made.folder.name}/" + ("; unchanged: it is of this input already" if made.reused else "")
    )
    skipped = made.manifest["skipped"]
    if skipped:
        yield Text(f"passed over: {len(skipped):,} files, all of them in tasks/{made.folder.name}/input.json")
    noted = [{"file": one["file"], "why": one["note"]} for one in made.manifest["files"] if "note" in one]
    for one in [*skipped[:_NAMED], *noted[:_NAMED]]:
        yield Text(printable(f"  {one['file']}: {one['why']}"))
    if ignored := made.manifest["ignored"]:
        kinds = ", ".join(f"{count:,} {ending}" for ending, count in ignored.items())
        yield Text(printable(f"of kinds that are not read: {kinds}"))
    yield from _of_queries(made)
    yield Text("next:\n" + "\n".join(f"  {command}" for command in _next(made)))


def _of_queries(made: New) -> Iterator[Text]:
    about = made.manifest["queries"]
    if made.card.synthetic:
        yield Text(
            f"The queries are synthetic ({made.card.synthetic}): {about['kept']:,} kept of {about['made']:,} "
            f"that were made of {about['drawn']:,} units. No person asked them, and they use the documents' "
            "own words: scores are higher than people's questions would give, above all for BM25. Use them "
            "to try things, and real questions (--queries) to decide."
        )
        if about["failed"]:
            yield Text(
                f"{about['failed']:,} requests failed; --replace asks for them again, and for no others."
            )
    if not made.manifest["counts"]["with_gold"]:
        yield Text("No query has gold yet: dibs run keeps its runs and scores nothing until there is some.")


def _next(made: New) -> list[str]:
    name = made.card.name
    run = f"dibs run --task {name} --model bm25"
    label = f"dibs task label {name} --model bm25"
    return [run, label] if made.manifest["counts"]["with_gold"] else [label, run]
