from __future__ import annotations

from pathlib import Path

import pytest

from dibs import plugins
from dibs.cards.model import LLMCard
from dibs.llm.chat import Reply, make_llm
from dibs.llm.mock import MockChat
from dibs.llm.openai_chat import OpenAIChat
from dibs.workspace import BUILTIN, Workspace
from tests.cli.test_cli import Said
from tests.llm.chat_server import question

SHIPPED = sorted(path.stem for path in (BUILTIN / "models" / "llm").glob("*.toml"))


@pytest.fixture(autouse=True)
def adapters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", "https://mine.cloud.databricks.com")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_card_makes_a_model(workspace: Workspace, name: str) -> None:
    card = workspace.card(LLMCard, name)
    model = make_llm(card, workspace.cache)
    assert isinstance(model, OpenAIChat | MockChat)
    assert card.licence or name == "local"
    assert (card.usd_per_million_tokens is None) == (card.usd_per_million_output_tokens is None)


def test_the_mock_card_answers(workspace: Workspace) -> None:
    model = make_llm(workspace.card(LLMCard, "mock"), workspace.cache)
    (asked,) = model.ask([question("Boeing delivered 480 aeroplanes. How many aeroplanes?")], label="asking")
    assert isinstance(asked.reply, Reply)
    assert asked.reply.text == "Boeing delivered 480 aeroplanes."
    assert (workspace.cache / "llm" / "replies.sqlite").is_file()


def test_adapters_are_plugins() -> None:
    assert plugins.names("llm") == ["mock", "openai"]


def test_llms_are_listed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi-nothing")
    monkeypatch.delenv("DATABRICKS_HOST")
    rows = {row["llm"]: row for row in Said("llms", "--json").json}
    assert list(rows) == sorted(SHIPPED, key=str.lower)
    assert (rows["gpt-4o"]["ready"], rows["gpt-4o"]["get"]) == (False, "set OPENAI_API_KEY")
    assert rows["databricks-llama-3.3-70b"]["get"] == "set DATABRICKS_HOST"
    assert rows["gpt-4o-mini"]["usd_per_million_output_tokens"] == 0.6
    assert all(rows[name]["ready"] for name in ("mock", "local", "SmolLM2-135M-Instruct"))


def test_llms_are_listed_as_a_table(workspace: Workspace) -> None:
    (workspace.root / "models" / "llm").mkdir(parents=True)
    Path(workspace.root / "models" / "llm" / "bad.toml").write_text("name = ")
    said = Said("llms")
    assert said.code == 0
    assert "bad.toml: is not TOML" in said.err
    assert any(line.split()[:2] == ["mock", "mock"] for line in said.out.splitlines())
