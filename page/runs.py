"""Turns that run on the server, whoever watches: a reload or a lost connection ends none.

The page starts a turn with one request and reads what it gives off from a stream. Here the
turn runs in a thread of its own and everything it gave off so far is kept, so a page that
was reloaded in the middle reads it again from the start. One turn at a time in a conversation;
what is finished is forgotten, because then the agent's checkpoints hold it.

    runs = Runs(workers=8)
    run = runs.start("thread-1", first=0, events=lambda: iter([{"kind": "done"}]))
    async for event in run.follow(): ...
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from catalog.errors import ParleyError

Events = Iterable[dict[str, Any]]


class BusyError(ParleyError):
    """A second turn was asked for while the first one runs."""


class Run:
    """One turn in flight: the events it gave off so far, and those who wait for the next."""

    def __init__(self, thread: str, first: int) -> None:
        self.thread = thread
        self.first = first  #: the exchange it will write: those before it stay as they are
        self._events: list[dict[str, Any]] = []
        self._ended = False
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def add(self, event: dict[str, Any]) -> None:
        with self._lock:
            self._events.append(event)
        self._wake()

    def end(self) -> None:
        with self._lock:
            self._ended = True
        self._wake()

    def _wake(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for loop, event in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    async def follow(self) -> AsyncIterator[dict[str, Any]]:
        """Every event from the first one on, each as soon as it is there; ends with the turn."""
        place = 0
        while True:
            news = asyncio.Event()
            with self._lock:
                fresh, ended = self._events[place:], self._ended
                if not fresh and not ended:
                    self._waiting.append((asyncio.get_running_loop(), news))
            for event in fresh:
                yield event
            place += len(fresh)
            if not fresh:
                if ended:
                    return
                await news.wait()


class Runs:
    """All turns in flight, at most ``workers`` at once; further ones wait their turn."""

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="turn")
        self._lock = threading.Lock()
        self._running: dict[str, Run] = {}

    def of(self, thread: str) -> Run | None:
        """The turn that runs in this conversation, if one does."""
        with self._lock:
            return self._running.get(thread)

    def start(self, thread: str, *, first: int, events: Callable[[], Events]) -> Run:
        """Begin a turn. ``events`` is called in the turn's thread and must raise nothing.

        Raises:
            BusyError: a turn of this conversation still runs.
        """
        run = Run(thread, first)
        with self._lock:
            if thread in self._running:
                raise BusyError("I am still answering. Press Stop first, or wait a moment.")
            self._running[thread] = run
        self._pool.submit(self._work, run, events)
        return run

    def _work(self, run: Run, events: Callable[[], Events]) -> None:
        try:
            for event in events():
                if event["kind"] in ("done", "failed"):
                    # Out of the list first: who reads "done" may begin the next turn at once.
                    self._forget(run)
                run.add(event)
        finally:
            self._forget(run)
            run.end()

    def _forget(self, run: Run) -> None:
        with self._lock:
            if self._running.get(run.thread) is run:
                del self._running[run.thread]
