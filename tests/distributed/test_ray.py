"""Two workers of a local cluster beside the single process: the same vectors, whatever dies."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dibs.cards.model import LLMCard, ModelCard
from dibs.distributed import engine as engines
from dibs.distributed.encode import SpreadEncoder
from dibs.distributed.engine import RayEngine
from dibs.distributed.generate import Relay
from dibs.distributed.pool import IN_FLIGHT, POISON, Pool, Task
from dibs.encoders.base import Encoder, EncoderContext, make_encoder
from dibs.encoders.embed import embed
from dibs.encoders.local import LocalEncoder
from dibs.errors import InputError, ProviderError
from dibs.llm.chat import Message, Reply, Request, make_llm
from dibs.llm.engine import ChatClient
from dibs.workspace import Workspace
from tests.cli.test_cli import run
from tests.distributed.toys import ToyWorker
from tests.encoders.test_onnx import WORDS, graph, save_tokenizer, tiny_card
from tests.toys import HashEncoder

pytest.importorskip("ray")
pytest.importorskip("onnxruntime")
pytestmark = [
    pytest.mark.slow,  # a cluster takes some ten seconds to begin
    pytest.mark.xdist_group("ray"),
    # Of Ray's own processes, when a busy machine has it begin twice.
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]

_DRAW = random.Random(0)
TEXTS = [" ".join(_DRAW.choices(WORDS[3:], k=_DRAW.randrange(40))) for _ in range(5000)]
"""More than two windows of them, some empty, many equal."""


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    """Two workers, for all tests of this file: Ray takes seconds to begin."""
    made = RayEngine(None, 2)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def model(cache: Path) -> ModelCard:
    """A graph of one look-up; a batch has some 100 texts."""
    save_tokenizer(cache / "tiny")
    (cache / "tiny" / "model.onnx").write_bytes(graph())
    return tiny_card(cache / "tiny", normalise=True, batch_size=256, max_tokens=16, batch_tokens=1600)


def spread(card: ModelCard, engine: RayEngine, cache: Path) -> SpreadEncoder:
    made = make_encoder(card, EncoderContext(cache, engine=engine))
    assert isinstance(made, SpreadEncoder)
    return made


def alone(card: ModelCard, cache: Path) -> Encoder:
    return make_encoder(card, EncoderContext(cache))


def workers(encoder: SpreadEncoder) -> list[int]:
    """Their processes."""
    encoder.ready()
    assert encoder._pool is not None
    while len(encoder._pool.hellos) < encoder._pool.size:
        encoder._pool._landed()
    return [hello.process for hello in encoder._pool.hellos]


def killed_midway(encoder: SpreadEncoder, texts: list[str]) -> np.ndarray:
    """The vectors of texts, a worker of which is killed after the first batch."""
    victim = workers(encoder)[0]
    vectors = np.full((len(texts), encoder.dimension), np.nan, np.float32)
    for number, batch in enumerate(encoder.stream(texts, "document")):
        if number == 0:
            os.kill(victim, signal.SIGKILL)
        assert np.isnan(vectors[batch.positions]).all(), "a batch came twice"
        vectors[batch.positions] = batch.vectors
    return vectors


def test_the_vectors_are_those_of_one_process_and_so_are_the_batches(
    engine: RayEngine, model: ModelCard, cache: Path
) -> None:
    encoder, own = spread(model, engine, cache), alone(model, cache)
    ours = embed(encoder, "document", iter(TEXTS), len(TEXTS), cache / "ours")
    theirs = embed(own, "document", iter(TEXTS), len(TEXTS), cache / "theirs")
    assert np.array_equal(ours.vectors(), theirs.vectors())
    assert (ours.encoded, ours.cut) == (theirs.encoded, theirs.cut)
    assert ours.store.folder.name == theirs.store.folder.name, "the store's name does not tell the engine"
    batches = [
        {tuple(batch.positions.tolist()) for batch in each.stream(TEXTS, "document")}
        for each in (encoder, own)
    ]
    assert batches[0] == batches[1]
    assert len(batches[0]) > 20
    said = encoder.about["engine"]
    assert (said["name"], said["workers"], said["started_again"]) == ("ray", 2, 0)
    assert said["largest_difference"] == 0


def test_a_killed_worker_is_started_again_and_nothing_is_lost(
    engine: RayEngine, model: ModelCard, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = spread(model, engine, cache)
    assert np.array_equal(killed_midway(encoder, TEXTS), alone(model, cache).encode(TEXTS, "document"))
    assert encoder.about["engine"]["started_again"] == 1
    said = capsys.readouterr()
    assert "a worker died and is started again" in said.err
    assert said.out == "", "standard output is for results"


def test_nothing_to_encode_begins_nothing(model: ModelCard, tmp_path: Path) -> None:
    begun = RayEngine(None, 2)
    encoder = spread(model, begun, tmp_path)
    assert list(encoder.stream([], "document")) == []
    assert "engine" not in encoder.about
    assert begun._pool is None


def test_what_is_no_local_model_stays_here(engine: RayEngine, model: ModelCard, tmp_path: Path) -> None:
    encoder = HashEncoder()
    assert engine.spread(encoder, model, EncoderContext(tmp_path)) is encoder


def test_a_model_that_differs_on_a_worker_is_refused(
    engine: RayEngine, model: ModelCard, cache: Path, tmp_path: Path
) -> None:
    shutil.copytree(cache / "tiny", tmp_path / "tiny")
    encoder = spread(model.model_copy(update={"model": str(tmp_path / "tiny")}), engine, tmp_path)
    (tmp_path / "tiny" / "model.onnx").write_bytes(graph() + b"\n")
    with pytest.raises(InputError, match="the model of a worker is not that of this machine"):
        encoder.encode(["net"], "document")


def pool(engine: RayEngine, folder: Path, *, stillborn: bool = False) -> Pool:
    """Workers that double numbers."""
    return Pool(lambda seat: engine.cluster.actor(ToyWorker, seat, folder, stillborn), engine.cluster.seats())


def numbers(*wanted: int) -> deque[Task]:
    return deque(Task("encode", (number,), f"the number {number}") for number in wanted)


def room(engine: RayEngine) -> None:
    """The cluster's cores, which the last encoder's workers hold."""
    if engine._pool is not None:
        engine._pool.close()


def test_tasks_are_asked_for_when_they_are_wanted_and_an_error_comes_last(
    engine: RayEngine, tmp_path: Path
) -> None:
    room(engine)
    made, asked, most = pool(engine, tmp_path), 0, 0

    def more() -> Iterator[Task]:
        nonlocal asked
        for number in range(40, 80):
            asked += 1
            yield numbers(number)[0]

    for count, _ in enumerate(made.work(deque(), more()), 1):
        most = max(most, asked - count)
    assert asked == count == 40
    assert most <= IN_FLIGHT * 2 + 1, "tasks lie in memory"
    done: list[int] = []
    with pytest.raises(InputError, match="-1: is less than nothing") as error:
        done.extend(one.result for one in made.work(numbers(1, 2, -1), iter(())))
    assert error.value.todo == "Give another."
    assert sorted(done) == [2, 4]
    assert made.closed


def test_a_task_that_kills_is_named_and_the_others_are_done(
    engine: RayEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    room(engine)
    made = pool(engine, tmp_path)
    done: list[int] = []
    with pytest.raises(ProviderError, match=f"{POISON} workers died of the number 13") as error:
        done.extend(one.result for one in made.work(numbers(1, 13, 3, 4, 5, 6), iter(())))
    assert "What was done is kept" in str(error.value.todo)
    assert sorted(done) == [2, 6, 8, 10, 12]
    assert made.closed
    assert capsys.readouterr().err.count("given again: the number 13") == POISON - 1


def test_a_task_whose_worker_died_by_chance_is_done(engine: RayEngine, tmp_path: Path) -> None:
    room(engine)
    made = pool(engine, tmp_path)
    assert sorted(one.result for one in made.work(numbers(1, 7, 2), iter(()))) == [2, 4, 14]
    assert made.restarts == 1
    made.close()


def test_workers_that_die_while_they_start_are_given_up(engine: RayEngine, tmp_path: Path) -> None:
    room(engine)
    made = pool(engine, tmp_path, stillborn=True)
    with pytest.raises(ProviderError, match=f"a worker died {POISON} times while it loaded the model"):
        made.ready()
    made.close()


def test_a_worker_is_ended_after_it_has_begun_and_gives_its_cores_back(
    engine: RayEngine, tmp_path: Path
) -> None:
    """Ray loses the kill of an actor that is just handed to its process."""
    room(engine)
    made = pool(engine, tmp_path)
    assert not list(tmp_path.iterdir())
    made.close()
    assert len(list(tmp_path.glob("begun-*"))) == 2
    again = pool(engine, tmp_path)
    while len(again.hellos) < again.size:
        again._landed()
    again.close()


def test_the_command_leaves_the_same_record(
    engine: RayEngine, model: ModelCard, tiny_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_engines", {(None, 2): engine})
    monkeypatch.setattr(engine, "stop", lambda: None)
    (tiny_workspace.root / "models").mkdir()
    lines = [
        f"{name} = {json.dumps(value)}"
        for name, value in model.model_dump(exclude_none=True, exclude_defaults=True).items()
    ]
    (tiny_workspace.root / "models" / "tiny.toml").write_text("\n".join(lines))
    manifests, rankings = [], []
    for words in ((), ("--engine", "ray", "--workers", "2")):
        said = run("--json", *words, model="tiny")
        assert said.code == 0, said.err
        folder = tiny_workspace.root / said.json[0]["record"]
        manifests.append(json.loads((folder / "manifest.json").read_text()))
        rankings.append((folder / "run.trec.gz").read_bytes())
        for file in folder.iterdir():
            file.unlink()
        for file in tiny_workspace.vectors.rglob("*.*"):
            file.unlink()
    plain, distributed = manifests
    assert plain["inputs"] == distributed["inputs"]
    assert plain["command"] == distributed["command"], "where it ran is no part of the work"
    assert "engine" not in plain["about"]
    assert distributed["about"]["engine"]["workers"] == 2
    assert rankings[0] == rankings[1]


def test_a_killed_workers_requests_are_sent_again(engine: RayEngine, tmp_path: Path) -> None:
    import ray

    room(engine)
    card = LLMCard(name="echo", adapter="mock", options={"latency": 0.05, "concurrency": 4})
    requests = [Request((Message("user", f"question {number}"),), 20) for number in range(40)]
    sent = make_llm(card, tmp_path / "ray")
    engine.relay(sent, card, tmp_path / "ray")
    assert isinstance(sent, ChatClient)
    assert isinstance(sent.relay, Relay)
    replies: dict[int, object] = {}
    for asked in sent.ask(requests):
        if not replies:
            ray.kill(next(iter(sent.relay._workers.values())))
        replies[asked.position] = asked.reply
    assert replies == {one.position: one.reply for one in make_llm(card, tmp_path / "own").ask(requests)}
    assert sent.spent.requests == 40
    assert sent.spent.failed == 0
    assert (sent.relay.about["workers"], sent.relay.about["started_again"]) == (2, 1)
    again = make_llm(card, tmp_path / "ray")
    assert all(isinstance(one.reply, Reply) and one.reply.cached for one in again.ask(requests))


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_a_real_transformers_vectors_are_equal_to_the_last_bit(
    engine: RayEngine, tmp_path: Path, backend: str
) -> None:
    """On workers with a thread each, one of them killed, and here with all threads."""
    pytest.importorskip("sentence_transformers")
    pytest.importorskip(backend)
    place = Workspace.find(Path(__file__).parents[2])
    card = place.card(ModelCard, "all-MiniLM-L6-v2")
    card = card.model_copy(update={"batch_tokens": 512}).running(backend, None)  # type: ignore[arg-type]
    try:
        own = make_encoder(card, EncoderContext(tmp_path))
    except InputError as error:
        pytest.skip(str(error))
    assert isinstance(own, LocalEncoder)
    texts = [text * (number % 7) for number, text in enumerate(TEXTS[:60])] + ["Net sales rose by 8 percent."]
    room(engine)
    assert np.array_equal(killed_midway(spread(card, engine, tmp_path), texts), own.encode(texts, "document"))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="processes are read from /proc")
def test_stopping_leaves_no_process_and_no_file(engine: RayEngine) -> None:
    engine.cluster.seats()  # which begins it if no test has
    folder = engine.cluster._folder
    assert folder is not None
    assert Path(folder).exists()
    assert descendants()
    engine.stop()
    until = time.monotonic() + 20
    while (left := descendants()) and time.monotonic() < until:
        time.sleep(0.1)
    assert not left
    assert not Path(folder).exists()


def descendants() -> list[str]:
    """Ray's processes that this one has begun."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except OSError:  # it has ended
            continue
        state, parent = rest.split()[:2]
        if int(parent) == os.getpid() and state != "Z" and ("raylet" in name or "gcs_server" in name):
            found.append(name)
    return found
