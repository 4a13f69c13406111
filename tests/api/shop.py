"""The API over the lamp shop: a real server in a thread, a real client, a plain recommender."""

import asyncio
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from agent.agent import Agent
from agent.api.app import create
from agent.graph import Parts
from agent.settings import Settings
from agent.verify import Verifier
from catalog.embed import Embedder
from tests.agent.shop import CATALOG, ByPopularity, Plain, Told, read
from tools.features import Bitmap, Floats

WAIT_S = 60  # only a limit for a server that never starts


class Exact:
    """A vector store in its plainest form: every cosine."""

    def query(
        self, vector: Floats, k: int = 100, allowed: Bitmap | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        scores = CATALOG.vectors @ vector
        order = [r for r in np.argsort(-scores) if allowed is None or allowed[r]][:k]
        return np.array(order, dtype=np.int64), scores[order]


class Shelf(ByPopularity):
    """The shop's recommender, with what search needs."""

    def __init__(self, reverse: bool = False) -> None:
        super().__init__()
        self.store: Any = Exact()
        self.embedder = Embedder(threads=1)
        self.reverse = reverse

    def forbidden(self) -> list[int]:
        return []


def parts(before: Callable[[int], None] = lambda k: None) -> Parts:
    return Parts(
        catalog=CATALOG,
        read=read,
        recommender=Shelf(),
        writer=Told(Plain(before), Verifier(CATALOG)),
        slate_items=3,
    )


class Api:
    """The API alone, served on a free port."""

    def __init__(self, home: Path, *, made: Parts | None = None, **chosen: Any) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = threading.Event()
        self.agent = Agent(made or parts(self._before), home / "c.sqlite")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = Settings.load(home=home, port=self.port, **chosen)
        self._server = uvicorn.Server(
            uvicorn.Config(
                create(self.agent, self.settings),
                port=self.port,
                log_level="error",
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        asyncio.run(self._server.serve())

    def _before(self, piece: int) -> None:
        """The model waits at a closed gate before each piece of a reply but the first."""
        if piece and not self.gate.is_set():
            self.waiting.set()
            assert self.gate.wait(WAIT_S)

    def __enter__(self) -> "Api":
        self._thread.start()
        for _ in range(WAIT_S * 50):
            if self._server.started:
                return self
            self._thread.join(0.02)
        raise AssertionError("the server did not start")

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._server.should_exit = True
        self._thread.join(WAIT_S)
        self.agent.close()
