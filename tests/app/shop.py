"""The page over the lamp shop, served by this process: a real server and a patient model.

The tests that need a turn to stand still, to fail, or a catalogue with nasty titles use this;
its agent is the real one with a scripted writer (tests/agent/shop.py), so it starts at once.
"""

import asyncio
import socket
import threading
from pathlib import Path

import polars as pl
import uvicorn

from agent.agent import Agent
from agent.errors import LLMError
from agent.settings import Settings
from catalog.items import Catalog
from page.server import create
from tests.agent import shop
from tests.agent.shop import Plain

NASTY = "<script>alert(1)</script><img src=x onerror=alert(1)>"
WAIT_S = 60  # only a limit for a test that never opens the gate


class Shop:
    """A server in a thread. ``gate``: clear it and the model waits before its next piece."""

    def __init__(self, database: Path) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = threading.Event()  # the model stands at the closed gate
        self.held_at = 0  # before which piece of a reply
        self.broken = False
        self.agent: Agent = shop.agent(database, Plain(self._before))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{port}"
        self._settings = Settings.load(home=database.parent, port=port)
        self._server: uvicorn.Server | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    async def _serve(self) -> None:
        # Made inside the loop: outside of one, Gradio makes its own and never closes it.
        app = create(self.agent, self._settings)
        port = self._settings.port
        config = uvicorn.Config(app, port=port, log_level="error", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        serving = asyncio.create_task(self._server.serve())
        while not (self._server.started or serving.done()):
            await asyncio.sleep(0.02)
        self._ready.set()
        await serving

    def _before(self, piece: int) -> None:
        if self.broken:
            raise LLMError("http://127.0.0.1:9 did not answer within 30 s: start the server.")
        if piece >= self.held_at and not self.gate.is_set():
            self.waiting.set()
            assert self.gate.wait(WAIT_S)

    def hold(self, at: int = 0) -> None:
        """From now on the model waits before the ``at``-th piece of a reply."""
        self.held_at = at
        self.waiting.clear()
        self.gate.clear()

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(WAIT_S)

    def stop(self) -> None:
        self.gate.set()
        if self._server:
            self._server.should_exit = True
        self._thread.join(WAIT_S)


def make_nasty(catalog: Catalog) -> None:
    """Put a title into the catalogue that would run as a script were it not escaped."""
    first = pl.col("id") == "l1"
    catalog.df = catalog.df.with_columns(
        title=pl.when(first).then(pl.lit(NASTY)).otherwise(pl.col("title")),
        maker=pl.when(first).then(pl.lit([NASTY])).otherwise(pl.col("maker")),
        uses=pl.when(first).then(pl.lit([NASTY, "reading"])).otherwise(pl.col("uses")),
    )
