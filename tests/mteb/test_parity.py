"""The same scores from `mteb.evaluate` and from DIBS, to the five decimals that MTEB keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mteb
import pytest

import dibs.mteb as door
from dibs import plugins
from dibs.cards.model import ModelCard
from dibs.cards.task import DEFAULT_MEASURES, TaskCard
from dibs.encoders.base import Encoder, EncoderContext, make_encoder
from dibs.retrieval.base import Retriever
from dibs.retrieval.dense import DenseRetriever
from dibs.workspace import BUILTIN, Workspace
from tests.mteb.helpers import BM25, GROUP, WORDS, dibs_record, dibs_scores, mteb_scores

pytestmark = [GROUP, pytest.mark.usefixtures("words_adapter")]

MEASURES = (*DEFAULT_MEASURES, "precision@5", "map@10", "map@100", "ndcg@3", "mrr@100", "success@1")
HALF_A_DIGIT = 5.1e-6


def _retriever(model: ModelCard, task: TaskCard, workspace: Workspace) -> Retriever:
    if model.adapter == "bm25":
        made: Retriever = plugins.load("retriever", "bm25")(model)
        return made
    context = EncoderContext(workspace.cache, task.query_prompt or "", task.max_tokens)
    return DenseRetriever(make_encoder(model, context))


def _assert_equal(model: ModelCard, task: TaskCard, workspace: Workspace) -> dict[str, float]:
    theirs = mteb_scores(door.mteb_model(model, workspace), door.mteb_task(task, workspace))
    ours = dibs_scores(dibs_record(_retriever(model, task, workspace), task, workspace, model))
    assert len(ours) == len(task.measures)
    assert {name: theirs[name] for name in ours} == pytest.approx(ours, abs=HALF_A_DIGIT)
    return ours


@pytest.fixture(scope="module")
def pumps(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Twelve documents on invented pumps: graded judgements, equal texts, an empty text, titles."""
    root = tmp_path_factory.mktemp("pumps")
    folder = root / "tasks" / "pumps"
    (folder / "qrels").mkdir(parents=True)
    parts = ["seal", "rotor", "valve", "gasket"]
    corpus = [
        {"_id": f"p{n}", "title": f"Pump K{n % 4}", "text": f"Replace the {parts[n % 4]} of the pump."}
        for n in range(10)
    ]
    corpus += [{"_id": "p10", "title": "", "text": ""}, {"_id": "p11", "text": "The warranty is two years."}]
    queries = [{"_id": f"q{n}", "text": f"How do I replace the {part}?"} for n, part in enumerate(parts)]
    queries += [{"_id": "q4", "text": "How long is the warranty?"}, {"_id": "q5", "text": "Zanzibar"}]
    qrels = [(f"q{n}", f"p{m}", 1 + (m > 4)) for n in range(4) for m in range(n, 10, 4)]
    qrels += [("q4", "p11", 1), ("q5", "p10", 1)]
    _write_lines(folder / "corpus.jsonl", corpus)
    _write_lines(folder / "queries.jsonl", queries)
    rows = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in qrels)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(rows) + "\n")
    (root / "tasks" / "Pumps.toml").write_text(
        'name = "Pumps"\ndescription = "d"\nlicence = "mit"\ncitation = ""\nquery_prompt = "Find the page"\n'
        f"measures = {json.dumps(MEASURES)}\n"
        '[source]\nkind = "beir"\npath = "pumps"\n'
    )
    return Workspace(root, root / "cache")


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The first thirty documents of a sample that DIBS ships, and the queries they answer."""
    source = BUILTIN / "tasks" / "samples" / "manufactqa-sample"
    corpus = [json.loads(line) for line in (source / "corpus.jsonl").read_text().splitlines()[:30]]
    queries = [json.loads(line) for line in (source / "queries.jsonl").read_text().splitlines()]
    judged = [line.split("\t") for line in (source / "qrels" / "test.tsv").read_text().splitlines()[1:]]
    kept = [row for row in judged if row[1] in {document["_id"] for document in corpus}]
    asked = {row[0] for row in kept}
    assert len(asked) > 5
    root = tmp_path_factory.mktemp("cut")
    folder = root / "tasks" / "cut"
    (folder / "qrels").mkdir(parents=True)
    _write_lines(folder / "corpus.jsonl", corpus)
    _write_lines(folder / "queries.jsonl", [query for query in queries if query["_id"] in asked])
    rows = ["query-id\tcorpus-id\tscore", *("\t".join(row) for row in kept)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(rows) + "\n")
    card = (BUILTIN / "tasks" / "ManufactQA-Sample.toml").read_text()
    card = card.replace("samples/manufactqa-sample", "cut").replace("ManufactQA-Sample", "Cut")
    (root / "tasks" / "Cut.toml").write_text(card)
    return Workspace(root, root / "cache")


def _write_lines(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_bm25(pumps: Workspace) -> None:
    scores = _assert_equal(BM25, pumps.card(TaskCard, "Pumps"), pumps)
    assert 0 < scores["ndcg_at_10"] < 1


def test_a_dense_model_with_an_instruction(pumps: Workspace) -> None:
    model = WORDS.model_copy(update={"query_prompt": "{instruction}: ", "document_prompt": "passage: "})
    _assert_equal(model, pumps.card(TaskCard, "Pumps"), pumps)


def test_mtebs_own_search_over_our_encoder_agrees_too(pumps: Workspace) -> None:
    # Without index and search, MTEB embeds through `encode` and multiplies itself.
    task = pumps.card(TaskCard, "Pumps")
    encoder: Any = door.mteb_model(WORDS, pumps)
    wrapped = mteb.models.SearchEncoderWrapper(encoder)
    theirs = mteb_scores(wrapped, door.mteb_task(task, pumps))
    ours = dibs_scores(dibs_record(_retriever(WORDS, task, pumps), task, pumps, WORDS))
    # Equal texts need not have equal scores there, so measures within their ties may differ.
    for name in ("recall_at_100", "hit_rate_at_1", "mrr_at_10", "recall_at_30"):
        assert theirs[name] == pytest.approx(ours[name], abs=HALF_A_DIGIT)


def test_all_minilm(pumps: Workspace) -> None:
    model = pumps.card(ModelCard, "all-MiniLM-L6-v2")
    assert _assert_equal(model, pumps.card(TaskCard, "Pumps"), pumps)["hit_rate_at_10"] > 0.5


def test_a_shipped_sample_with_bm25_and_a_bag_of_words(cut: Workspace) -> None:
    for model in (BM25, WORDS):
        _assert_equal(model, cut.card(TaskCard, "Cut"), cut)


def test_a_shipped_sample_with_all_minilm(cut: Workspace) -> None:
    scores = _assert_equal(cut.card(ModelCard, "all-MiniLM-L6-v2"), cut.card(TaskCard, "Cut"), cut)
    assert scores["recall_at_10"] > 0.7


def test_an_encoder_of_mtebs_scores_here_as_it_does_there(cut: Workspace) -> None:
    task = cut.card(TaskCard, "Cut")
    theirs = mteb_scores(mteb.get_model("mteb/baseline-random-encoder"), door.mteb_task(task, cut))
    made = door.model_from_mteb("mteb/baseline-random-encoder", instruction=task.query_prompt or "")
    assert isinstance(made, Encoder)
    ours = dibs_scores(dibs_record(DenseRetriever(made), task, cut))
    assert {name: theirs[name] for name in ours} == pytest.approx(ours, abs=HALF_A_DIGIT)


def test_mtebs_bm25_finds_here_what_ours_finds(cut: Workspace) -> None:
    task = cut.card(TaskCard, "Cut")
    made = door.model_from_mteb("mteb/baseline-bm25s")
    assert not isinstance(made, Encoder)
    theirs, ours = dibs_record(made, task, cut), dibs_record(_retriever(BM25, task, cut), task, cut)
    assert dibs_scores(theirs) == dibs_scores(ours)
