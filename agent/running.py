"""One turn at a time in a conversation, and a way to end the one that runs.

A lock a conversation, kept only while somebody holds or awaits it, so that a server that
has seen a million conversations holds none of them. ``Running`` is what the graph's nodes
are given beside the state: the parts of *this* turn (a rebuilt catalogue serves the next
turn) and the flag that ``Agent.stop`` raises.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from agent.graph import Parts
    from agent.profile import Held


@dataclass(frozen=True)
class Running:
    """A turn in progress."""

    parts: "Parts"
    stop: threading.Event
    held: "Held | None" = None  # the person's profile; None for somebody without a name
    span: "Span | None" = None  # the turn's, above those of its nodes

    @property
    def stopped(self) -> bool:
        return self.stop.is_set()


@dataclass
class _Place:
    lock: threading.Lock = field(default_factory=threading.Lock)
    wanted: int = 0  # holder and waiters
    stop: threading.Event | None = None  # the holder's


class Threads:
    """Locks by conversation."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._places: dict[str, _Place] = {}

    def __len__(self) -> int:
        """Conversations held or waited for now."""
        return len(self._places)

    @contextmanager
    def hold(self, thread: str) -> Iterator[threading.Event]:
        """Wait for the conversation, then have it alone; the event is set to end the turn."""
        with self._guard:
            place = self._places.setdefault(thread, _Place())
            place.wanted += 1
        try:
            with place.lock:
                place.stop = stop = threading.Event()
                try:
                    yield stop
                finally:
                    place.stop = None
        finally:
            with self._guard:
                place.wanted -= 1
                if not place.wanted:
                    del self._places[thread]

    def stop(self, thread: str) -> bool:
        """Ask whoever holds the conversation to end; False if nobody does."""
        with self._guard:
            place = self._places.get(thread)
            event = place.stop if place else None
        if event is None:
            return False
        event.set()
        return True

    def busy(self, thread: str) -> bool:
        with self._guard:
            place = self._places.get(thread)
            return place is not None and place.stop is not None
