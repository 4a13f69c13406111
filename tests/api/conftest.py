"""One API over the lamp shop for a whole module, and a client for it."""

from collections.abc import Iterator

import httpx
import pytest

from tests.api.shop import Api


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with Api(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
def web(api: Api) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=api.url, headers={"X-Parley-User": "ann"}, timeout=60) as client:
        yield client
