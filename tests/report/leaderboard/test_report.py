from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from dibs.report.figures.costs import on_front
from dibs.report.figures.figure import Figure, write_figure
from dibs.report.leaderboard.build import link_to, read_report, write_report
from dibs.report.leaderboard.published import published
from dibs.report.leaderboard.words import NOTHING, md, seconds, size, usd
from tests.cli.test_cli import Said
from tests.report.leaderboard.made import answers, calibration, dense, reranked, retrieval
from tests.toys import ROOT

GOOD = [1.0] * 30
POOR = [0.0, 1.0] * 15


def report_of(results: Path, output: Path) -> str:
    write_report(read_report(results), output, "../results")
    return (output / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    record = retrieval(folder, "small", POOR)
    retrieval(folder, "small > judge (30)", GOOD, settings=reranked(dense("small")))
    retrieval(folder, "tuned", GOOD, model={"name": "tuned", "base": "small"})
    answers(folder, record, ["correct", "incorrect"])
    calibration(folder, "rules", 0.85, 0.7)
    return folder


def test_the_tables(results: Path, tmp_path: Path) -> None:
    text = report_of(results, tmp_path / "out")
    assert "| 1 | tuned | 1.000 [0.884, 1.000] | 1.000 | 0.800 |" in text
    assert r"| 1 | ↳ small \> judge (30) | 1.000" in text
    assert text.index("| small |") < text.index("↳ small")
    assert re.search(r"\| small \| 22M \| 0\.500 \| 1\.000 \(p = 0\.000\d\) \|", text)
    assert "| Tiny | small | gpt | rules | 0.500" in text
    assert "| rules | 0.850 [0.800, 0.900] | 0.700 |" in text
    assert r"A task \<b\>of\</b\> tests." in text
    assert "To be looked at" not in text


def test_every_link_of_the_report_leads_somewhere(results: Path, tmp_path: Path) -> None:
    text = report_of(results, tmp_path / "out")
    links = re.findall(r"\]\(((?!https?:)[^)]+)\)", text)
    assert len(links) > 20
    assert [link for link in links if not (tmp_path / "out" / link).exists()] == []


def test_tables_are_tables(results: Path, tmp_path: Path) -> None:
    """Every row has as many cells as its heading: a name could hold a bar."""
    retrieval(results, "a|b\n| c [x](y)", GOOD, on="Od|d")
    rows: list[int] = []
    for line in report_of(results, tmp_path / "out").splitlines():
        if not line.startswith("|"):
            rows = []
            continue
        rows.append(len(re.findall(r"(?<!\\)\|", line)))
        assert rows[0] == rows[-1], line


def test_published_numbers_stand_apart(results: Path, tmp_path: Path) -> None:
    measured, _, others = report_of(results, tmp_path / "out").partition("## Published")
    assert "e5-mistral" not in measured
    assert others.count("(*published*)") == len(published()) == 5
    assert "| gte-large-en-v1.5 | 0.4B | 0.293 | 0.552 | 0.821 | 0.873 | 0.849 | 0.884 |" in others
    assert all(table.source in others and table.reference.startswith("https://") for table in published())
    assert all(len(row) == len(table.columns) for table in published() for row in table.rows)


def test_the_same_records_give_the_same_bytes(results: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        report_of(results, tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) > 10
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)


def test_a_figure_that_the_records_no_longer_allow_is_removed(results: Path, tmp_path: Path) -> None:
    report_of(results, tmp_path / "out")
    (tmp_path / "out" / "figures" / "judges.svg").rename(tmp_path / "out" / "figures" / "old.svg")
    (tmp_path / "out" / "figures" / "mine.txt").write_text("kept")
    report_of(results, tmp_path / "out")
    names = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    assert "old.svg" not in names
    assert {"judges.svg", "mine.txt"} <= names


# Figures


def test_figures_have_data_and_words(results: Path, tmp_path: Path) -> None:
    report = read_report(results)
    write_report(report, tmp_path, "../results")
    assert [figure.name for figure in report.figures] == [
        "models",
        "reranking",
        "recall-at-k",
        "cost",
        "latency",
        "answers",
        "judges",
    ]
    for figure in report.figures:
        files = {kind: tmp_path / "figures" / f"{figure.name}.{kind}" for kind in ("csv", "svg", "png")}
        with files["csv"].open(encoding="utf-8", newline="") as rows:
            assert len(list(csv.DictReader(rows))) == len(figure.rows)
        assert ElementTree.parse(files["svg"]).getroot().tag.endswith("svg")
        assert "prefers-color-scheme: dark" in files["svg"].read_text(encoding="utf-8")
        assert files["png"].read_bytes().startswith(b"\x89PNG")
        assert len(figure.alt) > 30


def test_a_figure_is_drawn_again_only_if_its_data_changed(tmp_path: Path) -> None:
    drawn = []

    def figure(value: float) -> Figure:
        rows = [{"x": value}]
        return Figure("one", "One", "A figure.", rows, (2, 1), lambda canvas: drawn.append(value))

    for value in (1.0, 1.0, 2.0):
        write_figure(figure(value), tmp_path)
    assert drawn == [1.0, 2.0]
    (tmp_path / "one.png").unlink()
    write_figure(figure(2.0), tmp_path)
    assert drawn == [1.0, 2.0, 2.0]


def test_the_front() -> None:
    """Cheap and poor, dear and good, dear and poor, two equals."""
    assert on_front([1, 9, 9, 3, 3], [0.1, 0.9, 0.5, 0.4, 0.4]) == [True, True, False, True, True]


@pytest.mark.parametrize("name", ["$x_1$", "a\x00b", "\u202eright", "<script>", "x" * 150, "日本語"])
def test_any_name_can_be_drawn(tmp_path: Path, name: str) -> None:
    retrieval(tmp_path, f"a{name}", GOOD)
    report_of(tmp_path, tmp_path / "out")
    for path in (tmp_path / "out" / "figures").glob("*.svg"):
        ElementTree.parse(path)


# Words


def test_words() -> None:
    assert [seconds(v) for v in (None, 0.0001, 0.25, 2.5, 119.7, 600)] == [
        NOTHING,
        "< 1 ms",
        "250 ms",
        "2.5 s",
        "120 s",
        "10 min",
    ]
    assert [usd(v) for v in (None, 0.00123, 12.5)] == [NOTHING, "$0.0012", "$12.50"]
    assert [size(v) for v in (None, 22_713_216, 434_000_000, 7_110_660_096)] == [
        NOTHING,
        "23M",
        "0.4B",
        "7.1B",
    ]
    assert md("a\n| <b> _x_ \x1b[1m") == r"a \| \<b\> \_x\_ \[1m"


# The command


def test_the_command_writes_into_the_workspace(results: Path, tmp_path: Path) -> None:
    broken = retrieval(results, "broken", POOR)
    (broken.folder / "scores.json").unlink()
    said = Said("leaderboard", "--workspace", str(tmp_path))
    assert said.code == 0
    assert f"warning: {broken.name}: scores.json is absent" in said.err
    text = (tmp_path / "leaderboard" / "README.md").read_text(encoding="utf-8")
    assert rf"* {md(broken.name)}: scores.json is absent" in text
    assert "(../results/Tiny/small/" in text


def test_texts_without_pages_are_refused(results: Path, tmp_path: Path) -> None:
    said = Said("leaderboard", "--workspace", str(tmp_path), "--texts")
    assert (said.code, said.out) == (2, "")
    assert "Add --site" in said.err


def test_no_records_is_the_users_to_mend(tmp_path: Path) -> None:
    said = Said("leaderboard", "--workspace", str(tmp_path))
    assert said.code == 2
    assert "Make one: dibs run" in said.err


def test_links_lead_from_any_folder(tmp_path: Path) -> None:
    assert link_to(tmp_path / "results", tmp_path / "leaderboard") == "../results"
    assert link_to(tmp_path / "w" / "results", tmp_path / "a" / "b") == "../../w/results"


_HEAVY = """
import sys
from dibs.cli.main import app
try:
    app(["leaderboard", "--workspace", sys.argv[1]], prog_name="dibs")
except SystemExit as left:
    assert left.code == 0
print(sorted({"torch", "mteb", "pandas", "scipy", "datasets", "faiss", "transformers"} & sys.modules.keys()))
"""


def test_nothing_heavy_is_loaded(tmp_path: Path) -> None:
    for name in ("a", "b"):
        retrieval(tmp_path / "results", name, POOR)
    done = subprocess.run(
        [sys.executable, "-c", _HEAVY, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_two_hundred_records_take_seconds(tmp_path: Path) -> None:
    """Three of a processor's time on a quiet machine; other work on it makes them longer, hence six here."""
    random = np.random.default_rng(0)
    for task, queries in (("A", 150), ("B", 6_000), ("C", 100), ("D", 140), ("E", 300)):
        found = random.integers(0, 50_000, size=(queries, 2))
        run = {f"q{n}": {f"d{d}": 1.0 / (k + 1) for k, d in enumerate(row)} for n, row in enumerate(found)}
        for number in range(40):
            recall = (random.random(queries) < 0.3 + number / 100).astype(float)
            retrieval(tmp_path / "results", f"m{number}", recall.tolist(), on=task, run=run, intervals=False)
    script = "import resource, runpy, sys; sys.argv[0] = 'dibs'\n" + _HEAVY.replace(
        "print(", "print(resource.getrusage(resource.RUSAGE_SELF).ru_utime)\nprint("
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert float(done.stdout.splitlines()[-2]) < 6
