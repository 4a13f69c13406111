"""Where conversations live: LangGraph checkpoints in one SQLite file.

State is written after every node (``durability="sync"``), so nothing said is lost when
the process is killed. Undo copies the checkpoint before the last user turn to the head
of the thread: state, beliefs and slate come back exactly as they were.
"""

import inspect
import sqlite3
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph.state import CompiledStateGraph
from pydantic import BaseModel

from agent import state as types
from agent.errors import MemoryError_
from agent.state import DialogueState
from catalog import filters

Graph = CompiledStateGraph[Any, Any, Any, Any]


def serializer() -> JsonPlusSerializer:
    """A serialiser that reads back our own state types and nothing else."""
    ours = [
        (module.__name__, name)
        for module in (types, filters)
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, BaseModel) and kind.__module__ == module.__name__
    ]
    return JsonPlusSerializer(allowed_msgpack_modules=ours)


def open_saver(path: Path) -> SqliteSaver:
    """The checkpointer over a SQLite file. ``MemoryError_`` names a file that cannot be used."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, check_same_thread=False, timeout=30)
        connection.execute("PRAGMA journal_mode=WAL")
        saver = SqliteSaver(connection, serde=serializer())
        saver.setup()
    except (OSError, sqlite3.Error) as error:
        raise MemoryError_(
            f"Conversations cannot be kept in {path} ({error}): give another folder with "
            "PARLEY_HOME, or move the damaged file away."
        ) from error
    return saver


def thread_config(thread: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread}}


def load(graph: Graph, thread: str) -> DialogueState:
    """The state of a thread; an empty one for a thread that does not exist."""
    values = graph.get_state(thread_config(thread)).values
    return DialogueState.model_validate(values) if values else DialogueState()


def undo(graph: Graph, thread: str) -> DialogueState:
    """Rewind to before the last user turn; at the start of a thread nothing happens."""
    snapshot = graph.get_state(thread_config(thread))
    while snapshot.metadata is not None and snapshot.metadata.get("source") != "input":
        if snapshot.parent_config is None:
            return load(graph, thread)
        snapshot = graph.get_state(snapshot.parent_config)
    before = snapshot.parent_config
    saver = graph.checkpointer
    if before is None or not graph.get_state(before).values:
        if snapshot.metadata is not None and isinstance(saver, SqliteSaver):
            saver.delete_thread(thread)
        return DialogueState()
    graph.update_state(before, None, as_node="__copy__")
    return load(graph, thread)
