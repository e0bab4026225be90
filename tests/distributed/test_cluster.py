"""Who sits where; nothing of Ray is begun."""

from __future__ import annotations

import sys

import pytest

from dibs.distributed.cluster import Cluster, Node, Seat, seats_of
from dibs.distributed.engine import find_engine, using_engine
from dibs.encoders import base
from dibs.errors import InputError, MissingError

pytest.importorskip("ray")


@pytest.mark.parametrize(
    ("nodes", "workers", "expected"),
    [
        ([("a", 8, 0)], None, [("a", 0, 8, 0, 8)]),
        ([("a", 8, 0)], 3, [("a", 0, 2, 0, 2), ("a", 1, 2, 0, 2), ("a", 2, 2, 0, 2)]),
        ([("a", 2, 0)], 3, [("a", 0, 1, 0, 0.6666), ("a", 1, 1, 0, 0.6666), ("a", 2, 1, 0, 0.6666)]),
        ([("a", 8, 0), ("b", 4, 0)], None, [("a", 0, 8, 0, 8), ("b", 0, 4, 0, 4)]),
        ([("a", 8, 0), ("b", 4, 0)], 3, [("a", 0, 4, 0, 4), ("b", 0, 4, 0, 4), ("a", 1, 4, 0, 4)]),
        ([("a", 8, 2), ("b", 4, 0)], None, [("a", 0, 4, 1, 4), ("a", 1, 4, 1, 4)]),
        ([("a", 8, 2), ("b", 4, 1)], 2, [("a", 0, 8, 1, 8), ("b", 0, 4, 1, 4)]),
    ],
)
def test_seats(
    nodes: list[tuple[str, int, int]], workers: int | None, expected: list[tuple[str, int, int, int, float]]
) -> None:
    found = seats_of([Node(*node) for node in nodes], workers)
    assert list(found) == [Seat(*seat) for seat in expected]


def test_more_workers_than_gpus_are_refused() -> None:
    with pytest.raises(InputError, match="--workers 3: the cluster has 2 GPUs"):
        seats_of([Node("a", 8, 2)], 3)


def test_an_address_of_rays_client_is_refused() -> None:
    with pytest.raises(InputError, match="ray://head:10001: is no address of a cluster"):
        Cluster("ray://head:10001")


def test_without_ray_the_pip_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "find_spec", lambda module: None)
    with pytest.raises(MissingError) as missing, using_engine("ray", None, 5):
        pass
    assert missing.value.todo == 'Run: pip install "dibs[ray]"'


def test_options_of_an_engine_want_one() -> None:
    assert find_engine(None, None, None) is None
    with pytest.raises(InputError, match="--workers is for an engine"):
        find_engine(None, None, 2)
    with pytest.raises(InputError, match="--address is for an engine"):
        find_engine(None, "auto", None)


def test_an_engine_that_has_nothing_to_do_does_not_load_ray() -> None:
    before = "ray" in sys.modules
    with using_engine("ray", None, 6) as engine:
        assert engine is not None
        assert find_engine("ray", None, 6) is engine
    assert ("ray" in sys.modules) is before
