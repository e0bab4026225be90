"""No key and no password is in any file that is written, or in anything that is said."""

from __future__ import annotations

import base64
import gzip
import json
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from dibs.cli.main import app
from dibs.llm.calls import Patience
from dibs.workspace import Workspace
from tests.security.echo_server import EchoServer, echoing

KEYS = {
    name: f"sk-{name.lower().replace('_', '-')}-nobody-may-see"
    for name in (
        "OPENAI_API_KEY", "VOYAGE_API_KEY", "COHERE_API_KEY", "JINA_API_KEY", "DATABRICKS_TOKEN",
        "MY_SERVER_API_KEY", "HF_TOKEN", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY",
    )
}  # fmt: skip
PASSWORD = "a-pass-word-nobody-may-see"
LOGIN = base64.b64encode(f"somebody:{PASSWORD}".encode()).decode()
NEEDLES = [needle.encode() for needle in (*KEYS.values(), PASSWORD, LOGIN)]


@pytest.fixture
def server() -> Iterator[EchoServer]:
    with echoing() as found:
        yield found


@pytest.fixture
def place(
    tiny_workspace: Workspace, server: EchoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    """A workspace with cards of every kind of provider, all at the server; everything is logged to a file."""
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    for name in ("OPENAI_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    cards = {
        "models/o": (
            "openai",
            "/v1",
            "OPENAI_API_KEY",
            "dimension = 2\n[options]\nencoding_format = 'float'",
        ),
        "models/v": ("voyage", "/v1", "VOYAGE_API_KEY", "dimension = 2"),
        "rerankers/e": ("endpoint", "", "COHERE_API_KEY", ""),
        "rerankers/w": ("voyage", "/v1", "VOYAGE_API_KEY", ""),
        "rerankers/l": ("llm", "/v1", "OPENAI_API_KEY", ""),
        "models/llm/c": ("openai", "/v1", "MY_SERVER_API_KEY", ""),
        "models/llm/j": ("openai", "/v1", "DATABRICKS_TOKEN", ""),
    }
    for path, (adapter, end, key, more) in cards.items():
        file = tiny_workspace.root / f"{path}.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        head = f'name = "{file.stem}"\nadapter = "{adapter}"\nbase_url = "{server.url}{end}"\nkey = "{key}"\n'
        file.write_text(head + more)
    _give_answers(tiny_workspace)
    handler = logging.FileHandler(tmp_path / "everything.log")
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    logging.getLogger("openai").setLevel(logging.DEBUG)
    yield tiny_workspace
    root.removeHandler(handler)
    root.setLevel(level)
    logging.getLogger("openai").setLevel(logging.NOTSET)
    handler.close()


def _give_answers(place: Workspace) -> None:
    """Gold answers for the questions, and labels of people."""
    path = place.root / "tasks" / "tiny" / "queries.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        row["metadata"]["answer"] = "twelve"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (place.root / "labels.csv").write_text("question,gold,answer,label\nHow many?,12,Twelve.,correct\n")


def leaks(folder: Path) -> list[str]:
    """The files below `folder` that hold a secret."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and _holds(_content(path))]


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix == ".gz":
        content += gzip.decompress(content)
    if path.suffix == ".parquet":
        content += str(pq.read_table(path).to_pylist()).encode()
    return content


def _holds(content: bytes) -> bool:
    return any(needle in content for needle in NEEDLES)


COMMANDS = [
    ("run", "--model", "o", "--task", "Tiny"),
    ("run", "--model", "v", "--task", "Tiny", "--json"),
    ("run", "--model", "bm25", "--task", "Tiny", "--reranker", "e"),
    ("run", "--model", "bm25", "--task", "Tiny", "--reranker", "w"),
    ("run", "--model", "bm25", "--task", "Tiny", "--reranker", "l"),
    ("rag", "--retrieval", "Tiny/bm25", "--generator", "c", "--judge", "j", "--controls"),
    ("rag", "--retrieval", "Tiny/bm25", "--generator", "mock", "--judge", "rules,c,j"),
    ("judge", "calibrate", "--judge", "c", "--labels", "labels.csv"),
    ("synthesize", "--documents", "Tiny", "--count", "2", "--generator", "c", "--output", "pairs.jsonl"),
    ("show", "Tiny/bm25"),
    ("models",),
    ("llms", "--json"),
    ("rerankers", "--json"),
    ("doctor", "--offline"),
    ("doctor", "--offline", "--json"),
]


def said(*words: str) -> bytes:
    """All that a command says, and the traceback if there is one."""
    found = CliRunner().invoke(app, list(words))
    assert found.exception is None or isinstance(found.exception, SystemExit), repr(found.exception)
    return (found.stdout + found.stderr).encode()


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("status", [200, 400, 401, 403, 500])
def test_nothing_that_is_written_or_said_holds_a_key(
    place: Workspace, server: EchoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.chdir(place.root)
    said("run", "--model", "bm25", "--task", "Tiny")
    server.status = status
    for words in COMMANDS:
        output = said(*words)
        assert not _holds(output), (words, output)
    sent = " ".join(server.seen)
    names = ("OPENAI_API_KEY", "VOYAGE_API_KEY", "COHERE_API_KEY", "MY_SERVER_API_KEY")
    assert [name for name in names if KEYS[name] not in sent] == []  # else nothing could have leaked
    assert leaks(tmp_path) == []


def test_the_search_finds_a_key(tmp_path: Path) -> None:
    (tmp_path / "record.json.gz").write_bytes(gzip.compress(b"x" + NEEDLES[0]))
    (tmp_path / "harmless").write_text("x")
    assert leaks(tmp_path) == [str(tmp_path / "record.json.gz")]


@pytest.mark.parametrize(
    "words",
    [
        (
            "run",
            "--model",
            "o",
            "--task",
            "Tiny",
            "--set",
            f"base_url=https://somebody:{PASSWORD}@host.invalid/v1",
        ),
        ("run", "--model", "o", "--task", "Tiny", "--set", f"key={KEYS['OPENAI_API_KEY']}"),
        ("run", "--model", "o", "--task", "Tiny", "--set", f"key={PASSWORD}"),
        ("export", "mlflow", f"http://somebody:{PASSWORD}@127.0.0.1:9/"),
    ],
    ids=["password in the address", "key for its variable", "password for it", "mlflow"],
)
def test_what_was_typed_in_the_wrong_place_is_not_repeated(
    place: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    found = CliRunner().invoke(app, list(words))
    assert found.exit_code in (1, 2)
    assert not _holds((found.stdout + found.stderr).encode()), found.stderr
    assert leaks(tmp_path) == []


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("scheme", ["http", "unheard-of", "socks5"])
@pytest.mark.parametrize("card", ["models/p", "models/llm/p"])
def test_a_proxy_s_password_stays_unseen(
    place: Workspace,
    server: EchoServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    card: str,
) -> None:
    address = server.url.replace("http://", f"{scheme}://somebody:{PASSWORD}@")
    monkeypatch.setenv("HTTPS_PROXY", address)
    once = Patience(attempts=1)
    monkeypatch.setattr("dibs.encoders.api.Patience", lambda: once)
    monkeypatch.setattr("dibs.llm.engine.ChatClient.patience", once)
    head = (
        'name = "p"\nadapter = "openai"\nbase_url = "https://server.invalid/v1"\nkey = "MY_SERVER_API_KEY"\n'
    )
    (place.root / f"{card}.toml").write_text(head + ("dimension = 2" if card == "models/p" else ""))
    said("run", "--model", "bm25", "--task", "Tiny")
    words = ["run", "--model", "p", "--task", "Tiny"]
    if card != "models/p":
        words = ["judge", "calibrate", "--judge", "p", "--labels", str(place.root / "labels.csv")]
    found = CliRunner().invoke(app, words)
    assert not _holds((found.stdout + found.stderr).encode()), found.stderr
    assert "Traceback" not in found.stderr
    assert isinstance(found.exception, SystemExit | None), repr(found.exception)
    library = str(tmp_path / "everything.log")  # httpcore logs the words of the proxy, if it is told to
    assert [path for path in leaks(tmp_path) if path != library] == []
