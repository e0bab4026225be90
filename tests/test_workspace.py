from __future__ import annotations

from pathlib import Path

import pytest

from dibs.cards.model import ModelCard
from dibs.cards.read import AnyCard
from dibs.cards.task import TaskCard
from dibs.errors import InputError
from dibs.workspace import BUILTIN, Workspace


def add(folder: Path, name: str, *, called: str | None = None, more: str = "") -> Path:
    """A model card in a workspace."""
    path = folder / "models" / f"{called or name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'name = "{name}"\nadapter = "bm25"\n{more}')
    return path


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path, tmp_path / "cache")


def test_it_is_found_by_argument_then_environment_then_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / name for name in ("given", "environment", "here")]
    for folder in folders:
        folder.mkdir()
    monkeypatch.chdir(folders[2])
    monkeypatch.setenv("DIBS_WORKSPACE", str(folders[1]))
    assert Workspace.find(folders[0]).root == folders[0]
    assert Workspace.find().root == folders[1]
    monkeypatch.setenv("DIBS_WORKSPACE", "")
    assert Workspace.find().root == folders[2]


def test_the_cache_is_the_environments_or_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIBS_CACHE", str(tmp_path / "c"))
    place = Workspace.find(tmp_path)
    assert place.data == tmp_path / "c" / "data"
    assert place.vectors == tmp_path / "c" / "vectors"
    assert place.indexes == tmp_path / "c" / "indexes"
    assert place.results == tmp_path / "results"
    monkeypatch.setenv("DIBS_CACHE", "")
    assert Workspace.find(tmp_path).cache.name == "dibs"


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path / "file"):
        (tmp_path / "file").touch()
        with pytest.raises(InputError) as caught:
            Workspace.find(path)
        assert caught.value.where == str(path)
        assert caught.value.todo


def test_own_cards_come_before_shipped_ones(place: Workspace) -> None:
    shipped = place.card(ModelCard, "bm25")
    path = add(place.root, "bm25", more='description = "ours"\n')
    assert place.card_files(ModelCard)["bm25"] == path
    assert place.card(ModelCard, "bm25").description == "ours" != shipped.description


def test_names_are_found_in_any_letter_case(place: Workspace) -> None:
    assert place.card(TaskCard, "financebench").name == "FinanceBench"
    add(place.root, "BM25", more='description = "ours"\n')
    assert place.card(ModelCard, "bm25").description != "ours"
    assert place.card(ModelCard, "BM25").description == "ours"
    assert place.card(ModelCard, "Bm25").description == "ours"


def test_an_unknown_name_is_answered_with_the_nearest(place: Workspace) -> None:
    with pytest.raises(InputError) as caught:
        place.card(TaskCard, "FinanceBank")
    assert caught.value.problem == "no task is called 'FinanceBank'"
    assert caught.value.todo is not None
    assert "FinanceBench" in caught.value.todo
    with pytest.raises(InputError, match="no model is called 'xyzzy'"):
        place.card(ModelCard, "xyzzy")


def test_a_file_must_have_its_cards_name(place: Workspace) -> None:
    path = add(place.root, "right", called="wrong")
    with pytest.raises(InputError) as caught:
        place.card(ModelCard, "wrong")
    assert caught.value.where == str(path)
    assert caught.value.todo == "Name the file right.toml."


def test_a_malformed_card_hides_no_other(place: Workspace) -> None:
    (add(place.root, "aaa")).write_text("name =")
    add(place.root, "Zzz")
    found = list(place.cards(ModelCard))
    errors = [card for card in found if isinstance(card, Exception)]
    assert [error.where for error in errors] == [str(place.root / "models" / "aaa.toml")]
    names = [card.name for card in found if isinstance(card, ModelCard)]
    assert {"Zzz", "bm25"} <= set(names)
    assert names == sorted(names, key=str.lower)


@pytest.mark.parametrize("kind", [TaskCard, ModelCard])
def test_every_shipped_card_is_sound(place: Workspace, kind: type[AnyCard]) -> None:
    cards = list(place.cards(kind))
    assert [card for card in cards if isinstance(card, Exception)] == []
    assert len(cards) > 3


def test_shipped_tasks_hold_together(place: Workspace) -> None:
    """What a card names in itself is there: its data folder, the unreleased task it stands in for."""
    cards = {card.name: card for card in place.cards(TaskCard) if isinstance(card, TaskCard)}
    for card in cards.values():
        assert card.source.path is None or Path(card.source.path).resolve().is_relative_to(BUILTIN.resolve())
        if card.stand_in_for is not None:
            assert not cards[card.stand_in_for].released
            assert card.name != card.stand_in_for
