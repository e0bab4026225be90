"""`dibs export` and `dibs import`, there and back."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import ir_measures
import pytest
from ir_measures import R, Success, nDCG

from dibs.workspace import Workspace
from tests.cli.test_cli import Said, run

IR: Any = ir_measures


@pytest.fixture
def place(tiny_workspace: Workspace) -> Workspace:
    assert run().code == 0
    return tiny_workspace


PARTIAL = pytest.mark.filterwarnings("always:.*queries are not in the run")


def exported(tmp_path: Path) -> tuple[Path, Path]:
    said = Said("export", "trec", str(tmp_path / "out"), "Tiny/bm25")
    assert said.code == 0, said.err
    first, second = (Path(line) for line in said.out.splitlines())
    return first, second


def test_ir_measures_gets_our_numbers_from_our_files(place: Workspace, tmp_path: Path) -> None:
    ranked, qrels = exported(tmp_path)
    theirs = IR.calc_aggregate([R @ 1, R @ 10], IR.read_trec_qrels(str(qrels)), IR.read_trec_run(str(ranked)))
    ours = run("--json").json[0]["measures"]
    assert theirs == {R @ 1: ours["recall@1"]["value"], R @ 10: ours["recall@10"]["value"]}


@PARTIAL
def test_a_run_that_was_exported_scores_the_same_when_it_is_imported(
    place: Workspace, tmp_path: Path
) -> None:
    ranked, _ = exported(tmp_path)
    (tmp_path / "packed.gz").write_bytes(gzip.compress(ranked.read_bytes()))
    said = Said("import", str(tmp_path / "packed.gz"), "--task", "Tiny", "--name", "a colleague's", "--json")
    assert said.code == 0, said.err
    assert said.json[0]["pipeline"] == "a colleague's"
    assert said.json[0]["measures"] == run("--json").json[0]["measures"]


@PARTIAL
def test_an_imported_run_is_named_after_its_file(place: Workspace, tmp_path: Path) -> None:
    (tmp_path / "splade.run.txt").write_text("q1 Q0 apple-10k-p1 1 3.5 splade\n")
    said = Said("import", str(tmp_path / "splade.run.txt"), "--task", "Tiny", "--json")
    assert "4 of 5 queries are not in the run, such as 'q2': they score 0" in said.err
    assert said.json[0]["pipeline"] == "splade"
    assert said.json[0]["measures"]["recall@10"]["value"] == pytest.approx(1 / 5), "queries it lacks score 0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q9 Q0 apple-10k-p1 1 3.5 x", "1 of its 1 query ids are not in Tiny, such as 'q9'"),
        ("q1 Q0 pear 1 3.5 x", "1 of its 1 document ids are not in Tiny, such as 'pear'"),
        ("q1 Q0 apple-10k-p1 1 x", "line 1: has 5 columns, not 6"),
        ("q1 Q0 apple-10k-p1 1 much x", "line 1: the score 'much' is not a number"),
        ("q1 Q0 blank 1 2 x\nq1 Q0 blank 2 1 x", "has document 'blank' twice"),
        ("", "there is no ranking in it"),
    ],
)
def test_a_run_that_does_not_fit_is_refused(
    place: Workspace, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "bad.run").write_text(text)
    said = Said("import", str(tmp_path / "bad.run"), "--task", "Tiny")
    assert said.code == 2
    assert message in said.err


def test_an_import_that_lacks_something_says_what(place: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.run").write_text("")
    assert "needs its task" in Said("import", str(tmp_path / "a.run")).err
    assert "there is no such file" in Said("import", str(tmp_path / "b.run"), "--task", "Tiny").err
    assert "are for runs" in Said("import", str(tmp_path), "--task", "Tiny").err


def test_a_table_has_a_row_for_each_score(place: Workspace, tmp_path: Path) -> None:
    assert Said("export", "csv", str(tmp_path / "t.csv")).code == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text())))
    assert {(row["subset"], row["measure"]) for row in rows} == {
        (subset, measure) for subset in ("all", "checked") for measure in ("recall@1", "recall@10", "mrr@10")
    }
    found = next(row for row in rows if row["subset"] == "all" and row["measure"] == "recall@10")
    ours = run("--json").json[0]["measures"]["recall@10"]
    assert [float(found[name]) for name in ("value", "low", "high")] == list(ours.values())


def test_a_json_table_says_the_same(place: Workspace, tmp_path: Path) -> None:
    import json

    assert Said("export", "json", str(tmp_path / "t.json"), "Tiny/bm25").code == 0
    rows = json.loads((tmp_path / "t.json").read_text())
    assert [row["pipeline"] for row in rows] == ["bm25"] * 6


@pytest.mark.parametrize("to", ["trec", "mteb", "csv", "json"])
def test_an_edited_record_is_not_exported(place: Workspace, tmp_path: Path, to: str) -> None:
    scores = next(place.results.rglob("scores.json"))
    scores.write_text(scores.read_text() + "\n")
    said = Said("export", to, str(tmp_path / "out"))
    assert said.code == 1
    assert "scores.json is not as it was written" in said.err
    assert not (tmp_path / "out").exists()


def test_a_table_is_no_folder(place: Workspace, tmp_path: Path) -> None:
    said = Said("export", "json", str(tmp_path))
    assert (said.code, f"{tmp_path}: is a folder" in said.err) == (2, True)


@PARTIAL
def test_one_run_under_two_names_is_two_records(place: Workspace, tmp_path: Path) -> None:
    ranked, _ = exported(tmp_path)
    names = [
        Said("import", str(ranked), "--task", "Tiny", "--name", name, "--json").json[0]["record"]
        for name in ("mine", "yours")
    ]
    assert names[0].rpartition("/")[2] != names[1].rpartition("/")[2]


def test_nothing_to_export_is_said(tiny_workspace: Workspace, tmp_path: Path) -> None:
    said = Said("export", "csv", str(tmp_path / "t.csv"))
    assert (said.code, "there is no record" in said.err) == (2, True)
    assert not (tmp_path / "t.csv").exists()


def test_qrels_need_the_data_of_the_record(place: Workspace, tmp_path: Path) -> None:
    corpus = place.root / "tasks" / "tiny" / "corpus.jsonl"
    corpus.write_text(corpus.read_text().replace("480 airplanes", "481 airplanes"))
    assert Said("data", "prepare", "Tiny").code == 0
    said = Said("export", "trec", str(tmp_path / "out"), "Tiny/bm25")
    assert said.code == 2
    assert "other data" in said.err


def test_ids_with_blanks_are_one_column_in_both_files(tmp_path: Path, workspace: Workspace) -> None:
    folder = workspace.root / "tasks" / "blanks"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "a page", "title": "", "text": "net sales"}\n')
    (folder / "queries.jsonl").write_text('{"_id": "the q", "text": "net sales"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nthe q\ta page\t1\n")
    (folder.parent / "Blanks.toml").write_text(
        'name = "Blanks"\ndescription = "d"\nlicence = "l"\ncitation = "c"\n'
        '[source]\nkind = "beir"\npath = "blanks"\n'
    )
    assert run(task="Blanks").code == 0
    said = Said("export", "trec", str(tmp_path / "out"))
    ranked, qrels = (Path(line) for line in said.out.splitlines())
    found = IR.calc_aggregate(
        [Success @ 1, nDCG @ 10],
        IR.read_trec_qrels(str(qrels)),
        IR.read_trec_run(str(ranked)),
    )
    assert set(found.values()) == {1.0}


@pytest.mark.filterwarnings("default")  # MLflow's own
def test_a_record_is_a_run_of_mlflow_once(
    place: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow-skinny is not installed")
    monkeypatch.chdir(tmp_path)  # where MLflow puts artifacts of a local store
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    first = Said("export", "mlflow", uri, "Tiny/bm25")
    assert first.code == 0, first.err
    assert Said("export", "mlflow", uri, "Tiny/bm25").out == first.out
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("Tiny").experiment_id
    (found,) = client.search_runs([experiment])
    assert found.info.run_id == first.out.strip()
    ours = run("--json").json[0]["measures"]["recall@10"]
    names = ("recall_at_10", "recall_at_10/low", "recall_at_10/high")
    assert [found.data.metrics[name] for name in names] == list(ours.values())
    assert found.data.params["pipeline.k1"] == "1.5"
    kept = {item.path for item in client.list_artifacts(found.info.run_id)}
    assert kept == {"manifest.json", "run.trec.gz", "scores.json", "queries.parquet", "mteb.json"}


def test_without_mlflow_it_is_said_how_to_install_it(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dibs.encoders.base.find_spec", lambda name: None)
    said = Said("export", "mlflow", "sqlite:///x.db")
    assert (said.code, 'pip install "dibs[mlflow]"' in said.err) == (2, True)
