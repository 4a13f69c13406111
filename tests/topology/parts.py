"""The parts of compose.yaml as processes of this machine: replicas of app.py, and nginx."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import httpx
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
START_LIMIT_S = 600  # only a limit for something that never starts; nothing is measured here


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Replica:
    """``python app.py``; may be killed and started again at the same port."""

    def __init__(self, home: Path, **variables: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.printed: list[str] = []
        self._variables = {"PARLEY_PORT": str(self.port), "PARLEY_HOME": str(home), **variables}
        self._process: subprocess.Popen[str] | None = None
        self._reader = threading.Thread()
        self._ready = threading.Event()

    def start(self) -> Self:
        """Start it; ``wait`` waits for it, so that several start at once."""
        self._ready.clear()
        self.printed.clear()
        self._process = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=ROOT,
            env={**os.environ, "PARLEY_THREADS": "1", **self._variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        return self

    def wait(self) -> Self:
        assert self._ready.wait(START_LIMIT_S), f"not ready:\n{''.join(self.printed)}"
        assert f"Parley is ready on {self.url}" in "".join(self.printed), "".join(self.printed)
        return self

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.printed.append(line)
                if "Parley is ready" in line:
                    self._ready.set()
        self._ready.set()  # it ended: whoever waits shall see what it printed

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._reader.join()  # else it would say of the next process that this one is ready
            self._process = None


class Gate:
    """What the first replica's model says; a test can hold it up in the middle of a turn.

    It is the answer of ``tests.evals.served.server``: a turn of that replica waits at a real
    request to a real server, for as long as the test likes, so what is killed meanwhile is
    killed in the middle of the turn on a machine of any speed.
    """

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._open = threading.Event()
        self._open.set()

    def __call__(self, prompt: str) -> str:
        self.asked.set()
        assert self._open.wait(START_LIMIT_S)
        return "Here you are."

    @contextmanager
    def held(self) -> Iterator[None]:
        """Answer nobody until the end of the block."""
        self._open.clear()
        self.asked.clear()
        try:
            yield
        finally:
            self._open.set()

    def wait(self) -> None:
        """Until a turn stands before the closed gate."""
        assert self.asked.wait(START_LIMIT_S), "no turn asked the model"


class Chroma:
    """``chroma run`` over a folder of its own."""

    def __init__(self, folder: Path) -> None:
        program = Path(sys.executable).with_name("chroma")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [program, "run", "--path", folder / "data", "--port", str(self.port)],
            stdout=self._log,
            stderr=self._log,
        )
        until = time.monotonic() + START_LIMIT_S
        while not listening(self.port):
            assert self._process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until
            time.sleep(0.1)

    def close(self) -> None:
        """End it; a second time does nothing."""
        self._process.kill()
        self._process.wait()
        self._log.close()


class Nginx:
    """nginx with ops/nginx.conf, whose host names and port are those of these processes."""

    def __init__(self, *replicas: Replica) -> None:
        found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if found is None:
            pytest.skip(
                "nginx is not installed here: apt-get install --no-install-recommends nginx"
            )
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = Path(tempfile.mkdtemp(prefix="parley-nginx-"))
        text = (ROOT / "ops" / "nginx.conf").read_text()
        for number, replica in enumerate(replicas, 1):
            assert f"app-{number}:7860" in text
            text = text.replace(f"app-{number}:7860", f"127.0.0.1:{replica.port}")
        assert "app-" not in re.sub("#.*", "", text) and "listen 8080;" in text
        text = text.replace("listen 8080;", f"listen 127.0.0.1:{self.port};")
        text = text.replace("/tmp/parley-nginx", f"{self._folder}/run")
        (self._folder / "nginx.conf").write_text(text)
        config = ["-p", str(self._folder), "-c", "nginx.conf", "-e", "stderr"]
        checked = subprocess.run([found, *config, "-t"], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr
        self._process = subprocess.Popen(
            [found, *config, "-g", "daemon off;"], stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + START_LIMIT_S
        while not listening(self.port):
            assert self._process.poll() is None and time.monotonic() < until
            time.sleep(0.1)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(30)
        shutil.rmtree(self._folder, ignore_errors=True)


class Browser:
    """One browser's requests to the page's addresses, at any replica. Close it."""

    def __init__(self, user: str) -> None:
        self.client = httpx.Client(headers={"X-Parley-User": user}, timeout=180)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def turn(
        self, url: str, thread: str, text: str = "", kind: str = "say"
    ) -> list[dict[str, object]]:
        """Start a turn and read all it gives off; where one runs already, wait and ask again."""
        body = {"thread": thread, "kind": kind, "text": text}
        until = time.monotonic() + START_LIMIT_S
        while True:
            answer = self.client.post(f"{url}/parley/turn", json=body)
            if answer.status_code != 409:
                break
            assert time.monotonic() < until, answer.text
            time.sleep(0.2)
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]
