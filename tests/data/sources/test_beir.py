from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dibs.cards.task import TaskCard
from dibs.data.prepare import SourceData, SourceRequest
from dibs.data.sources.beir import read
from dibs.errors import InputError, MissingError

FILES = {
    "corpus.jsonl": '{"_id": "d1", "title": "T", "text": "one"}\n'
    '{"_id": "d2", "text": "two", "metadata": {"page": 2}}\n',
    "queries.jsonl": '{"_id": "q1", "text": "which?", "metadata": {"answer": "one"}}\n'
    '{"_id": "q2", "text": "who?"}\n',
    "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\td2\t1\n",
}
CORPUS = [
    {"id": "d1", "title": "T", "text": "one", "page": ""},
    {"id": "d2", "title": "", "text": "two", "page": "2"},
]


def put(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def request(folder: Path | None, **source: Any) -> SourceRequest:
    card = TaskCard.model_validate(
        {
            "name": "Own",
            "description": "d",
            "licence": "mit",
            "citation": "c",
            "source": {"kind": "beir"} | source,
        }
    )
    return SourceRequest(card, Path(gettempdir()), folder, complete=False)


def check(data: SourceData) -> None:
    assert isinstance(data.corpus, pa.Table)
    assert data.corpus.to_pylist() == CORPUS
    assert data.queries.to_pylist() == [{"id": "q1", "text": "which?", "answer": "one"}]
    assert data.qrels.to_pylist() == [{"query_id": "q1", "doc_id": "d2", "relevance": 1}]
    assert data.notes == ["1 queries have no relevant document and are left out"]


def test_plain_files(tmp_path: Path) -> None:
    check(read(request(put(tmp_path, FILES))))


def test_gzipped_files(tmp_path: Path) -> None:
    check(
        read(
            request(
                put(tmp_path, {f"{name}.gz": gzip.compress(text.encode()) for name, text in FILES.items()})
            )
        )
    )


def test_parquet_files(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    pq.write_table(pa.Table.from_pylist(CORPUS), tmp_path / "corpus.parquet")
    queries = {"id": ["q1", "q2"], "text": ["which?", "who?"], "answer": ["one", None]}
    pq.write_table(pa.table(queries), tmp_path / "queries.parquet")
    qrels = {"query-id": ["q1"], "corpus-id": ["d2"], "score": [1.0]}
    pq.write_table(pa.table(qrels), tmp_path / "qrels" / "test.parquet")
    check(read(request(tmp_path)))


def test_qrels_beside_the_rest(tmp_path: Path) -> None:
    files = {name: text for name, text in FILES.items() if "/" not in name}
    check(read(request(put(tmp_path, files | {"qrels.tsv": FILES["qrels/test.tsv"]}))))


def test_the_split_of_the_card(tmp_path: Path) -> None:
    check(
        read(
            request(
                put(tmp_path, FILES | {"qrels/test.tsv": "broken", "qrels/dev.tsv": "q1\td2\t1"}), split="dev"
            )
        )
    )


def test_the_cards_own_folder_and_the_users_before_it(tmp_path: Path) -> None:
    own = put(tmp_path / "own", FILES)
    check(read(request(None, path=str(own))))
    other = put(tmp_path / "other", FILES | {"corpus.jsonl": '{"_id": "d2", "text": "other"}'})
    assert read(request(other, path=str(own))).corpus.num_rows == 1  # type: ignore[union-attr]


def test_without_a_folder_the_command_is_said() -> None:
    with pytest.raises(MissingError) as caught:
        read(request(None))
    assert caught.value.todo == "Run: dibs data prepare Own --from FOLDER"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("corpus.jsonl", "there is no corpus.jsonl (or .jsonl.gz, .parquet)"),
        ("queries.jsonl", "there is no queries.jsonl (or .jsonl.gz, .parquet)"),
        ("qrels/test.tsv", "there is no qrels/test.tsv"),
    ],
)
def test_a_missing_file_is_named(tmp_path: Path, name: str, problem: str) -> None:
    (put(tmp_path, FILES) / name).unlink()
    with pytest.raises(InputError) as caught:
        read(request(tmp_path))
    assert (caught.value.where, caught.value.problem) == (str(tmp_path), problem)
    assert caught.value.todo


def test_a_file_in_the_folders_place(tmp_path: Path) -> None:
    path = put(tmp_path, {"data.zip": b"PK"}) / "data.zip"
    with pytest.raises(InputError, match=r"data\.zip: there is no corpus\.jsonl"):
        read(request(path))


@pytest.mark.parametrize(
    ("name", "content", "where", "problem"),
    [
        ("corpus.jsonl", FILES["corpus.jsonl"] + "{", ", line 3", "is not JSON"),
        ("corpus.jsonl", FILES["corpus.jsonl"] * 2, ", line 3", "the document id 'd1' is there twice"),
        ("corpus.jsonl", '{"_id": 1, "text": "x"}', ", line 1", "the document id is 1, not a text"),
        ("corpus.jsonl", "", "", "there is not one document"),
        ("corpus.jsonl", "ä".encode("latin-1"), ", line 1", "is not UTF-8"),
        ("queries.jsonl", '{"_id": "q1"}', ", line 1", "there is no field 'text'"),
        ("queries.jsonl", "", "", "there is not one query"),
        ("qrels/test.tsv", "q1\td3\t1", ", line 1", "the qrels name document 'd3'"),
        ("qrels/test.tsv", "q1\td1\tyes", ", line 1", "the relevance 'yes'"),
        ("qrels/test.tsv", "", "", "no query has a relevant document"),
    ],
)
def test_a_malformed_file_is_named(
    tmp_path: Path, name: str, content: str | bytes, where: str, problem: str
) -> None:
    put(tmp_path, FILES | {name: content})
    with pytest.raises(InputError) as caught:
        read(request(tmp_path))
    assert caught.value.where == f"{tmp_path / name}{where}"
    assert problem in caught.value.problem
    assert caught.value.todo


def test_pinned_files(tmp_path: Path) -> None:
    pins = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in FILES.items()}
    check(read(request(put(tmp_path, FILES), files=pins)))
    with pytest.raises(InputError, match=r"corpus\.jsonl: is not what the card of Own pins"):
        read(request(tmp_path, files=pins | {"corpus.jsonl": "0" * 64}))
    with pytest.raises(InputError, match=r"absent\.jsonl: cannot be compared"):
        read(request(tmp_path, files={"absent.jsonl": "0" * 64}))


def test_a_folder_in_mtebs_layout_is_read_as_its_readme_says(tmp_path: Path) -> None:
    parts = {"en-corpus": "corpus.jsonl", "en-queries": "queries.jsonl", "en": "qrels/test.tsv"}
    entries = [
        f"- config_name: {name}\n  data_files: [{{split: test, path: x/{path}}}]"
        for name, path in parts.items()
    ]
    readme = "---\nconfigs:\n" + "\n".join(entries) + "\n---\n"
    put(tmp_path, {f"x/{name}": text for name, text in FILES.items()} | {"README.md": readme})
    check(read(request(tmp_path, subset="en")))
    with pytest.raises(InputError, match="there is no configuration 'corpus'"):
        read(request(tmp_path))
