"""Where conversations live: LangGraph checkpoints in one SQLite file.

State is written after every node (``durability="sync"``), so nothing said is lost when
the process is killed. A conversation is a line of checkpoints, each naming its parent:

    root - input - understand - policy - recommend - respond - input - ...

Undo copies the checkpoint before the last user turn to the head: state, beliefs and slate
come back exactly as they were. Trying again, or editing a message, starts the new turn *from*
that checkpoint in one write: until it is on disk the old turn stands, from then on the new
one is finished by ``resume``; there is no moment at which a message is nowhere.
"""

import inspect
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StateSnapshot
from pydantic import BaseModel

from agent import state as types
from agent.errors import MemoryError_
from agent.state import DialogueState
from catalog import filters

PACKED = "+zlib"
Graph = CompiledStateGraph[Any, Any, Any, Any]


class Packed(JsonPlusSerializer):
    """Checkpoints repeat the whole conversation, so they are stored compressed: a tenth or so."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        kind, data = super().dumps_typed(obj)
        return f"{kind}{PACKED}", zlib.compress(data, 1)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        kind, blob = data
        if kind.endswith(PACKED):
            kind, blob = kind.removesuffix(PACKED), zlib.decompress(blob)
        return super().loads_typed((kind, blob))


def serializer() -> JsonPlusSerializer:
    """A serialiser that reads back our own state types and nothing else."""
    ours = [
        (module.__name__, name)
        for module in (types, filters)
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, BaseModel) and kind.__module__ == module.__name__
    ]
    return Packed(allowed_msgpack_modules=ours)


def open_saver(path: Path) -> SqliteSaver:
    """The checkpointer over a SQLite file. ``MemoryError_`` names a file that cannot be used."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, check_same_thread=False, timeout=30)
        connection.execute("PRAGMA journal_mode=WAL")
        # No wait for the disk at each step: a killed process loses nothing, only a power cut may.
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA secure_delete=ON")  # "forget me" means the file too
        saver = SqliteSaver(connection, serde=serializer())
        saver.setup()
    except (OSError, sqlite3.Error) as error:
        raise MemoryError_(
            f"Conversations cannot be kept in {path} ({error}): give another folder with "
            "PARLEY_HOME, or move the damaged file away."
        ) from error
    return saver


@contextmanager
def telling(path: Path | str = "the database") -> Iterator[None]:
    """SQLite's errors while it is used, as one that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        low = str(error).lower()
        if "full" in low or "i/o" in low or "too large" in low:
            remedy = "free some space on that disk, then send the message again"
        elif "readonly" in low or "unable to open" in low:
            remedy = "make it writable, or give another folder with PARLEY_HOME"
        elif "malformed" in low or "not a database" in low or "corrupt" in low:
            remedy = "move the damaged file away; Parley begins a new one at the next start"
        else:
            remedy = "try again; if it stays so, move the file away or set PARLEY_HOME"
        raise MemoryError_(
            f"Conversations in {path} cannot be used ({error}): {remedy}."
        ) from error


def thread_config(thread: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread}}


def load(graph: Graph, thread: str) -> DialogueState:
    """The state of a thread; an empty one for a thread that does not exist."""
    with telling():
        values = graph.get_state(thread_config(thread)).values
    return DialogueState.model_validate(values) if values else DialogueState()


def begin(graph: Graph, thread: str) -> None:
    """Give a new thread its root, an empty state that undo and edit can go back to."""
    if graph.get_state(thread_config(thread)).metadata is None:
        empty = {name: getattr(DialogueState(), name) for name in DialogueState.model_fields}
        graph.update_state(thread_config(thread), empty, as_node="respond")


def back(
    graph: Graph, thread: str, wanted: Callable[[StateSnapshot], bool]
) -> StateSnapshot | None:
    """The newest checkpoint in the head's own line that is ``wanted``; None if there is none."""
    snapshot = graph.get_state(thread_config(thread))
    while not (snapshot.metadata is not None and wanted(snapshot)):
        if snapshot.parent_config is None:
            return None
        snapshot = graph.get_state(snapshot.parent_config)
    return snapshot


def before_message(graph: Graph, thread: str, message: int | None = None) -> RunnableConfig | None:
    """The checkpoint before the ``message``-th user turn (0-based; None: the last one)."""

    def begins(snapshot: StateSnapshot) -> bool:
        if (snapshot.metadata or {}).get("source") != "input":
            return False
        said = [t for t in snapshot.values.get("turns", []) if t.role == "user"]
        return message is None or len(said) == message

    found = back(graph, thread, begins)
    return found.parent_config if found else None


def undo(graph: Graph, thread: str) -> DialogueState:
    """Rewind to before the last user turn; at the start of a thread nothing happens."""
    before = before_message(graph, thread)
    if before is not None:
        graph.update_state(before, None, as_node="__copy__")
    return load(graph, thread)
