"""PostgreSQL, two replicas of app.py over it, and nginx before them, once for all tests here."""

from collections.abc import Iterator

import pytest

from tests.postgres import Postgres
from tests.topology.parts import Chroma, Nginx, Replica


@pytest.fixture(scope="session")
def database() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


@pytest.fixture(scope="session")
def chroma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chroma]:
    running = Chroma(tmp_path_factory.mktemp("chroma"))
    yield running
    running.close()


@pytest.fixture(scope="session")
def replicas(
    database: Postgres, chroma: Chroma, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Replica, Replica]]:
    """Each with a home of its own: what they share are the database and the index."""
    shared = {"PARLEY_DATABASE": database.url, "PARLEY_CHROMA_URL": chroma.url}
    both = [Replica(tmp_path_factory.mktemp(f"home{k}"), **shared) for k in (1, 2)]
    try:
        # One after the other: the first one fills the index for both.
        yield both[0].start().wait(), both[1].start().wait()
    finally:
        for replica in both:
            replica.kill()


@pytest.fixture(scope="session")
def nginx(replicas: tuple[Replica, Replica]) -> Iterator[Nginx]:
    running = Nginx(*replicas)
    try:
        yield running
    finally:
        running.close()
