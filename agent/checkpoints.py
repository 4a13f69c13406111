"""Which database keeps the conversations: one SQLite file, or PostgreSQL for several processes.

    open_memory(Path(".parley/conversations.sqlite"))      # the default
    open_memory("postgresql://parley@db/parley")           # PARLEY_DATABASE

Both give the same four things with the same guarantees (agent/memory.py): a checkpointer, the
store of lists and profiles, locks by conversation, and a question whether the database answers.
With PostgreSQL the locks hold across processes, so any replica may serve any conversation.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.store.base import BaseStore

from agent.errors import MemoryError_
from agent.history import open_store
from agent.memory import open_saver, telling
from agent.running import Threads
from agent.settings import Settings


class Memory(NamedTuple):
    """Everything that outlives a turn. ``check`` raises ``MemoryError_`` if it cannot be used."""

    saver: BaseCheckpointSaver[Any]
    store: BaseStore
    threads: Threads
    check: Callable[[], None]
    close: Callable[[], None]


def database_of(settings: Settings) -> Path | str:
    """The SQLite file under ``PARLEY_HOME``, or the URL in ``PARLEY_DATABASE``."""
    if settings.database is not None:
        return settings.database.get_secret_value()
    return settings.home / "conversations.sqlite"


def open_memory(database: Path | str) -> Memory:
    """Open, and where it is new set up, the database of the conversations.

    Raises:
        MemoryError_: it cannot be reached or used, or its packages are not installed.
    """
    if isinstance(database, Path):
        return _sqlite(database)
    try:
        from agent.postgres import open_postgres
    except ImportError as error:
        raise MemoryError_(
            f"PARLEY_DATABASE names PostgreSQL, but its packages are not installed ({error}): "
            "pip install -r requirements/postgres.txt -c constraints.txt"
        ) from error
    return open_postgres(database)


def _sqlite(path: Path) -> Memory:
    saver = open_saver(path)
    store = open_store(path)

    def check() -> None:
        try:
            with saver.cursor(transaction=False) as cursor:
                cursor.execute("SELECT 1 FROM checkpoints LIMIT 1").fetchone()
        except sqlite3.Error as error:
            raise MemoryError_(f"Conversations in {path} cannot be read ({error}).") from error

    def close() -> None:
        store.conn.close()
        saver.conn.close()

    return Memory(saver, store, Told(path), check, close)


class Told(Threads):
    """Locks by conversation; what goes wrong with the file meanwhile is told as ours."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    @contextmanager
    def hold(self, thread: str) -> Iterator[threading.Event]:
        with telling(self._path), super().hold(thread) as stop:
            yield stop
