from __future__ import annotations

from pathlib import Path

import pytest

from tests.hub_server import python_on_hub, serving_hub

BARS = """
import io, json, sys
watched = sys.stderr = io.StringIO()  # no terminal
from dibs.hub import fetch
folder = fetch("model", "some/tiny", None)
print(json.dumps([sorted(path.name for path in folder.iterdir()), watched.getvalue()]))
"""


@pytest.mark.parametrize("wanted", [False, True])
def test_progress_bars_are_off_where_nobody_watches_unless_they_are_asked_for(
    tmp_path: Path, wanted: bool
) -> None:
    with serving_hub() as hub:
        hub.add("model", "some/tiny", {"config.json": "{}"})
        asked = {"HF_HUB_DISABLE_PROGRESS_BARS": "0"} if wanted else {}
        files, said = python_on_hub(hub.url, tmp_path, BARS, environment=asked)
    assert files == ["config.json"]
    assert ("Fetching 1 files" in said or "%" in said) == wanted, said
