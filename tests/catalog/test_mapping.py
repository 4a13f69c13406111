"""Batch work over a Ray cluster of two workers on this machine: whole, once, and resumable."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from catalog.build import build
from catalog.errors import ParleyError
from catalog.items import Catalog
from catalog.mapping import MappingError, cluster, spread

pytest.importorskip("ray", reason="Ray is an optional extra: requirements/ray.txt")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    # Ray leaves sockets and files of its own processes to the end of the process.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


class Squares:
    """Squares numbers, notes each call in a folder, and is killed once at 7."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def __call__(self, number: int) -> int:
        with (self.folder / str(number)).open("a") as calls:
            calls.write(f"{os.getpid()}\n")
        if number == 7 and not (self.folder / "died").exists():
            (self.folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if number < 0:
            raise ParleyError(f"{number} is below 0: give a number above it.")
        return number * number


def test_each_result_comes_once_though_a_worker_dies(tmp_path: Path) -> None:
    with cluster("local", workers=2):
        results = list(spread(Squares, (str(tmp_path),), range(12), workers=2))
        assert sorted(results) == [(k, k * k) for k in range(12)]
        assert (tmp_path / "died").exists()
        pids = {line for k in range(12) for line in (tmp_path / str(k)).read_text().split()}
        assert len(pids) >= 2 and str(os.getpid()) not in pids
        with pytest.raises(ParleyError, match="-3 is below 0"):
            list(spread(Squares, (str(tmp_path),), [1, -3], workers=2))
        assert list(spread(Squares, (str(tmp_path),), [], workers=2)) == []


def test_a_catalogue_embedded_on_a_cluster_is_the_same(tmp_path: Path) -> None:
    table = tmp_path / "lamps.csv"
    rows = [f"l{k},Lamp {k},{'desk' if k % 2 else 'floor'},{10 + k}" for k in range(40)]
    table.write_text("\n".join(["id,title,kind,price", *rows]))
    alone = build(table, tmp_path / "alone")
    cache = tmp_path / "spread.vectors"
    spread_out = build(table, tmp_path / "spread", ray="local", ray_workers=2)
    assert alone["items"] == spread_out["items"] == 40
    left, right = (Catalog.open(tmp_path / name).vectors for name in ("alone", "spread"))
    assert np.abs(left - right).max() < 1e-2
    held = cache.stat().st_size
    build(table, tmp_path / "spread", ray="local", ray_workers=2)
    assert cache.stat().st_size == held  # nothing was embedded again


def test_a_cluster_that_is_not_there_is_said() -> None:
    with (
        pytest.raises(MappingError, match="No Ray cluster can be used at 'nonsense'"),
        cluster("nonsense", workers=1),
    ):
        pass
    with (
        pytest.raises(MappingError, match="is for a client outside the cluster"),
        cluster("ray://head:10001", workers=1),
    ):
        pass
