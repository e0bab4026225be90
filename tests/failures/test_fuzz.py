"""Any bytes at all, and valid files with parts changed: an object or an error of ours that says where."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.targets import TARGETS, feed

VALID = {
    "card": b'name = "A"\ndescription = "d"\nlicence = "mit"\ncitation = "c"\n[source]\nkind = "beir"\n',
    "corpus": b'{"_id": "d1", "title": "", "text": "one", "metadata": {"y": 2020}}\n',
    "queries": b'{"_id": "q1", "text": "what?", "metadata": {"answer": "43", "kind": null}}\n',
    "qrels-tsv": b"query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0.0\n",
    "qrels-jsonl": b'{"query-id": "q1", "corpus-id": "d1", "score": 1}\n',
    "run": b"q1 Q0 d1 1 2.5 bm25\nq1 Q0 d%202 2 1e-3 bm25\n",
    "run-gzip": gzip.compress(b"q1 Q0 d1 1 2.5 bm25\n", mtime=0),
    "labels-csv": b'question,gold,answer,label\nHow many?,12,"Twelve, I think",correct\n',
    "labels-jsonl": b'{"question": "How many?", "gold": 12, "answer": "Twelve", "label": 1}\n',
    "record": b'{"task": {"name": "T"}, "pipeline": "p", "inputs": {"a": [1.5]}, "files": {"x": "0"}}',
    "pairs": b'{"query":"q","document_id":"d","document":"t","kind":"k","group":"g","split":"train"}\n',
    "pairs-manifest": b'{"files": {"pairs.jsonl.gz": "0"}}',
}
FOUND: dict[str, list[bytes]] = {
    "record": [b'{"inputs": {"a": NaN}, "files": {}}', b'{"inputs": "\\ud800", "files": {}}', b"[" * 100_000],
    "pairs-manifest": [b"[" * 100_000],
}
"""What was refused in another way than ours, until it was mended."""


@pytest.mark.parametrize("name", sorted(set(TARGETS) - {"record", "pairs-manifest"}))
def test_what_is_valid_is_taken(name: str, tmp_path: Path) -> None:
    assert feed(name, VALID[name], tmp_path)


@pytest.mark.parametrize("name", TARGETS)
def test_anything_is_taken_or_refused_with_where(name: str, tmp_path: Path) -> None:
    @settings(derandomize=True, max_examples=40, deadline=None, database=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        valid = VALID[name]
        content = data.draw(
            st.binary(max_size=60)
            | st.text(max_size=40).map(lambda text: text.encode(errors="surrogatepass"))
            | st.tuples(
                st.integers(0, len(valid)), st.integers(0, 8), st.binary(max_size=6) | st.sampled_from(TOKENS)
            ).map(lambda change: valid[: change[0]] + change[2] + valid[change[0] + change[1] :])
        )
        feed(name, content, tmp_path)

    check()


TOKENS = [b"NaN", b"1e999", b"-", b"null", b"[]", b"{}", b'"', b"\\ud800", b"\xff", b"\0", b"\n", b"9" * 400]


@pytest.mark.parametrize(("name", "content"), [(name, one) for name in FOUND for one in FOUND[name]])
def test_what_was_found(name: str, content: bytes, tmp_path: Path) -> None:
    feed(name, content, tmp_path)


@pytest.mark.parametrize("name", TARGETS)
def test_deep_and_empty(name: str, tmp_path: Path) -> None:
    for content in (b"", b"\n", b'{"a":' * 3000, b"[" * 100_000, b'"' * 1000, b"\xef\xbb\xbf" + VALID[name]):
        feed(name, content, tmp_path)
