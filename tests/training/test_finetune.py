from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dibs.cards.model import ModelCard
from dibs.cards.read import read_card
from dibs.encoders.base import EncoderContext, make_encoder
from dibs.errors import InputError
from dibs.training import finetune as stage
from dibs.training.development import Evaluation
from dibs.training.finetune import Finetuned, Job, finetune
from dibs.training.outcome import card_of, outcome, write_card
from dibs.training.settings import Settings
from dibs.workspace import Workspace
from tests.encoders.local_models import card, make_model
from tests.toys import ROOT
from tests.training.small_pairs import DOCUMENTS, small_pairs

pytest.importorskip("accelerate")
SETTINGS = Settings(learning_rate=3e-3, batch_size=4, epochs=2, evaluations=2, others=4, patience=0, seed=3)
TEXTS = DOCUMENTS[:5]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    folder = make_model(tmp_path_factory.mktemp("base"))
    return card(folder, query_prompt="a {instruction} ", document_prompt="", max_tokens=32)


def job(base: ModelCard, cache: Path, settings: Settings = SETTINGS, **fields: Any) -> Job:
    made = Job("tuned", base, small_pairs(), settings, cache, instruction="net")
    return replace(made, **fields)


@pytest.fixture(scope="module")
def made(base: ModelCard, tmp_path_factory: pytest.TempPathFactory) -> tuple[Finetuned, Path]:
    """A model that was finetuned, and the folder that holds it."""
    place = tmp_path_factory.mktemp("made")
    return finetune(job(base, place / "cache"), place / "finetuned"), place


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")


def equal(one: Path, other: Path) -> bool:
    ours, theirs = weights(one), weights(other)
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_the_account_says_what_was_done(made: tuple[Finetuned, Path]) -> None:
    found, place = made
    about = json.loads((place / "finetuned" / "tuned.json").read_text())
    assert about == found.outcome.about
    assert about["base"] == "tiny"
    assert about["pairs"]["train"] == 16
    assert about["steps"]["made"] == about["steps"]["planned"] == 8
    assert [one["step"] for one in about["evaluations"]] == [0, 2, 4, 6, 8]
    assert about["development"]["documents"] == 10
    assert about["development"]["base"] == about["evaluations"][0]["recall"]
    best = next(one for one in about["evaluations"] if one["step"] == about["steps"]["best"])
    assert about["development"]["finetuned"] == best["recall"]
    assert [one["step"] for one in about["losses"]] == list(range(1, 9))
    assert about["prompts"] == {"query": "a {instruction} ", "document": ""}
    assert not list((place / "cache" / "finetuning").glob("*/"))
    assert sorted(path.name for path in (place / "finetuned").iterdir()) == ["tuned", "tuned.json"]


def test_the_same_again_trains_nothing_and_another_is_refused_the_name(
    base: ModelCard, made: tuple[Finetuned, Path]
) -> None:
    place = made[1]
    again = finetune(job(base, place / "cache"), place / "finetuned")
    assert again.reused
    assert again.outcome == made[0].outcome
    other = job(base, place / "cache", replace(SETTINGS, epochs=1))
    with pytest.raises(InputError, match="another finetuned model has that name"):
        finetune(other, place / "finetuned")


def test_sentence_transformers_loads_it_with_the_prompts_and_the_limit(
    base: ModelCard, made: tuple[Finetuned, Path]
) -> None:
    from sentence_transformers import SentenceTransformer

    folder = made[0].outcome.folder
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    assert model.prompts == {"query": "a net ", "document": ""}
    assert model.max_seq_length == 32
    theirs = model.encode_query(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    encoder = make_encoder(card_of(made[0].outcome, base, str(folder)), EncoderContext(made[1], "net"))
    np.testing.assert_allclose(encoder.encode(TEXTS, "query"), theirs, atol=1e-6)
    assert not equal(folder, Path(str(base.model)))


@pytest.mark.slow
def test_it_runs_as_an_onnx_graph(base: ModelCard, made: tuple[Finetuned, Path]) -> None:
    for module in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(module)
    found = card_of(made[0].outcome, base, str(made[0].outcome.folder))
    context = EncoderContext(made[1] / "onnx", "net")
    graph = make_encoder(found.running("onnxruntime", None), context)
    np.testing.assert_allclose(
        graph.encode(TEXTS, "document"), make_encoder(found, context).encode(TEXTS, "document"), atol=1e-5
    )


def test_its_card_runs_it_and_names_its_base(base: ModelCard, made: tuple[Finetuned, Path]) -> None:
    found, place = made
    shipped = base.model_copy(update={"package": "p", "package_path": "p/model", "revision": "0" * 40})
    workspace = Workspace(place, place / "cache")
    write_card(found.outcome, shipped, workspace)
    written = read_card(ModelCard, place / "models" / "tuned.toml")
    assert (written.base, written.model) == ("tiny", "finetuned/tuned")
    assert (written.query_prompt, written.document_prompt) == ("a {instruction} ", "")
    assert written.package is written.package_path is written.revision is None
    assert written.max_tokens == 32
    assert workspace.card(ModelCard, "tuned").model == str(place / "finetuned" / "tuned")


def test_a_model_that_is_no_better_is_kept_and_marked(base: ModelCard, made: tuple[Finetuned, Path]) -> None:
    found = made[0].outcome
    worse = found.about | {"development": found.about["development"] | {"improved": False}}
    marked = card_of(replace(found, about=worse), base, "finetuned/tuned")
    assert marked.description.endswith("No better than its base on the development pairs.")


class Stop(Exception):
    pass


def stop_at(step: int) -> Any:
    def watch(found: Evaluation) -> None:
        if found.step == step:
            raise Stop

    return watch


def test_a_training_that_was_stopped_goes_on_to_the_same_weights(
    base: ModelCard, made: tuple[Finetuned, Path], tmp_path: Path
) -> None:
    with pytest.raises(Stop):
        finetune(job(base, tmp_path / "cache"), tmp_path / "finetuned", stop_at(6))
    (checkpoints,) = (tmp_path / "cache" / "finetuning").glob("*/")
    half = checkpoints / "checkpoint-5"  # one that was being written
    half.mkdir()
    (half / "trainer_state.json").write_text('{"global_')
    asked: list[int] = []
    found = finetune(job(base, tmp_path / "cache"), tmp_path / "finetuned", lambda e: asked.append(e.step))
    assert asked == [6, 8]
    assert equal(found.outcome.folder, made[0].outcome.folder)
    assert found.outcome.about["losses"] == made[0].outcome.about["losses"]
    assert found.outcome.about["evaluations"] == made[0].outcome.about["evaluations"]
    assert outcome(tmp_path / "finetuned", "tuned") == found.outcome


def test_a_loss_that_did_not_fall_leaves_nothing(
    base: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(losses: Any, *, where: str) -> None:
        raise InputError("the loss did not fall", where=where)

    monkeypatch.setattr(stage, "refuse_unlearnt", refuse)
    with pytest.raises(InputError, match="tuned: the loss did not fall"):
        finetune(job(base, tmp_path, replace(SETTINGS, epochs=1)), tmp_path / "finetuned")
    assert not (tmp_path / "finetuned").exists()
    assert not list((tmp_path / "finetuning").glob("*/"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed",
    [
        {"mini_batch": 2, "matryoshka": (16, 8)},
        {"bf16": True, "gradient_checkpointing": True, "pooling": "cls"},
        {"lora": 2, "learning_rate": 3e-2},
    ],
    ids=["cached-matryoshka", "bf16-checkpointing", "lora"],
)
def test_ways_to_train(base: ModelCard, tmp_path: Path, changed: dict[str, Any]) -> None:
    if "lora" in changed:
        pytest.importorskip("peft")
    settings = replace(SETTINGS, **changed, evaluations=1)
    found = finetune(job(base, tmp_path, settings), tmp_path / "finetuned").outcome
    assert weights(found.folder).keys() == weights(Path(str(base.model))).keys()
    assert not equal(found.folder, Path(str(base.model)))
    tuned = make_encoder(card_of(found, base, str(found.folder)), EncoderContext(tmp_path, "net"))
    assert np.isfinite(tuned.encode(TEXTS, "query")).all()
    assert found.about["losses"][-1]["loss"] < found.about["losses"][0]["loss"]


def test_a_loss_that_is_no_number_ends_the_training(base: ModelCard, tmp_path: Path) -> None:
    settings = replace(SETTINGS, learning_rate=1e30, warmup=0.0)
    with pytest.raises(InputError, match=r"the loss is (nan|inf)|vectors that are not finite"):
        finetune(job(base, tmp_path, settings), tmp_path / "finetuned")


def test_hard_negatives_are_mined_from_a_run(base: ModelCard, tmp_path: Path) -> None:
    from dibs.cards.task import Documents, Source, TaskCard
    from dibs.evaluate import Work
    from dibs.retrieval.dense import DenseRetriever
    from dibs.training.roundtrip import asked_of

    task = TaskCard(
        name="pairs", description="", source=Source(kind="pairs"), documents=Documents(template="{text}"),
        licence="none", citation="none",
    )  # fmt: skip
    encoder = make_encoder(base, EncoderContext(tmp_path))
    miner = Work(task, asked_of(small_pairs().of("train"), None), DenseRetriever(encoder), base)
    settings = replace(SETTINGS, negatives=2, epochs=1, evaluations=1)
    found = finetune(job(base, tmp_path, settings, miner=miner), tmp_path / "finetuned").outcome
    counts = found.about["negatives"]
    assert counts["miner"] == "tiny"
    assert counts["hard"] + counts["drawn"] == 2 * 16


def test_a_batch_larger_than_the_documents_is_refused(base: ModelCard, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the training pairs are of 16 documents"):
        finetune(job(base, tmp_path, replace(SETTINGS, batch_size=17)), tmp_path / "finetuned")


def test_batches_that_hard_negatives_leave_unfilled_are_said(base: ModelCard, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    from dibs.training.development import Development
    from dibs.training.examples import Examples
    from dibs.training.trainer import train

    pairs = small_pairs()
    texts = [pair.document for pair in pairs.of("train")]
    negatives = [tuple(texts[(n + k) % len(texts)] for k in range(1, 6)) for n in range(len(texts))]
    settings = replace(SETTINGS, negatives=5, batch_size=16, evaluations=1)
    with pytest.raises(InputError, match=r"only 0 of .* batches could be filled"):
        train(
            SentenceTransformer(str(base.model), device="cpu", local_files_only=True),
            Examples(pairs.of("train"), negatives),
            Development.of(pairs, settings.others, settings.seed),
            settings,
            tmp_path,
        )


def test_a_model_that_is_no_sentence_transformer_is_refused(tmp_path: Path) -> None:
    other = ModelCard(name="far", adapter="openai", model="text-embedding-3-small", key="NO_SUCH_KEY")
    with pytest.raises(InputError):
        finetune(job(other, tmp_path), tmp_path / "finetuned")
    with pytest.raises(InputError, match="cosines"):
        finetune(job(ModelCard(name="m", adapter="openai", normalise=False), tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("learning_rate", 0.0), ("learning_rate", float("nan")), ("temperature", -0.1), ("batch_size", 1),
        ("epochs", 0), ("warmup", 1.0), ("margin", -0.1), ("negatives", -1), ("lora", -1), ("mini_batch", 0),
        ("matryoshka", (64, 0)), ("evaluations", 0), ("seed", 2**32),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(field: str, value: Any) -> None:
    with pytest.raises(InputError):
        Settings(**{field: value})


def test_two_settings_that_do_the_same_work_are_refused() -> None:
    with pytest.raises(InputError, match="do the same work"):
        Settings(mini_batch=8, gradient_checkpointing=True)


def test_no_two_pairs_of_a_batch_share_a_document() -> None:
    from datasets import Dataset
    from sentence_transformers.base.sampler import NoDuplicatesBatchSampler
    from torch import Generator

    from dibs.training.examples import Examples

    pairs = small_pairs(train=12).of("train")
    twice = [replace(pair, document_id=f"d{place // 2}") for place, pair in enumerate(pairs)]
    negatives = [(pairs[(place + 5) % 12].document,) for place in range(12)]
    examples = Examples(twice, negatives)
    keys = Dataset.from_dict(examples.keys())
    batches = list(
        NoDuplicatesBatchSampler(keys, batch_size=3, drop_last=True, generator=Generator(), seed=1)
    )
    assert batches
    for batch in batches:
        assert len({twice[place].document_id for place in batch}) == len(batch)
        texts = [text for place in batch for text in (twice[place].document, *negatives[place])]
        assert len(set(texts)) == len(texts)
    assert list(examples.columns()) == ["query", "document", "negative_1"]


def test_another_text_of_a_document_is_no_negative_beside_it() -> None:
    from dibs.training.examples import Examples

    whole, cloze, other = small_pairs(train=12).of("train")[:3]
    cloze = replace(cloze, document_id=whole.document_id, document="the text without a sentence")
    keys = Examples([whole, other, cloze], [(other.document,), (cloze.document,), (other.document,)]).keys()
    assert keys["negative_1_of"][1] == keys["document_of"][0]


_KILLED = """
import sys
from pathlib import Path
from dibs.training.finetune import finetune
from tests.training.test_finetune import SETTINGS, card, job
place = Path(sys.argv[1])
base = card(Path(sys.argv[2]), query_prompt="a {instruction} ", document_prompt="", max_tokens=32)
finetune(job(base, place / "cache"), place / "finetuned")
"""


@pytest.mark.slow
def test_a_process_that_was_killed_goes_on_to_the_same_weights(
    base: ModelCard, made: tuple[Finetuned, Path], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", _KILLED, str(tmp_path), str(base.model)]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    deadline = time.monotonic() + 600
    while not list(tmp_path.glob("cache/finetuning/*/checkpoint-*/trainer_state.json")):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "finetuned" / "tuned.json").exists()
    found = finetune(job(base, tmp_path / "cache"), tmp_path / "finetuned")
    assert equal(found.outcome.folder, made[0].outcome.folder)
