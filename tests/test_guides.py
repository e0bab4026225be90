"""What runs the guides has itself to notice when one is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.guides import run_guide

PAGE = """
# A guide

<!-- file: notes/a.txt -->
```text
first
second
```

```console
$ cat notes/a.txt    # both lines
first
$ cd notes
$ export SECOND="2 3" THIRD=
$ echo "$SECOND$THIRD" | cat - a.txt
2 3
first
$ cd ..
$ dibs \\
>   --version
dibs ...
$ echo "one   two" | cat; echo last
one two
...
last
```

<!-- not run: it needs a key -->

```console
$ false
```

```python
not_even_python(
```

1. In a list:

   <!-- keys: y n -->
   ```console
   $ cat
   yn
   ```
"""


def guide(tmp_path: Path, text: str) -> Path:
    page = tmp_path / "guide.md"
    page.write_text(text)
    return page


def test_files_are_written_and_commands_run_in_order(tmp_path: Path) -> None:
    here = Path.cwd()
    done = run_guide(guide(tmp_path, PAGE), tmp_path)
    assert [ran.command.text for ran in done] == [
        "cat notes/a.txt    # both lines",
        "cd notes",
        'export SECOND="2 3" THIRD=',
        'echo "$SECOND$THIRD" | cat - a.txt',
        "cd ..",
        "dibs --version",
        'echo "one   two" | cat; echo last',
        "cat",
    ]
    assert done[0].out == "first\nsecond\n"
    assert Path.cwd() == here
    assert "SECOND" not in os.environ


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ("$ false", "guide.md, line 2: false: left with 1"),
        ("$ dibs run --task X", "guide.md, line 2: dibs run --task X: left with 2"),
        ("$ true\n$ echo a b\na c", "guide.md, line 3: does not print 'a c'"),
        ("$ printf 'b\\na\\n'\na\nb", "guide.md, line 2: does not print 'b'"),
        ("printed by nothing", "guide.md, line 2: what no command prints"),
    ],
)
def test_what_does_not_hold_is_named(tmp_path: Path, block: str, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        run_guide(guide(tmp_path, f"```console\n{block}\n```\n"), tmp_path)


def test_a_block_that_is_not_closed_is_no_guide(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="not closed"):
        run_guide(guide(tmp_path, "```console\n$ true\n"), tmp_path)
