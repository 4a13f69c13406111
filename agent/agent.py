"""One agent over one catalogue: what the page, the terminal and the evaluations talk to.

    agent = Agent.open(Settings.load())
    for event in agent.turn("thread-1", "something like Arrival but less slow"):
        print(event.kind, event.text)

Threads are independent; any number of callers may use one agent at once.
"""

import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

from agent.graph import Parts, build
from agent.memory import load, open_saver, thread_config, undo
from agent.state import Beliefs, DialogueState, Frozen, Turn, Unit
from catalog.items import Catalog

MAX_USER_CHARS = 10_000
Removable = Literal["clauses", "mentions", "wishes", "about"]


class Event(Frozen):
    """What a turn gives off while it runs. ``done`` comes last and carries the whole turn."""

    kind: Literal["status", "slate", "card", "sentence", "done"]
    text: str = ""
    item_id: str | None = None
    item_ids: tuple[str, ...] = ()
    unit: Unit | None = None
    turn: Turn | None = None


class Agent:
    """A dialogue manager with its catalogue, models and memory."""

    def __init__(self, parts: Parts, database: Path) -> None:
        self.parts = parts
        self.catalog: Catalog = parts.catalog
        self.saver = open_saver(database)
        self.graph = build(parts, self.saver)
        # One turn at a time in a thread: two tabs of one conversation must not interleave.
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    @classmethod
    def open(cls, settings: Any) -> Self:
        """Open the catalogue, models and memory that ``settings`` name."""
        from agent.assemble import assemble

        return cls(assemble(settings), settings.home / "conversations.sqlite")

    def turn(self, thread: str, text: str, *, user: str = "anonymous") -> Iterator[Event]:
        """Answer one message. Yields verified units as they are ready, then ``done``.

        Raises:
            AgentError: a model failed; the message is kept and the thread can go on.
        """
        text = text.strip()[:MAX_USER_CHARS]
        with self._locks[thread]:
            self._resume(thread)
            state = load(self.graph, thread)
            turns = [*state.turns, Turn(role="user", text=text)]
            yield from self._run(thread, {"turns": turns, "user": user})
            last = load(self.graph, thread).turns[-1]
            if last.act == "undo":
                # The request to undo is itself taken back, then the turn before it.
                undo(self.graph, thread)
                undo(self.graph, thread)
        yield Event(kind="done", turn=last, text=last.text)

    def _run(self, thread: str, values: dict[str, Any] | None) -> Iterator[Event]:
        stream = self.graph.stream(
            values, thread_config(thread), stream_mode="custom", durability="sync"
        )
        for event in stream:
            unit = event.get("unit")
            yield Event(
                kind=event["kind"],
                unit=unit,
                text=unit.text if unit else "",
                item_id=unit.item_id if unit else None,
                item_ids=event.get("item_ids", ()),
            )

    def _resume(self, thread: str) -> None:
        if self.graph.get_state(thread_config(thread)).next:
            for _ in self._run(thread, None):
                pass

    def resume(self, thread: str) -> DialogueState:
        """Finish a turn that a crash cut off, if there is one, and return the state."""
        with self._locks[thread]:
            self._resume(thread)
            return load(self.graph, thread)

    def state(self, thread: str) -> DialogueState:
        """The state of a thread; an empty one for an unknown thread."""
        return load(self.graph, thread)

    def undo(self, thread: str) -> DialogueState:
        """Take back the last user turn: state, beliefs and slate come back as they were."""
        with self._locks[thread]:
            return undo(self.graph, thread)

    def forget(self, thread: str, kind: Removable, index: int) -> DialogueState:
        """Remove one belief (the ``index``-th of ``kind``). Unknown positions change nothing."""
        with self._locks[thread]:
            beliefs = load(self.graph, thread).beliefs
            held = getattr(beliefs, kind)
            if 0 <= index < len(held):
                rest = (*held[:index], *held[index + 1 :])
                edited: Beliefs = beliefs.model_copy(update={kind: rest})
                self.graph.update_state(
                    thread_config(thread), {"beliefs": edited}, as_node="respond"
                )
            return load(self.graph, thread)

    @staticmethod
    def new_thread() -> str:
        return uuid.uuid4().hex
