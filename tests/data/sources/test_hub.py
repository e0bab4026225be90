from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dibs.cards.task import TaskCard
from dibs.data.prepare import SourceData, SourceRequest
from dibs.data.sources.hub import is_mteb_folder, read, read_folder
from dibs.errors import InputError
from tests.hub_server import (
    BUSY,
    CLOSED,
    COMMIT,
    DROPPING,
    FAILING,
    GATED,
    GATED_WITHOUT_TOKEN,
    PRIVATE,
    python_on_hub,
    serving_hub,
)

CORPUS = '{"_id": "d1", "title": "T", "text": "one"}\n{"_id": "d2", "title": "", "text": "two"}\n'
QUERIES = '{"_id": "q1", "text": "which?", "answer": "2020-01-02"}\n'
QRELS = '{"query-id": "q1", "corpus-id": "d2", "score": 1}\n'
README = """\
---
license: mit
configs:
- config_name: corpus
  data_files:
  - split: corpus
    path: corpus.jsonl
- config_name: queries
  data_files:
  - split: queries
    path: queries.jsonl
- config_name: default
  data_files:
  - split: train
    path: qrels/train.jsonl
  - split: test
    path: qrels/test.jsonl
---
# Tiny
"""
FILES = {
    "README.md": README,
    "corpus.jsonl": CORPUS,
    "queries.jsonl": QUERIES,
    "qrels/test.jsonl": QRELS,
    "qrels/train.jsonl": QRELS.replace("d2", "d1"),
}


def put(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def readme(**configurations: Any) -> str:
    """A heading in JSON, which is YAML too."""
    configs = [
        {"config_name": name.replace("_", "-"), "data_files": files} for name, files in configurations.items()
    ]
    return f"---\n{json.dumps({'configs': configs})}\n---\n"


def check(data: SourceData) -> None:
    assert isinstance(data.corpus, pa.Table)
    assert data.corpus.to_pylist() == [
        {"id": "d1", "title": "T", "text": "one"},
        {"id": "d2", "title": "", "text": "two"},
    ]
    # The hub's own reader would make a date and a time of that answer.
    assert data.queries.to_pylist() == [{"id": "q1", "text": "which?", "answer": "2020-01-02"}]
    assert data.qrels.to_pylist() == [{"query_id": "q1", "doc_id": "d2", "relevance": 1}]


# Folders


def test_a_folder_of_jsonl(tmp_path: Path) -> None:
    check(read_folder(put(tmp_path, FILES), "test"))


def test_a_folder_of_parquet_in_parts(tmp_path: Path) -> None:
    for number, line in enumerate(CORPUS.splitlines()):
        path = tmp_path / "corpus" / f"corpus-0000{number}-of-00002.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist([json.loads(line)]), path)
    pq.write_table(pa.Table.from_pylist([json.loads(QUERIES)]), tmp_path / "queries.parquet")
    pq.write_table(pa.Table.from_pylist([json.loads(QRELS)]), tmp_path / "test.parquet")
    heading = readme(
        corpus=[{"split": "corpus", "path": "corpus/corpus-*"}],
        queries="queries.parquet",
        qrels=[{"split": "test", "path": ["test.parquet"]}],
    )
    check(read_folder(put(tmp_path, {"README.md": heading}), "test"))


def test_the_split_of_the_task_comes_first(tmp_path: Path) -> None:
    other = '{"_id": "q1", "text": "other"}\n'
    heading = readme(
        corpus=["corpus.jsonl"],
        queries=[{"split": "train", "path": "other.jsonl"}, {"split": "test", "path": "queries.jsonl"}],
        default=[{"split": "test", "path": "qrels/test.jsonl"}],
    )
    check(read_folder(put(tmp_path, FILES | {"README.md": heading, "other.jsonl": other}), "test"))


def test_tsv_qrels_and_a_subset(tmp_path: Path) -> None:
    heading = readme(
        de_corpus="corpus.jsonl",
        de_queries="queries.jsonl",
        de=[{"split": "test", "path": "test.tsv"}],
        corpus="absent",
    )
    put(tmp_path, FILES | {"README.md": heading, "test.tsv": "query-id\tcorpus-id\tscore\nq1\td2\t1\n"})
    check(read_folder(tmp_path, "test", "de"))


def test_a_folder_is_known_by_its_readme(tmp_path: Path) -> None:
    assert not is_mteb_folder(tmp_path)
    assert not is_mteb_folder(put(tmp_path, {"README.md": "# Tiny"}))
    assert is_mteb_folder(put(tmp_path, {"README.md": README}))


@pytest.mark.parametrize(
    ("heading", "where", "problem", "todo"),
    [
        ("", "README.md", "field 'configs': Field required", "corpus, queries and default"),
        ("# Tiny\nconfigs: none\n", "README.md", "field 'configs'", "corpus, queries and default"),
        ("---\nconfigs: [\n---\n", "README.md", "its heading is not YAML", "corpus, queries and default"),
        ("---\nconfigs: 5\n---\n", "README.md", "field 'configs': Input should be a valid list", "corpus"),
        ("---\nconfigs: [5]\n---\n", "README.md", "field 'configs.0'", "corpus"),
        (b"---\n\xff\n---\n", "README.md", "its heading is not YAML", "corpus"),
        (readme(), "README.md", "there is no configuration 'corpus'", "It has: ."),
        (
            readme(corpus="a", default="b"),
            "README.md",
            "there is no configuration 'queries'",
            "It has: corpus, default.",
        ),
        (
            readme(corpus="a", queries="b"),
            "README.md",
            "there is no configuration 'default'",
            "corpus, queries and",
        ),
        (
            readme(corpus="corpus.jsonl", queries="queries.jsonl", default=[{"split": "dev", "path": "x"}]),
            "README.md",
            "the configuration 'default' has no split 'test'",
            "It has: dev.",
        ),
        (
            readme(
                corpus=[{"split": "a", "path": "x"}, {"split": "b", "path": "y"}], queries="b", default="c"
            ),
            "README.md",
            "the configuration 'corpus' has no split 'test'",
            "It has: a, b.",
        ),
        (
            readme(corpus="absent.jsonl", queries="b", default="c"),
            "",
            "there is no file 'absent.jsonl'",
            "Bring it",
        ),
        (
            readme(corpus="../corpus.jsonl", queries="b", default="c"),
            "",
            "there is no file '../corpus",
            "Bring it",
        ),
        (
            readme(corpus="/etc/passwd", queries="b", default="c"),
            "",
            "there is no file '/etc/passwd'",
            "Bring it",
        ),
        (
            readme(corpus="README.md", queries="b", default="c"),
            "README.md",
            "of a kind that is not read",
            "Convert it",
        ),
    ],
)
def test_a_malformed_layout_is_named(
    tmp_path: Path, heading: str | bytes, where: str, problem: str, todo: str
) -> None:
    put(tmp_path, FILES | {"README.md": heading})
    with pytest.raises(InputError) as caught:
        read_folder(tmp_path, "test")
    assert caught.value.where == str(tmp_path / where if where else tmp_path)
    assert problem in caught.value.problem
    assert caught.value.todo is not None
    assert todo in caught.value.todo


@pytest.mark.parametrize(
    ("name", "content", "where", "problem"),
    [
        ("corpus.jsonl", CORPUS + "{", ", line 3", "is not JSON"),
        ("corpus.jsonl", "", "", "there is not one document"),
        ("queries.jsonl", '{"_id": 7, "text": "x"}', ", line 1", "the query id is 7, not a text"),
        ("qrels/test.jsonl", '{"corpus-id": "d1", "score": 1}', ", line 1", "there is no column 'query-id'"),
        (
            "qrels/test.jsonl",
            '{"query-id": "q1", "corpus-id": "d1"}',
            ", line 1",
            "there is no column 'score'",
        ),
        ("qrels/test.jsonl", QRELS.replace("d2", "d9"), ", line 1", "the qrels name document 'd9'"),
    ],
)
def test_a_malformed_file_is_named(tmp_path: Path, name: str, content: str, where: str, problem: str) -> None:
    put(tmp_path, FILES | {name: content})
    with pytest.raises(InputError) as caught:
        read_folder(tmp_path, "test")
    assert caught.value.where == f"{tmp_path / name}{where}"
    assert problem in caught.value.problem
    assert caught.value.todo


# The hub

READ = """
import json, sys
from pathlib import Path
from dibs.cards.task import TaskCard
from dibs.data.prepare import SourceRequest
from dibs.data.sources.hub import read
from dibs.errors import DibsError

least = {"name": "Own", "description": "d", "licence": "mit", "citation": "c"}
told = []
for source in map(json.loads, sys.argv[1:]):
    card = TaskCard.model_validate(least | {"source": {"kind": "hub"} | source})
    try:
        data = read(SourceRequest(card, Path("downloads"), None, False))
        told.append(data.corpus.to_pylist() + data.queries.to_pylist() + data.qrels.to_pylist())
    except DibsError as error:
        told.append([type(error).__name__, error.where, error.problem, error.todo])
print(json.dumps(told))
"""


def told(url: str, home: Path, *repositories: str, offline: bool = False) -> list[Any]:
    """Each data set's rows (asked as NAME or NAME@REVISION), or its error: kind, where, problem, todo."""
    parts = (repository.partition("@") for repository in repositories)
    asked = (json.dumps({"repository": name, "revision": revision or None}) for name, _, revision in parts)
    found: list[Any] = python_on_hub(url, home, READ, *asked, offline=offline)
    return found


ROWS = [
    *map(
        json.loads, ('{"id": "d1", "title": "T", "text": "one"}', '{"id": "d2", "title": "", "text": "two"}')
    )
]
ROWS += [{"id": "q1", "text": "which?", "answer": "2020-01-02"}]
ROWS += [{"query_id": "q1", "doc_id": "d2", "relevance": 1}]


def test_the_hub_and_its_ways_to_refuse(tmp_path: Path) -> None:
    with serving_hub() as hub:
        tiny = hub.add("dataset", "some/tiny", FILES | {"other/large.parquet": b"not asked for"})
        bare = hub.add("dataset", "some/bare", {"corpus.jsonl": CORPUS})
        refusals = {
            hub.refuse("dataset", f"some/{name}", refusal): (kind, problem, todo)
            for name, refusal, kind, problem, todo in (
                ("gated", GATED, "MissingError", "the data set is gated", "HF_TOKEN"),
                ("gated-too", GATED_WITHOUT_TOKEN, "MissingError", "the data set is gated", "HF_TOKEN"),
                ("private", PRIVATE, "MissingError", "the hub has no such data set", "HF_TOKEN"),
                ("failing", FAILING, "ProviderError", "the hub cannot be read", "--from FOLDER"),
                ("busy", BUSY, "ProviderError", "429", "--from FOLDER"),
                ("dropping", DROPPING, "ProviderError", "the hub failed", "--from FOLDER"),
            )
        } | {
            "some/absent": ("MissingError", "the hub has no such data set", "Check its name"),
            "no name": ("InputError", "is not a name of the hub", "owner/name"),
        }
        unpinned, other, nothing, *others = told(
            hub.url, tmp_path, tiny, f"{tiny}@{'f' * 40}", bare, *refusals
        )
        assert unpinned == ROWS
        assert other[:3] == ["InputError", tiny, f"the hub has no revision '{'f' * 40}' of it"]
        assert nothing[0] == "InputError"
        assert "field 'configs'" in nothing[2]
        for (name, expected), found in zip(refusals.items(), others, strict=True):
            assert found[:2] == [expected[0], name], found
            assert expected[1] in found[2], found
            assert expected[2] in found[3], found
        assert hub.fetched("dataset", tiny) == set(FILES)


def test_a_pinned_revision_that_was_fetched_once_is_always_there(tmp_path: Path) -> None:
    with serving_hub() as hub:
        tiny = hub.add("dataset", "some/tiny", FILES)
        assert told(hub.url, tmp_path, f"{tiny}@{COMMIT}") == [ROWS]
    for offline in (False, True):
        there, absent = told(CLOSED, tmp_path, f"{tiny}@{COMMIT}", f"{tiny}@{'e' * 40}", offline=offline)
        assert there == ROWS
        assert absent[:2] == ["ProviderError", tiny]
        assert "the hub cannot be read, and this revision is not in its cache" in absent[2]
        assert ("offline mode is enabled" if offline else "Connection refused") in absent[2]
        assert "--from FOLDER" in absent[3]


def test_a_card_without_a_repository_and_a_copy(tmp_path: Path) -> None:
    card = TaskCard.model_validate(
        {"name": "Own", "description": "d", "licence": "mit", "citation": "c", "source": {"kind": "hub"}}
    )
    with pytest.raises(InputError, match=r"the card of Own names no repository\n  Set source\.repository\."):
        read(SourceRequest(card, tmp_path, None, complete=False))
    check(read(SourceRequest(card, tmp_path, put(tmp_path / "copy", FILES), complete=False)))
