from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dibs.cards.model import ModelCard
from dibs.cards.read import AnyCard, read_card
from dibs.cards.task import TaskCard
from dibs.errors import InputError
from tests.faults import fault_of

TASK = """\
name = "Tiny"
description = "d"
licence = "mit"
citation = "c"
[source]
kind = "beir"
"""
MODEL = 'name = "tiny"\nadapter = "bm25"\n'


def written(folder: Path, text: str | bytes, name: str = "card.toml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def task(**values: Any) -> TaskCard:
    least = {
        "name": "Tiny",
        "description": "d",
        "licence": "mit",
        "citation": "c",
        "source": {"kind": "beir"},
    }
    return TaskCard.model_validate(least | values)


def test_the_least_cards(tmp_path: Path) -> None:
    found = read_card(TaskCard, written(tmp_path, TASK))
    assert found == task()
    assert found.main_measure in found.measures
    assert read_card(ModelCard, written(tmp_path, MODEL)) == ModelCard(name="tiny", adapter="bm25")


def test_cards_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(task(), "name", "Other")  # noqa: B010 - mypy knows that it is frozen


def test_a_sources_path_is_relative_to_its_card(tmp_path: Path) -> None:
    card = read_card(TaskCard, written(tmp_path, TASK + 'path = "data/tiny"\n'))
    assert card.source.path == str(tmp_path / "data" / "tiny")
    card = read_card(TaskCard, written(tmp_path, TASK + 'path = "/elsewhere"\n'))
    assert card.source.path == "/elsewhere"


@pytest.mark.parametrize(
    ("kind", "text", "field"),
    [
        (TaskCard, TASK.replace('name = "Tiny"', ""), "name"),
        (TaskCard, TASK.replace("Tiny", "../Tiny"), "name"),
        (TaskCard, TASK.replace("Tiny", ""), "name"),
        (TaskCard, TASK.replace("Tiny", "x" * 101), "name"),
        (TaskCard, TASK.replace('"mit"', "7"), "licence"),
        (TaskCard, TASK.replace('kind = "beir"', ""), "source.kind"),
        (TaskCard, TASK.replace('[source]\nkind = "beir"', 'source = "beir"'), "source"),
        (TaskCard, TASK.replace('kind = "beir"', 'kind = "beir"\npath = 7'), "source.path"),
        (TaskCard, TASK + "api = 'api.github.com'\n", "source.api"),
        (TaskCard, TASK + "raw = 'https://example.org/'\n", "source.raw"),
        (TaskCard, TASK + "[source.files]\na = 'short'\n", "source.files.a"),
        (TaskCard, TASK + "[subsets.some]\nfield = 'x'\n", "subsets.some.value"),
        (TaskCard, "max_tokens = 0\n" + TASK, "max_tokens"),
        (TaskCard, "expect = {queries = 'many'}\n" + TASK, "expect.queries"),
        (TaskCard, "colour = 'red'\n" + TASK, "colour"),
        (ModelCard, MODEL + "pooling = 'max'\n", "pooling"),
        (ModelCard, MODEL + "dimension = -1\n", "dimension"),
        (ModelCard, MODEL + "batch_size = 1.5\n", "batch_size"),
        (ModelCard, MODEL + "precision = 'int4'\n", "precision"),
        (ModelCard, MODEL + "usd_per_million_tokens = -1\n", "usd_per_million_tokens"),
        (ModelCard, MODEL + "options = {k1 = [1]}\n", "options.k1"),
        (ModelCard, MODEL + "dimensions = 3\n", "dimensions"),
        (ModelCard, "", "name"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, kind: type[AnyCard], text: str, field: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_card(kind, path)
    assert caught.value.where == str(path)
    assert f"field '{field}" in caught.value.problem
    assert caught.value.todo
    assert kind.__name__ in caught.value.todo


def test_an_unknown_field_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="dimension, max_tokens, pooling"):
        read_card(ModelCard, written(tmp_path, MODEL + "dimensions = 3\n"))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('measures = ["ndcg@10"]\n', "main_measure 'recall@10' is not among measures"),
        ('subsets = {all = {field = "x", value = "y"}}\n', "the subset 'all' is every query"),
    ],
)
def test_a_task_must_agree_with_itself(tmp_path: Path, line: str, problem: str) -> None:
    path = written(tmp_path, line + TASK)
    with pytest.raises(InputError) as caught:
        read_card(TaskCard, path)
    assert problem in caught.value.problem
    assert caught.value.where == str(path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"name = [\n1,,]", "is not TOML: Invalid value (at line 2, column 3)"),
        (b'name = "a"\nname = "b"\n', "at line 2"),
        (b'name = "a"\n\n[source\n', "at line 3"),
        (b'name = "\\ud800"', "is not TOML"),
        (b"\x00", "at line 1"),
        (b'name = "\xff"', "cannot be read: 'utf-8'"),
        ("name".encode("utf-16"), "cannot be read: 'utf-8'"),
    ],
)
def test_what_is_not_toml_is_named_with_its_line(tmp_path: Path, content: bytes, problem: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read_card(ModelCard, path)
    assert caught.value.where == str(path)
    assert problem in caught.value.problem
    assert caught.value.todo


def test_a_missing_card_and_a_folder_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file\n  Check the path"):
        read_card(ModelCard, tmp_path / "absent.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(InputError, match=r"folder.toml: cannot be read"):
        read_card(ModelCard, tmp_path / "folder.toml")


@settings(derandomize=True, max_examples=80, deadline=None)
@given(st.binary(max_size=40) | st.text('name = "[]{}\n.1e-é\\u#', max_size=30).map(str.encode))
def test_any_bytes_are_a_card_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = written(tmp_path_factory.getbasetemp(), content, "fuzz.toml")
    for prefix in (b"", MODEL.encode()):
        path.write_bytes(prefix + content)
        error = fault_of(InputError, lambda: read_card(ModelCard, path))
        assert error is None or error.where == str(path)


@pytest.mark.parametrize("content", [b"a = " + b"[" * 5000, b"a = " + b"1" * 5000])
def test_toml_that_is_too_deep_or_too_long_a_number(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read_card(ModelCard, path)
    assert caught.value.where == str(path)
    assert caught.value.problem.startswith("is not TOML: ")
    assert caught.value.todo


def test_a_mirror_is_part_of_a_source_only_where_one_is_named() -> None:
    assert task().source.model_dump(exclude_defaults=True) == {"kind": "beir"}
    mirror = {"kind": "beir", "api": "http://127.0.0.1:8/api/v3", "raw": "https://files.example.org"}
    assert task(source=mirror).source.model_dump(exclude_defaults=True) == mirror


def test_templates() -> None:
    card = task(documents={"template": "{text}", "variants": {"titled": "{title}\n{text}"}})
    assert card.template(None) == "{text}"
    assert card.template("titled") == "{title}\n{text}"
    with pytest.raises(InputError) as caught:
        card.template("short")
    assert "Tiny has no document template 'short'" in caught.value.problem
    assert caught.value.todo == "Declared: titled."
    with pytest.raises(InputError, match=r"Declared: none\."):
        task().template("short")


def test_settings_make_another_card_with_another_name() -> None:
    card = ModelCard(name="tiny", adapter="bm25", batch_size=8)
    one = card.with_settings({"batch_size": 4, "dimension": 2})
    assert (one.batch_size, one.dimension, one.adapter) == (4, 2, "bm25")
    assert one.name == "tiny-batch_size-4-dimension-2"
    assert one.description == "batch_size=4,dimension=2"
    assert one == card.with_settings({"dimension": 2, "batch_size": 4})
    assert one.name != card.with_settings({"dimension": 3, "batch_size": 4}).name
    assert card.with_settings({}) is card


@pytest.mark.parametrize("prompt", ["query: ", "q" * 60, "größer", "a/b"])
def test_settings_that_a_name_cannot_show_are_hashed_into_it(prompt: str) -> None:
    name = ModelCard(name="tiny", adapter="bm25").with_settings({"query_prompt": prompt}).name
    assert re.fullmatch(r"tiny-[0-9a-f]{6}", name)


@pytest.mark.parametrize(("setting", "field"), [({"colour": 1}, "colour"), ({"dimension": "x"}, "dimension")])
def test_a_wrong_setting_is_named(setting: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match=rf"--set {field}=.*: field '{field}'"):
        ModelCard(name="tiny", adapter="bm25").with_settings(setting)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_number_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    path = written(tmp_path, MODEL + f"options = {{ k1 = {value} }}\n")
    with pytest.raises(InputError, match=r"options\.k1"):
        read_card(ModelCard, path)


def test_measures_are_spelled_in_one_way(tmp_path: Path) -> None:
    path = written(tmp_path, 'measures = ["Recall@10"]\nmain_measure = "Recall@10"\n' + TASK)
    with pytest.raises(InputError, match="measures"):
        read_card(TaskCard, path)
