"""PostgreSQL, two replicas of app.py over it, and nginx before them, once for all tests here."""

from collections.abc import Iterator

import pytest

from tests.evals.served import server
from tests.postgres import Postgres
from tests.topology.parts import Chroma, Gate, Nginx, Replica


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
def gate() -> Gate:
    return Gate()


@pytest.fixture(scope="session")
def replicas(
    database: Postgres, chroma: Chroma, gate: Gate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Replica, Replica]]:
    """Each with a home of its own: what they share are the database and the index. The first
    one's replies are written by a server, through ``gate``, the second one's by its own model."""
    shared = {"PARLEY_DATABASE": database.url, "PARLEY_CHROMA_URL": chroma.url}
    homes = [tmp_path_factory.mktemp(f"home{k}") for k in (1, 2)]
    with server(gate) as (url, _):
        served = {"PARLEY_ENDPOINT_URL": url, "PARLEY_ENDPOINT_MODEL": "a-function"}
        both = Replica(homes[0], **shared, **served), Replica(homes[1], **shared)
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
