"""Figures: an SVG for light and dark pages, a PNG, the data as CSV, and a text for who cannot see them.

A figure whose data and code are as they were is not drawn again: the SVG holds their hash.
"""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dibs.files import digest, sha256_file, write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

Rows = Sequence[Mapping[str, Any]]
"""Rows of equal keys."""
INK, FAINT, PAPER = "#1f2328", "#d5d9de", "#ffffff"
"""Of text, of grids and of the background on a light page."""
# A style sheet comes before presentation in a `style` attribute only where it says !important.
_DARK = """<style>@media (prefers-color-scheme: dark) {
[style*="fill: #1f2328"], text {fill: #e6edf3 !important}
[style*="stroke: #1f2328"] {stroke: #e6edf3 !important}
[style*="fill: #ffffff"] {fill: #151b23 !important}
[style*="stroke: #ffffff"] {stroke: #151b23 !important}
[style*="stroke: #d5d9de"] {stroke: #3d444d !important}
}</style>"""
_SETTINGS: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "figure.facecolor": PAPER,
    "axes.facecolor": "none",
    "font.size": 10,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "dibs",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
_DPI = 110


@dataclass(frozen=True)
class Figure:
    """What is drawn, and what is written beside it."""

    name: str
    """Of its files."""
    title: str
    alt: str
    """What it shows, in words."""
    rows: Rows
    """Its data, and all that it is drawn from."""
    size: tuple[float, float]
    """Width and height in inches."""
    draw: Callable[[Canvas], None]

    def csv(self) -> str:
        """The data as CSV, None as an empty cell."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()


def write_figure(figure: Figure, folder: Path) -> None:
    """Write NAME.csv, NAME.svg and NAME.png below `folder`; the bytes are the same each time."""
    data = figure.csv()
    write_bytes(folder / f"{figure.name}.csv", data.encode())
    made_of = digest([data, figure.title, figure.alt, figure.size, _code()])
    svg, png = folder / f"{figure.name}.svg", folder / f"{figure.name}.png"
    if svg.is_file() and png.is_file() and made_of in svg.read_text(encoding="utf-8", errors="replace"):
        return
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    with mpl.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a letter that the font lacks is drawn as a box
        canvas = Canvas(figsize=figure.size)
        figure.draw(canvas)
        picture, drawing = io.BytesIO(), io.StringIO()
        fast = {"compress_level": 4}  # the default takes twice the time for a tenth of the bytes
        canvas.savefig(picture, format="png", dpi=_DPI, metadata={"Software": None}, pil_kwargs=fast)
        about = {"Date": None, "Creator": None, "Title": figure.title, "Identifier": made_of}
        canvas.savefig(drawing, format="svg", metadata=about)
    write_bytes(png, picture.getvalue())
    before, _, after = drawing.getvalue().partition("<metadata>")
    text = f"{before}{_DARK}\n  <metadata>{after}"
    # Without this viewers fall back to a serif where matplotlib's own font is not installed.
    text = text.replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans', sans-serif")
    write_bytes(svg, "\n".join(line.rstrip() for line in text.splitlines()).encode() + b"\n")


def _code() -> list[str]:
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return [version("matplotlib"), *(sha256_file(source) for source in sources)]
