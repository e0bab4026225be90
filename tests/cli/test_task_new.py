from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dibs.cards.task import TaskCard
from dibs.cli.main import app
from dibs.data.prepare import ensure
from dibs.records import all_records
from dibs.workspace import Workspace
from tests.data.documents.files import pdf
from tests.training.helpers import GUIDE

ASKED = '{"questions": [{"kind": "lookup", "question": "What is the anvil key of this forge?"}]}'
YES = '{"reason": "so", "answerable": true, "specific": true, "natural": true}'


def run(*words: str | Path) -> tuple[int, str, str]:
    found = CliRunner().invoke(app, list(map(str, words)))
    return found.exit_code, found.stdout, found.stderr


@pytest.fixture
def filings(tmp_path: Path) -> Path:
    """Two filings of two pages, a guide of two sections, and a note."""
    folder = tmp_path / "filings"
    folder.mkdir()
    pdf(folder / "apple.pdf", ["Apple sold phones. Apple sold watches too.", "Margin was 43 percent."])
    pdf(folder / "boeing co.pdf", ["Boeing delivered airplanes.", "Backlog grew to 404 billion dollars."])
    (folder / "guide.md").write_text(
        "# Guide\n\n## Install\n\nRun the installer.\n\n## Remove\n\nDelete it.\n"
    )
    return folder


def questions(folder: Path, *rows: dict[str, object]) -> Path:
    path = folder.parent / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_page_gold_on_pages(workspace: Workspace, filings: Path) -> None:
    asked = questions(
        filings,
        {"id": "m", "query": "What was the margin?", "gold": "apple.pdf#p2", "answer": "43 %"},
        {"query": "How large is the backlog?", "gold": ["boeing%20co.pdf#p2"]},
        {"query": "How do I install it?", "gold": "guide.md#install"},
        {"query": "Who asked for nothing?"},
    )
    code, out, err = run("task", "new", "Own", "--documents", filings, "--queries", asked)
    assert (code, err) == (0, "")
    assert "Own: 6 units of 3 files (a part each), 4 queries, 3 of them with gold; in tasks/Own/" in out
    assert "dibs run --task Own --model bm25" in out
    card = workspace.card(TaskCard, "Own")
    assert card.levels == ("document", "part")
    assert (card.synthetic, card.redistributable, card.cluster) == (None, False, None)
    dataset = ensure(card, workspace)
    assert dataset.document("boeing%20co.pdf#p1") == {
        "id": "boeing%20co.pdf#p1",
        "title": "boeing co",
        "text": "Boeing delivered airplanes.",
        "document": "boeing%20co.pdf",
    }
    assert dataset.info.notes == ["1 queries have no relevant document and are left out"]
    assert dataset.query("m")["answer"] == "43 %"
    code, out, err = run("run", "--task", "Own", "--model", "bm25")
    assert (code, err) == (0, "")
    assert "Measured by part" in out
    assert "by document" in out


def test_one_run_is_scored_by_chunk_page_and_document(workspace: Workspace, filings: Path) -> None:
    asked = questions(filings, {"query": "Apple watches", "gold": "apple.pdf#p1#c2"})
    words = ("task", "new", "Own", "--documents", filings / "apple.pdf", "--queries", asked)
    code, out, err = run(*words, "--chunk-tokens", "4", "--chunk-stride", "2", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["levels"] == ["document", "page", "chunk"]
    code, out, _ = run("run", "--task", "Own", "--model", "bm25", "--json")
    rows = {row["level"]: row for row in json.loads(out)}
    assert list(rows) == ["chunk", "document", "page"]
    assert rows["page"]["n_documents"] == 2
    assert rows["document"]["measures"]["recall@1"]["value"] == 1.0
    (record,) = all_records(workspace.results)
    assert record.scores["level"] == "chunk"
    assert record.scores["subsets"]["all"]["measures"] == record.scores["levels"]["chunk"]["measures"]


def test_page_gold_of_chunks_is_measured_by_page(workspace: Workspace, filings: Path) -> None:
    gold: list[dict[str, object]] = [
        {"query": "margin", "gold": "apple.pdf#p2"},
        {"query": "Apple phones", "gold": "apple.pdf#p1"},
    ]
    asked = questions(filings, *gold)
    words = ("--documents", filings / "apple.pdf", "--queries", asked, "--chunk-tokens", "3")
    assert run("task", "new", "Own", *words)[0] == 0
    code, out, _ = run("run", "--task", "Own", "--model", "bm25")
    assert code == 0
    assert "Measured by page, the finest level at which every query has gold" in out
    assert "By chunk nothing is measured: no gold says which is right." in out
    (record,) = all_records(workspace.results)
    assert record.scores["subsets"]["all"]["measures"]["recall@1"]["value"] == 1.0
    assert record.scores["levels"]["chunk"]["measures"] is None
    assert record.queries()["recall@1"].tolist() == [1.0, 1.0]
    code, out, err = run("show", record.name, "--query", "q0001")
    assert (code, err) == (0, "")
    assert "apple.pdf#p2#c1" in out


def test_answers_alone_are_no_gold(workspace: Workspace, filings: Path) -> None:
    asked = questions(filings, {"query": "What was the margin?", "answer": "43 percent"})
    code, out, _ = run("task", "new", "Own", "--documents", filings, "--queries", asked)
    assert "No query has gold yet" in out
    assert (workspace.root / "tasks/Own/qrels/test.tsv").read_text() == "query-id\tcorpus-id\tscore\n"
    code, out, err = run("run", "--task", "Own", "--model", "bm25")
    assert (code, err) == (0, "")
    said = " ".join(out.split())
    assert "not scored: the task has no gold: no query is judged yet. dibs task label Own makes gold" in said
    assert list(all_records(workspace.results)) == []
    (record,) = all_records(workspace.results, "run")
    assert record.faults() == []
    (row,) = json.loads(run("run", "--task", "Own", "--model", "bm25", "--json")[1])
    assert (row["n_queries"], row["measures"], row["record"]) == (0, {}, f"results/{record.name}")
    code, out, err = run("show", record.name)
    assert (code, "is not scored: the task has no gold" in err) == (2, True)
    code, out, err = run("rag", "--retrieval", record.name, "--generator", "mock", "--json")
    assert (code, json.loads(out)[0]["arm"]) == (0, "retrieved")


def test_without_queries_a_test_set_is_made_and_says_so(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "guides"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.txt").write_text(f"Page {number}.\n{GUIDE}")
    (folder / "copy.txt").write_text(f"Page 0.\n{GUIDE}")
    words = ("task", "new", "Made", "--documents", folder, "--domain", "documentation", "--per-unit", "2")
    code, out, err = run(*words, "--count", "0")
    assert (code, err) == (0, "")
    assert "The queries are synthetic (structure, judged by nobody)" in out
    assert "No person asked them" in " ".join(out.split())
    card = workspace.card(TaskCard, "Made")
    assert card.synthetic == "structure, judged by nobody"
    assert "Synthetic" in card.description
    assert "Synthetic queries" in run("tasks", "--json")[1]
    dataset = ensure(card, workspace)
    assert set(dataset.query_field("kind")).isdisjoint({"cloze"})
    twins = [set(gold) for gold in dataset.qrels.values() if gold.keys() & {"0.txt", "copy.txt"}]
    assert all(gold == {"0.txt", "copy.txt"} for gold in twins)
    assert twins
    assert not (workspace.root / "pairs").exists()
    assert "Synthetic: no person asked these queries" in run("run", "--task", "Made", "--model", "bm25")[1]


def test_an_llm_and_its_judge_make_them(workspace: Workspace, filings: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.jsonl"
    rows = (
        {"contains": "Decide three things", "answer": YES},
        {"contains": "phones", "answer": ASKED},
        {"contains": "", "answer": '{"questions": []}'},
    )
    script.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (workspace.root / "models" / "llm").mkdir(parents=True)
    (workspace.root / "models" / "llm" / "scripted.toml").write_text(
        f'name = "scripted"\nadapter = "mock"\n\n[options]\nanswers = "{script}"\n'
    )
    words = ("task", "new", "Made", "--documents", filings / "apple.pdf", "--generator", "scripted")
    code, out, err = run(
        *words, "--judge", "scripted", "--chunk-tokens", "50", "--chunk-stride", "40", "--json"
    )
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["synthetic"] == "scripted, judged by scripted"
    assert found["queries"]["judge"] == {"rejected": 0, "unsure": 0}
    assert found["queries"]["kept"] == 1
    qrels = (workspace.root / "tasks/Made/qrels/test.tsv").read_text().splitlines()
    assert qrels[1:] == ["s0001\tapple.pdf#p1\t1"]  # chunks overlap: the page is right, not one chunk


def test_again_changes_nothing_and_other_input_is_refused(workspace: Workspace, filings: Path) -> None:
    asked = questions(filings, {"query": "margin", "gold": "apple.pdf"})
    words = ("task", "new", "Own", "--documents", filings, "--queries", asked)
    run(*words)
    folder = workspace.root / "tasks" / "Own"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    code, out, _ = run(*words)
    assert (code, "unchanged" in out) == (0, True)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    (filings / "new.txt").write_text("New.")
    code, _, err = run(*words)
    assert (code, "made of other input" in err, "--replace" in err) == (2, True, True)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    code, out, _ = run(*words, "--replace")
    assert (code, "7 units" in out) == (0, True)
    (folder / "corpus.jsonl").write_text("")
    code, _, err = run(*words)
    assert (code, "corpus.jsonl changed since the task was made" in err) == (2, True)
    (folder / "input.json").unlink()
    code, _, err = run(*words, "--replace")
    assert (code, "was not made by this command" in err) == (2, True)
    assert [path.name for path in sorted(folder.parent.iterdir())] == ["Own", "Own.toml"]


def test_what_is_passed_over_is_named(workspace: Workspace, filings: Path) -> None:
    (filings / "broken.pdf").write_bytes(b"%PDF")
    whole = (filings / "boeing co.pdf").read_bytes()
    (filings / "boeing co.pdf").write_bytes(whole[: whole.index(b"xref")])
    (filings / "picture.png").write_bytes(b"\0")
    asked = questions(filings, {"query": "margin", "gold": "apple.pdf"})
    code, out, _ = run("task", "new", "Own", "--documents", filings, "--queries", asked)
    assert code == 0
    assert "passed over: 1 files" in out
    assert "broken.pdf: cannot be read" in out
    assert "boeing co.pdf: was damaged; what could be repaired was read" in out
    assert "of kinds that are not read: 1 .png" in out
    manifest = json.loads((workspace.root / "tasks/Own/input.json").read_text())
    assert [one["file"] for one in manifest["skipped"]] == ["broken.pdf"]
    assert manifest["files"][0]["reader"] == "pdf"
    assert manifest["files"][0]["units"] == 2
    assert str(filings.parent) not in json.dumps(manifest)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("FinanceBench",), "there is a task FinanceBench already"),
        (("financebench",), "there is a task FinanceBench already"),
        (("../out",), "cannot be a task's name"),
        (("labels",), "cannot be a task's name"),
        (("Own", "--chunk-stride", "3"), "--chunk-stride is for chunks"),
        (("Own", "--chunk-tokens", "3", "--chunk-stride", "4"), "chunks of 3 tokens that begin every 4"),
        (("Own", "--generator", "nobody"), "no LLM is called 'nobody'"),
        (("Own", "--domain", "cooking"), "no domain is called 'cooking'"),
        (("Own", "--queries", "nowhere.csv"), "there is no such file"),
    ],
)
def test_what_does_not_fit_is_refused(
    workspace: Workspace, filings: Path, words: tuple[str, ...], problem: str
) -> None:
    code, out, err = run("task", "new", *words, "--documents", filings)
    assert (code, out) == (2, "")
    assert problem in err
    assert "Traceback" not in err


def test_gold_that_is_nowhere_leaves_nothing(workspace: Workspace, filings: Path) -> None:
    asked = questions(filings, {"query": "margin", "gold": "apple.pdf#p3"})
    code, _, err = run("task", "new", "Own", "--documents", filings, "--queries", asked)
    assert (code, "has the id 'apple.pdf#p3'" in err) == (2, True)
    assert list((workspace.root / "tasks").iterdir()) == []
    code, _, err = run("task", "new", "Own", "--documents", filings, "--queries", asked, "--seed", "4")
    assert (code, "--seed is for synthetic queries" in err) == (2, True)


def test_documents_may_not_hold_the_task(workspace: Workspace) -> None:
    (workspace.root / "a.txt").write_text("Text.")
    code, _, err = run("task", "new", "Own", "--documents", workspace.root)
    assert (code, "holds the folder that the task would be written to" in err) == (2, True)
