"""The examples of docs/interfaces.md, run as they stand against a real server over the films."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.conftest import Server

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "interfaces.md").read_text("utf-8")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("home"))
    try:
        running.start()
        yield running
    finally:
        running.kill()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_every_curl_example_is_answered(server: Server) -> None:
    script = "".join(f"echo '## block {k}'\n{block}" for k, block in enumerate(blocks("sh")))
    python = f'python() {{ "{sys.executable}" "$@"; }}\nset -e -o pipefail\n'
    done = subprocess.run(
        ["bash", "-c", python + script],
        env={**os.environ, "PARLEY": server.url},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr}"
    told = done.stdout.split("## block ")
    assert '"status":"ok"' in told[1] and "differences" in told[2]
    assert '"kind": "done"' in told[3] and '"evidence"' in told[3]
    assert "You do not like" in told[4] and "thumb_up" in told[4]
    assert '"id":"parley"' in told[5] and told[5].rstrip().endswith("data: [DONE]")


def test_every_address_has_an_example(server: Server) -> None:
    """Every address of the specification stands in a block, by its last fixed part."""
    import httpx

    spec = httpx.get(f"{server.url}/api/v1/openapi.json").json()
    shell = "\n".join(blocks("sh"))
    for path in spec["paths"]:
        last = [part for part in path.split("/") if not part.startswith("{")][-1]
        assert f"/{last}" in shell, path


def test_the_python_examples_run(server: Server, tmp_path: Path) -> None:
    for block in blocks("python"):
        done = subprocess.run(
            [sys.executable, "-c", block],
            cwd=ROOT,
            env={**os.environ, "PARLEY_HOME": str(tmp_path)} | given(block, server),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{block}\n{done.stderr}"
        assert len(done.stdout.splitlines()) >= 5


def given(block: str, server: Server) -> dict[str, str]:
    """PARLEY is no setting: only a client's example gets the address."""
    return {"PARLEY": server.url} if 'environ["PARLEY"]' in block else {}
