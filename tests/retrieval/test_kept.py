from __future__ import annotations

from pathlib import Path

import pytest

from dibs.retrieval.kept import kept


def write(folder: Path) -> None:
    (folder / "index").write_text("made")


def read(folder: Path) -> str:
    return (folder / "index").read_text()


def test_it_is_written_once_and_read_again(tmp_path: Path) -> None:
    assert kept(tmp_path / "indexes" / "a", write, read) == "made"
    assert kept(tmp_path / "indexes" / "a", lambda folder: pytest.fail("written again"), read) == "made"
    assert [path.name for path in (tmp_path / "indexes").iterdir()] == ["a"]


def test_one_that_fails_while_it_is_written_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        write(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept(tmp_path / "a", fail, read)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["index", "done.json"])
@pytest.mark.parametrize("content", [b"", b"mad", b"\xff", b"[1]", b"{}", None])
def test_one_that_is_not_as_it_was_written_is_made_anew(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    folder = tmp_path / "a"
    kept(folder, write, read)
    whole = (folder / name).read_bytes()
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.warns(UserWarning, match=r"a: the index is damaged and made anew"):
        assert kept(folder, write, read) == "made"
    assert (folder / name).read_bytes() == whole


def test_a_file_too_many_is_noticed(tmp_path: Path) -> None:
    kept(tmp_path / "a", write, read)
    (tmp_path / "a" / "more").write_text("x")
    with pytest.warns(UserWarning, match="made anew"):
        kept(tmp_path / "a", write, read)


def test_what_another_process_wrote_meanwhile_is_taken(tmp_path: Path) -> None:
    def slow(folder: Path) -> None:
        kept(tmp_path / "a", write, read)
        (folder / "index").write_text("late")

    assert kept(tmp_path / "a", slow, read) == "made"
