"""A real `python -m agent.serve` for tests: started, killed, started again on the same port.

The suite needs an interpreter with vLLM: .venv-vllm (`make env-serving`), or the one that the
variable SERVING_PYTHON names.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VLLM_PYTHON = Path(os.environ.get("SERVING_PYTHON", ROOT / ".venv-vllm" / "bin" / "python"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Served:
    """agent.serve as a child process; ``lines`` is what it printed."""

    def __init__(self, *arguments: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.arguments = arguments
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self.lines: list[str] = []
        self.process: subprocess.Popen[str] | None = None

    def start(self, patience: float = 280.0) -> "Served":
        """Returns once the server says that it is healthy."""
        command, _, more = " ".join(self.arguments).partition(" -- ")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "agent.serve", "--python", str(VLLM_PYTHON)),
                *("--device", "cpu", "--port", str(self.port), "--quiet", *command.split()),
                *(["--", *more.split()] if more else []),
            ],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        healthy = threading.Event()
        threading.Thread(target=self._follow, args=(self.process, healthy), daemon=True).start()
        until = time.monotonic() + patience
        while not healthy.wait(0.2):
            if self.process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise AssertionError("agent.serve did not start:\n" + "\n".join(self.lines[-40:]))
        return self

    def _follow(self, process: "subprocess.Popen[str]", healthy: threading.Event) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.lines.append(line.rstrip())
                if line.startswith("Healthy:"):
                    healthy.set()

    def vllm(self) -> list[int]:
        """Process ids of the vLLM that agent.serve started: its session, and nothing else."""
        assert self.process is not None
        found = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True
        )
        sessions = found.stdout.split()
        of = subprocess.run(
            ["ps", "-o", "pid=", "-s", ",".join(sessions)], capture_output=True, text=True
        )
        return [int(pid) for pid in of.stdout.split()]

    def kill(self) -> None:
        """kill -9 to all of vLLM; agent.serve then ends by itself, with an error."""
        for pid in self.vllm():
            os.kill(pid, signal.SIGKILL)
        assert self.process is not None
        self.process.wait(60)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
