"""Our names in MTEB's registries."""

from __future__ import annotations

from typing import Any

import mteb
import pytest

import dibs.mteb as door
from dibs.cards.task import TaskCard
from dibs.errors import DibsError
from dibs.workspace import Workspace
from tests.mteb.helpers import GROUP, mteb_scores

pytestmark = [GROUP, pytest.mark.usefixtures("registries")]


def test_nothing_is_known_before(workspace: Workspace) -> None:
    with pytest.raises(KeyError):
        mteb.get_task("DIBSFinanceBench")
    assert not door.has_task("DIBSFinanceBench")


def test_tasks_models_and_the_benchmark_are_found_by_name(tiny_workspace: Workspace) -> None:
    door.register(tiny_workspace)
    assert mteb.get_task("DIBSFinanceBench").metadata.description.startswith("Questions by human experts")
    two = mteb.get_tasks(["DIBSDocsQA", "DIBSTiny"])
    assert [task.metadata.name for task in two] == ["DIBSDocsQA", "DIBSTiny"]
    assert mteb.get_model_meta("dibs/e5-mistral-7b-instruct").max_tokens == 4096
    assert mteb_scores(mteb.get_model("dibs/bm25"), mteb.get_task("DIBSTiny"))["recall_at_10"] == 0.8
    assert mteb.get_benchmark("dibs") is mteb.get_benchmark("DIBS")
    assert door.has_task("DIBSTiny")
    assert door.has_model("dibs/bm25")


def test_tasks_are_found_by_domain_and_unreleased_ones_only_if_wanted(workspace: Workspace) -> None:
    door.register(workspace)

    def ours(**filters: Any) -> set[str]:
        found = mteb.get_tasks(domains=["Engineering"], task_types=["Retrieval"], **filters)
        return {task.metadata.name for task in found if task.metadata.name.startswith("DIBS")}

    released = {"DIBSManufactQAOpen", "DIBSManufactQASample"}
    assert ours(languages=["eng"]) == released
    assert ours(exclude_private=False) == released | {"DIBSManufactQA"}


def test_the_benchmark_has_no_samples_and_nothing_unreleased(workspace: Workspace) -> None:
    door.register(workspace)
    names = {task.metadata.name for task in mteb.get_benchmark("DIBS").tasks}
    assert names == {"DIBSFinanceBench", "DIBSManufactQAOpen", "DIBSDocsQAOpen"}


def test_registering_again_changes_nothing_but_changed_cards(
    tiny_workspace: Workspace, registries: Any
) -> None:
    door.register(tiny_workspace)
    tasks, models = len(registries.tasks), len(registries.models)
    listed = len(registries.tasks_module.TASK_LIST)
    path = tiny_workspace.root / "tasks" / "Tiny.toml"
    path.write_text(path.read_text().replace("Six documents", "Half a dozen documents"))
    door.register(tiny_workspace)
    assert (len(registries.tasks), len(registries.models)) == (tasks, models)
    assert len(registries.tasks_module.TASK_LIST) == listed
    assert mteb.get_task("DIBSTiny").metadata.description == "Half a dozen documents and five queries."


def test_without_an_argument_the_workspace_of_commands_is_registered(tiny_workspace: Workspace) -> None:
    door.register()
    assert door.has_task("DIBSTiny")


def test_a_loaded_model_has_its_own_revision_and_not_that_of_its_card(tiny_workspace: Workspace) -> None:
    door.register(tiny_workspace)
    card = mteb.get_model_meta("dibs/bm25")
    model: Any = mteb.get_model("dibs/bm25", options={"k1": 2.0})
    assert model.mteb_model_meta.revision != card.revision
    assert model.mteb_model_meta.experiment_name
    assert mteb.get_model("dibs/bm25").mteb_model_meta.revision == card.revision


def test_a_malformed_card_is_left_out_with_a_warning(tiny_workspace: Workspace) -> None:
    (tiny_workspace.root / "tasks" / "Broken.toml").write_text("name = ")
    with pytest.warns(UserWarning, match=r"left out of MTEB: .*Broken\.toml: is not TOML"):
        door.register(tiny_workspace)
    assert door.has_task("DIBSTiny")


def test_two_cards_of_one_name_in_mteb_are_refused(tiny_workspace: Workspace) -> None:
    card = (tiny_workspace.root / "tasks" / "Tiny.toml").read_text()
    (tiny_workspace.root / "tasks" / "Ti-ny.toml").write_text(card.replace('"Tiny"', '"Ti-ny"'))
    with pytest.raises(DibsError, match="Ti-ny and Tiny are both called DIBSTiny in MTEB"):
        door.register(tiny_workspace)


def test_a_task_of_mteb_is_never_replaced(tiny_workspace: Workspace, registries: Any) -> None:
    registries.tasks["DIBSTiny"] = registries.tasks["FinanceBenchRetrieval"]
    with pytest.raises(DibsError, match="has a task of its own that is called DIBSTiny"):
        door.register(tiny_workspace)


@pytest.mark.parametrize("name", ["_TASKS_REGISTRY", "TASK_LIST"])
def test_a_mteb_with_other_private_names_is_told_apart(
    workspace: Workspace, registries: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delattr(registries.tasks_module, name)
    with pytest.raises(
        DibsError, match=r"keeps its registries elsewhere than MTEB 2\.26\.24.*\n.*pip install"
    ):
        door.register(workspace)
    card = workspace.card(TaskCard, "FinanceBench")
    assert door.mteb_task(card, workspace).metadata.name == "DIBSFinanceBench"


def test_samples_are_tasks_but_no_part_of_the_benchmark() -> None:
    door.register()
    assert mteb.get_task("DIBSFinanceBenchSample").metadata.name == "DIBSFinanceBenchSample"
    names = {task.metadata.name for task in mteb.get_benchmark("DIBS").tasks}
    assert {"DIBSFinanceBench", "DIBSManufactQAOpen", "DIBSDocsQAOpen"} <= names
    assert not any(name.endswith("Sample") for name in names)
