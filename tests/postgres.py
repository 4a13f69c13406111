"""A throw-away PostgreSQL of its own: a folder, a port, and the end of both.

    with Postgres() as database:
        psycopg.connect(database.url)
        database.restart()      # as an administrator does it: open connections are cut
        database.kill()         # kill -9: nothing is written in the end; start() recovers

It takes the server from the PATH or from Debian's folders (apt-get install postgresql). The
server refuses to run as root, so under root it runs as ``postgres`` or ``nobody``.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import pytest

START_LIMIT_S = 60  # only a limit for a server that never starts; nothing is measured here
DEBIAN = Path("/usr/lib/postgresql")
# Tests may wait for the disk less than people's data: a killed *process* loses nothing by it.
SETTINGS = ("fsync=off", "shared_buffers=32MB", "max_connections=60", "log_min_messages=warning")


class Postgres:
    """One server. ``url`` stays the same over ``stop``, ``kill`` and ``start``."""

    def __init__(self) -> None:
        self._bin = _programs()
        self._user = _unprivileged()
        self._folder = Path(tempfile.mkdtemp(prefix="parley-pg-"))
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.url = f"postgresql://parley@127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> Self:
        if self._user is not None:
            entry = pwd.getpwnam(self._user)
            os.chown(self._folder, entry.pw_uid, entry.pw_gid)
        made = ["initdb", "-D", str(self._data), "-U", "parley", "-A", "trust", "-E", "UTF8"]
        self._run([*made, "--no-sync", "--locale=C"])
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def running(self) -> bool:
        return self._process is not None

    @property
    def log(self) -> str:
        """What the server printed."""
        path = self._folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def database(self, name: str) -> str:
        """The URL of a new, empty database on this server."""
        self._run(["createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "parley", name])
        return self.url.removesuffix("/postgres") + f"/{name}"

    def start(self) -> None:
        """Start the server and wait until it answers; recovers first after ``kill``."""
        options = [part for setting in SETTINGS for part in ("-c", setting)]
        command = [str(self._bin / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        command += ["-h", "127.0.0.1", "-k", str(self._folder), *options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self._folder, **self._as()
            )
        limit = time.monotonic() + START_LIMIT_S
        ready = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run([*ready, "-U", "parley"], check=False).returncode:
            assert self._process.poll() is None, f"PostgreSQL ended:\n{self.log}"
            assert time.monotonic() < limit, f"PostgreSQL does not answer:\n{self.log}"
            time.sleep(0.1)

    def stop(self) -> None:
        """Shut down in order, cutting open connections ("fast")."""
        self._end(signal.SIGINT)

    def restart(self) -> None:
        self.stop()
        self.start()

    def kill(self) -> None:
        """End the server at once, as a power cut would; its data stays for ``start``."""
        self._end(signal.SIGQUIT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(START_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def program(self, name: str, *arguments: str, given: bytes | None = None) -> bytes:
        """What one of PostgreSQL's programs prints; ``given`` is its input."""
        done = subprocess.run(
            [str(self._bin / name), *arguments],
            capture_output=True,
            input=given,
            cwd=self._folder,
            check=False,
            **self._as(),
        )
        assert done.returncode == 0, f"{name}: {done.stdout[-500:]!r} {done.stderr.decode()}"
        return done.stdout

    def _run(self, command: list[str]) -> None:
        self.program(*command)

    def _as(self) -> dict[str, object]:
        if self._user is None:
            return {}
        group = pwd.getpwnam(self._user).pw_gid
        return {"user": self._user, "group": group, "extra_groups": []}


def _programs() -> Path:
    """The folder with PostgreSQL's programs; the test is skipped where there is none."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(DEBIAN.glob("*/bin"), reverse=True)
    for place in places:
        if all((place / name).exists() for name in ("initdb", "postgres", "pg_isready")):
            return place
    pytest.skip("PostgreSQL's server is not installed here: apt-get install postgresql")


def _unprivileged() -> str | None:
    """Whom to run as: nobody else unless this is root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"
