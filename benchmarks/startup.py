"""How soon `dibs` answers, against `mteb`: whole processes, in turn, so that both see the same machine.

python benchmarks/startup.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
COMMANDS = (("--help",), ("tasks",), ("models",))


def main() -> None:
    """Print the seconds of each command, medians of the rounds, and mteb's over them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds + 1):  # the first fills the page cache and is not counted
        for words in (("mteb", "--help"), *(("dibs", *command) for command in COMMANDS)):
            seconds.setdefault(" ".join(words), []).append(timed(words))
    medians = {command: statistics.median(taken[1:]) for command, taken in seconds.items()}
    theirs = medians["mteb --help"]
    for command, median in medians.items():
        print(f"{command:12} {median:6.2f} s   {theirs / median:5.1f} times as fast as mteb --help")


def timed(words: tuple[str, ...]) -> float:
    """Wall seconds of one process."""
    started = time.perf_counter()
    subprocess.run([BIN / words[0], *words[1:]], check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
