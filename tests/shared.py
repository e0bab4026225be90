"""Where the real data lies that some tests compare with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def shared_data(*parts: str) -> Path:
    """A path in the real data ($DIBS_SHARED, else `shared` beside the checkout); skips if it is absent."""
    home = os.environ.get("DIBS_SHARED")
    root = Path(home) if home else Path(__file__).resolve().parents[1].parent / "shared"
    path = root.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"real data not here: {path}")
    return path
