from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dibs.errors import InputError
from dibs.retrieval.run import Run, rank, read_run, write_run

SETTINGS = settings(derandomize=True, deadline=None, max_examples=150)


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_the_order_is_score_then_id_both_falling() -> None:
    ranking = rank({"a": 1.0, "b": 2.0, "d10": 1.0, "d2": 1.0, "D": 1.0})
    assert ranking.documents == ["b", "d2", "d10", "a", "D"]
    assert ranking.scores.tolist() == [2, 1, 1, 1, 1]


def test_scores_that_are_one_float32_tie() -> None:
    assert rank({"a": 1.0 + 1e-9, "b": 1.0}).documents == ["b", "a"]
    assert rank({"a": 0.0, "b": -0.0}).documents == ["b", "a"]


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -float("inf")])
def test_a_score_that_is_no_number_is_refused(score: float) -> None:
    with pytest.raises(InputError, match="a score is not a finite number"):
        rank({"a": 1.0, "b": score})


def test_a_query_without_scores_has_an_empty_ranking() -> None:
    run = Run.of({"q1": {"a": 1.0}}, ["q1", "q2"])
    assert run.rankings["q2"].documents == []
    assert run.rankings["q2"].scores.dtype == np.float32
    assert run.scores() == {"q1": {"a": 1.0}, "q2": {}}


def test_the_first_k_of_each() -> None:
    run = Run.of({"q1": {"a": 1.0, "b": 2.0, "c": 3.0}, "q2": {"a": 1.0}}, ["q1", "q2"])
    assert run.top(2).scores() == {"q1": {"c": 3.0, "b": 2.0}, "q2": {"a": 1.0}}


def test_a_file_has_the_six_columns_of_trec(tmp_path: Path) -> None:
    path = tmp_path / "run.trec.gz"
    write_run(Run.of({"q1": {"a": 0.1, "b": 2}, "q2": {}}, ["q1", "q2"]), path, "bm25")
    assert gzip.decompress(path.read_bytes()) == b"q1 Q0 b 1 2.0 bm25\nq1 Q0 a 2 0.1 bm25\n"


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    run = Run.of({"q": {f"d{number}": number / 7 for number in range(50)}}, ["q"])
    for name in ("one.trec.gz", "two.trec.gz"):
        write_run(run, tmp_path / name, "x")
    assert (tmp_path / "one.trec.gz").read_bytes() == (tmp_path / "two.trec.gz").read_bytes()


@SETTINGS
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_what_is_read_has_the_same_bits_as_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, scores: list[float]
) -> None:
    path = tmp_path_factory.mktemp("run") / "run.trec.gz"
    run = Run.of({"q": {f"d{place}": score for place, score in enumerate(scores)}}, ["q"])
    write_run(run, path, "x")
    again = read_run(path).rankings["q"]
    assert again.documents == run.rankings["q"].documents
    assert again.scores.tobytes() == run.rankings["q"].scores.tobytes()


def test_the_greatest_and_the_smallest_float32_come_back(tmp_path: Path) -> None:
    limits = np.finfo(np.float32)
    scores = {"a": float(limits.max), "b": float(limits.smallest_subnormal), "c": float(limits.min)}
    write_run(Run.of({"q": scores}, ["q"]), tmp_path / "run.trec.gz", "x")
    assert read_run(tmp_path / "run.trec.gz").scores() == {"q": scores}


@pytest.mark.parametrize(
    "name", ["AMCOR 2020 10K p5", "a\tb", "100%", "a%20b", "caf\u00e9\u00a0x", "l\u2028s", "x\x1cy"]
)
def test_ids_may_hold_blanks(tmp_path: Path, name: str) -> None:
    run = Run.of({name: {name: 1.0, "other": 0.5}}, [name])
    write_run(run, tmp_path / "run.trec.gz", "x")
    assert read_run(tmp_path / "run.trec.gz", [name]).scores() == run.scores()


def test_a_plain_file_is_read_in_any_order_of_its_lines_and_without_regard_to_ranks(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.trec",
        "q1 Q0 a 1 0.5 x",
        "q2 0 z 9 1e-3 x",
        "",
        "q1 Q0 b 1 0.75 x",
        "q1\tQ0\tc  7 0.75 x",
    )
    run = read_run(path)
    assert {query: ranking.documents for query, ranking in run.rankings.items()} == {
        "q1": ["c", "b", "a"],
        "q2": ["z"],
    }


def test_queries_that_are_told_come_first_and_are_there_even_without_results(tmp_path: Path) -> None:
    path = write(tmp_path / "a.trec", "q3 Q0 a 1 1 x", "q9 Q0 a 1 1 x")
    run = read_run(path, ["q1", "q3"])
    assert list(run.rankings) == ["q1", "q3", "q9"]
    assert run.rankings["q1"].documents == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("q Q0 d 1 0.5", "has 5 columns, not 6\n  A TREC line is: query Q0 document rank score name."),
        ("q Q0 a document 1 0.5 x", "has 7 columns, not 6"),
        ("q Q0 d 1 high x", "the score 'high' is not a number"),
        ("q Q0 d 1 0,5 x", "the score '0,5' is not a number"),
        ("q Q0 d 1 nan x", "the score 'nan' is not a finite float32"),
        ("q Q0 d 1 -inf x", "the score '-inf' is not a finite float32"),
        ("q Q0 d 1 1e39 x", "the score '1e39' is not a finite float32"),
        ("q Q0 a 9 0.1 x", "query 'q' has document 'a' twice"),
    ],
)
def test_a_malformed_line_is_named_with_its_file(tmp_path: Path, line: str, problem: str) -> None:
    path = write(tmp_path / "a.trec", "q Q0 a 1 1.0 x", "", line, "q Q0 z 2 0 x")
    with pytest.raises(InputError) as caught:
        read_run(path)
    assert str(caught.value).startswith(f"{path}, line 3: {problem}")


def test_a_file_that_is_not_there_or_not_whole(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        read_run(tmp_path / "none.trec")
    path = tmp_path / "run.trec.gz"
    write_run(Run.of({"q": {"a": 1.0}}, ["q"]), path, "x")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="is a damaged gzip file"):
        read_run(path)


def test_an_empty_file_is_a_run_of_no_queries(tmp_path: Path) -> None:
    assert read_run(write(tmp_path / "a.trec")) == Run({})


CELLS = st.sampled_from(
    ["q", "q2", "Q0", "d", "d2", "1", "0.5", "-3e2", "nan", "1e400", "x", "%", "%zz", "\u00a0", "é"]
)
LINES = st.lists(st.lists(CELLS, max_size=8).map(" ".join) | st.text(max_size=20), max_size=6)


@SETTINGS
@given(LINES)
def test_whatever_a_file_holds_it_is_read_or_refused_by_its_line(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    path = tmp_path_factory.mktemp("run") / "a.trec"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    try:
        run = read_run(path)
    except InputError as error:
        run, message = Run({}), str(error)
    else:
        message = f"{path}, line none"
    assert message.startswith(f"{path}, line ")
    assert all(ranking.documents for ranking in run.rankings.values())


@SETTINGS
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=6, alphabet=st.characters(exclude_categories=["Cs"])), st.floats(-9, 9)
    )
)
def test_any_ids_come_back(tmp_path_factory: pytest.TempPathFactory, scores: dict[str, float]) -> None:
    path = tmp_path_factory.mktemp("run") / "run.trec.gz"
    run = Run.of({"q": scores}, ["q"])
    write_run(run, path, "x")
    assert read_run(path, ["q"]).scores() == run.scores()
