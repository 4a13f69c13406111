"""Turns in threads of their own: the event loop stays free, and at most ``workers`` run at once.

A caller that goes away while its turn is streamed has it stopped: what was verified until then
is kept as the reply, as with the page's Stop.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi.responses import StreamingResponse

from agent.agent import Agent, Event
from agent.errors import AgentError

WORKERS = 8
Begin = Callable[[], Iterator[Event]]


class Turning:
    """Runs turns of one agent for async callers."""

    def __init__(self, agent: Agent, workers: int = WORKERS) -> None:
        self.agent = agent
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="api")

    async def events(self, thread: str, begin: Begin) -> AsyncIterator[Event]:
        """A turn's events as they come.

        Raises:
            ParleyError: what the turn raised.
        """
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[Event | Exception | None]()

        def put(value: Event | Exception | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(queue.put_nowait, value)

        def work() -> None:
            try:
                for event in begin():
                    put(event)
            except Exception as error:
                put(error)
            finally:
                put(None)

        running, ended = self._pool.submit(work), False
        try:
            while (event := await queue.get()) is not None:
                if isinstance(event, Exception):
                    ended = True
                    raise event
                yield event
            ended = True
        finally:
            # Only a caller that left: by now the next turn of the conversation may run.
            if not ended and not running.cancel():
                self.agent.stop(thread)

    async def whole(self, thread: str, begin: Begin) -> Event:
        """The last event of a turn, which carries the reply."""
        last = None
        async for event in self.events(thread, begin):
            last = event
        if last is None or last.turn is None:
            raise AgentError("The turn ended without a reply: say it again.")
        return last


def server_sent(lines: AsyncIterator[str], headers: dict[str, str]) -> StreamingResponse:
    """Server-sent events whose data are ``lines``."""

    async def framed() -> AsyncIterator[bytes]:
        async for line in lines:
            yield f"data: {line}\n\n".encode()

    own = {"X-Accel-Buffering": "no", **headers}
    return StreamingResponse(framed(), media_type="text/event-stream", headers=own)


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
