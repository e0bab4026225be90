"""How long `dibs leaderboard` takes for 201 records, against `mteb --help`: whole processes, in turn.

python benchmarks/leaderboard.py [--rounds 5]

The records are made up, 67 pipelines on each of three tasks with as many queries as the benchmark's.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from startup import timed

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.report.leaderboard.made import retrieval  # noqa: E402 - found by the line above

TASKS = {"FinanceBench": (150, 84), "ManufactQA": (6787, None), "DocsQA": (139, None)}
"""Queries and clusters."""
PIPELINES = 67


def main() -> None:
    """Print the seconds of each command, medians of the rounds, and mteb's over them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        made_up(Path(folder) / "results")
        for _ in range(rounds + 1):  # the first fills the page cache and is not counted
            shutil.rmtree(Path(folder) / "leaderboard", ignore_errors=True)
            for name, words in {
                "mteb --help": ("mteb", "--help"),
                "dibs leaderboard": ("dibs", "leaderboard", "--workspace", folder),
                "again, with its figures at hand": ("dibs", "leaderboard", "--workspace", folder),
            }.items():
                seconds.setdefault(name, []).append(timed(words))
    medians = {name: statistics.median(taken[1:]) for name, taken in seconds.items()}
    print(f"{PIPELINES * len(TASKS)} records")
    for name, median in medians.items():
        print(f"{name:32} {median:5.2f} s   {medians['mteb --help'] / median:5.1f} times as fast as mteb")


def made_up(results: Path) -> None:
    """Write the records."""
    random = np.random.default_rng(0)
    for task, (queries, clusters) in TASKS.items():
        labels = None if clusters is None else [f"c{place % clusters}" for place in range(queries)]
        for number in range(PIPELINES):
            documents = random.integers(0, 50_000, size=(queries, 30)).tolist()
            run = {
                f"q{place}": {f"d{one}": 1 - rank / 100 for rank, one in enumerate(row)}
                for place, row in enumerate(documents)
            }
            recall = (random.random(queries) < 0.3 + number / 200).astype(float)
            retrieval(results, f"model-{number}", recall.tolist(), on=task, run=run, clusters=labels)


if __name__ == "__main__":
    main()
