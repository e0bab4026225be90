"""Whether a pinned package has a known vulnerability; red if one has, and never for want of an answer.

python .ci/audit.py [--timeout 60]
"""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

_COMMAND = (
    "-m",
    "pip_audit",
    "-r",
    "constraints.txt",
    "--no-deps",
    "--disable-pip",
    "--progress-spinner",
    "off",
)


def main() -> int:
    """Ask, say what came of it; 1 if there is a vulnerability."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for all answers together")
    seconds = parser.parse_args().timeout
    command = [sys.executable, *_COMMAND, "--timeout", "15", "-f", "json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
        found = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        print(f"not audited: no whole answer in {seconds:.0f} seconds")
        return 0
    except (ValueError, KeyError, TypeError):
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        print(f"not audited: {last}")
        return 0
    return tell(found)


def tell(found: list[dict[str, Any]]) -> int:
    """Print each vulnerability, and how many packages nobody could say anything of."""
    for one in found:
        for hole in one.get("vulns") or ():
            mended = ", ".join(hole["fix_versions"]) or "none yet"
            print(f"{one['name']} {one['version']}: {hole['id']} (mended in: {mended})")
    skipped = [one["name"] for one in found if "skip_reason" in one]
    holes = sum(len(one.get("vulns") or ()) for one in found)
    if skipped:
        print(f"not audited: {len(skipped)} of {len(found)} packages, which the service does not know")
    print(f"{len(found) - len(skipped)} packages audited, {holes} known vulnerabilities")
    return 1 if holes else 0


if __name__ == "__main__":
    sys.exit(main())
