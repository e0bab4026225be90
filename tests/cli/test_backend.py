"""`dibs run --backend --precision`: what they choose, and that it is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from dibs.cards.model import ModelCard
from dibs.choices import Choices
from dibs.errors import InputError
from dibs.evaluate import Work
from dibs.resolve import task, work
from dibs.workspace import Workspace
from tests.encoders.local_models import make_model

pytestmark = pytest.mark.xdist_group("torch")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    pytest.importorskip("openvino")
    return str(make_model(tmp_path_factory.mktemp("model")))


def made(place: Workspace, model: str, choices: Choices) -> Work:
    return work(model, task("Tiny", place), choices, place)


def running(found: Work) -> tuple[str, str]:
    assert isinstance(found.model, ModelCard)
    return found.model.backend, found.model.precision


def test_auto_says_what_it_chose(
    folder: str, tiny_workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    found = made(tiny_workspace, folder, Choices(backend="auto"))
    assert running(found) == ("openvino", "float32")
    assert capsys.readouterr().err.startswith(
        f"{Path(folder).name}: openvino, float32; largest difference from torch"
    )


def test_what_the_card_says_holds_without_a_word(
    folder: str, tiny_workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert running(made(tiny_workspace, folder, Choices())) == ("torch", "float32")
    assert capsys.readouterr().err == ""


def test_a_precision_makes_another_pipeline_and_a_backend_does_not(
    folder: str, tiny_workspace: Workspace
) -> None:
    plain = made(tiny_workspace, folder, Choices())
    openvino = made(tiny_workspace, folder, Choices(backend="openvino"))
    bfloat16 = made(tiny_workspace, folder, Choices(precision="bfloat16"))
    assert plain.pipeline == openvino.pipeline
    assert bfloat16.pipeline == f"{plain.pipeline}-bfloat16"
    assert plain.retriever.settings() != openvino.retriever.settings()


def test_what_has_no_backend_is_left_alone_by_auto_only(tiny_workspace: Workspace) -> None:
    (tiny_workspace.root / "models").mkdir()
    (tiny_workspace.root / "models" / "words.toml").write_text('name = "words"\nadapter = "bm25"\n')
    assert made(tiny_workspace, "words", Choices(backend="auto")).pipeline == "words"
    for choices in (Choices(backend="openvino"), Choices(precision="bfloat16")):
        with pytest.raises(InputError, match="words: --backend and --precision are for local models"):
            made(tiny_workspace, "words", choices)
