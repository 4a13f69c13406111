"""Conversations in PostgreSQL, for several processes that serve the same ones.

A turn holds an advisory lock of its conversation, taken on a connection of its own, and *writes
its checkpoints over that same connection*. So the lock needs no lease and no clock: a replica
that is killed loses the connection and with it the lock; and a turn that lost its lock (the
database was restarted) has lost the only way it can write, so it can never mix its steps with
those of whoever took the conversation over. The next turn, on any replica, finishes what was
cut off. "Stop" reaches the replica that runs the turn by NOTIFY.

Needs requirements/postgres.txt. A pooler in transaction mode (PgBouncer) between Parley and the
database would break session locks; connect straight, or in session mode.
"""

import logging
import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.store.base import Op, PutOp, Result
from langgraph.store.postgres import PostgresStore
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from agent.checkpoints import Memory
from agent.errors import MemoryError_
from agent.memory import serializer
from agent.running import Threads

Connection = psycopg.Connection[DictRow]
Pool = ConnectionPool[Connection]

WAIT_S = 30.0  # for the database to come back, and for a connection
TURN_S = 150.0  # for another replica to finish its turn in the same conversation
TURNS = 24  # connections of turns that run or wait, one process
OTHERS = 4  # connections of everything else, one process
SETUP_LOCK = 7_305_808_869_229_538_640  # "every replica sets up the tables": any fixed number
CHANNEL = "parley_stop"
SETTINGS: dict[str, Any] = {
    "application_name": "parley",
    # A replica whose machine vanished without a word is noticed, and its locks freed, in 25 s.
    "options": "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 "
    f"-c lock_timeout={TURN_S:.0f}s",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "connect_timeout": 5,
}
UNKEPT = re.compile("[\0\ud800-\udfff]")
KEY = "hashtextextended(%s, 0)"
log = logging.getLogger(__name__)


def open_postgres(url: str) -> Memory:
    """Connect, set up the tables where they are missing, and listen for "stop".

    Raises:
        MemoryError_: the URL cannot be read, or the database not be reached or written.
    """
    place = _place(url)
    pools = [_pool(url, "parley-reads", OTHERS), _pool(url, "parley-turns", TURNS)]
    others, turns = pools
    saver = Saver(others, place)
    store = Store(others, place)
    threads = PostgresThreads(turns, saver, place, url)

    def close() -> None:
        threads.close()
        for pool in pools:
            pool.close()

    def check() -> None:
        with told(place), others.connection(timeout=2.0) as connection:
            connection.execute("SELECT 1 FROM checkpoint_migrations LIMIT 1")

    try:
        with told(place):
            # Once without the pool, which would try for long and then not say why.
            psycopg.connect(url, **SETTINGS).close()
            for pool in pools:
                pool.open(wait=True, timeout=WAIT_S)
            _set_up(others, saver, store)
        threads.listen()
    except BaseException:
        close()
        raise
    return Memory(saver, store, threads, check, close)


def _set_up(pool: Pool, saver: "Saver", store: "Store") -> None:
    """Make the tables, one replica at a time. Asked for again and again rather than waited
    for: a statement that waits would hold up CREATE INDEX CONCURRENTLY of the one at work."""
    with pool.connection() as connection:
        until = time.monotonic() + WAIT_S
        while not _first(
            connection.execute("SELECT pg_try_advisory_lock(%s) AS got", (SETUP_LOCK,))
        ):
            if time.monotonic() > until:
                raise psycopg.OperationalError("another process sets up the tables and is not done")
            time.sleep(0.1)
        try:
            saver.setup()
            store.setup()
        finally:
            connection.execute("SELECT pg_advisory_unlock(%s)", (SETUP_LOCK,))


class Saver(PostgresSaver):
    """LangGraph's checkpointer; a conversation's checkpoints go over its lock's connection."""

    def __init__(self, pool: Pool, place: str) -> None:
        super().__init__(pool, serde=serializer())
        self._place = place
        self._held: dict[str, PostgresSaver] = {}

    def hold(self, thread: str, connection: Connection) -> None:
        self._held[thread] = PostgresSaver(connection, serde=self.serde)

    def release(self, thread: str) -> None:
        self._held.pop(thread, None)

    def _writer(self, thread: str) -> PostgresSaver:
        held = self._held.get(thread)
        if held is None:
            raise MemoryError_(
                f"Conversation {thread!r} is not held by this process, so it cannot be written: "
                "its turn had ended."
            )
        return held

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        with told(self._place):
            return super().get_tuple(config)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        with told(self._place):
            writer = self._writer(config["configurable"]["thread_id"])
            return writer.put(config, checkpoint, metadata, new_versions)

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        with told(self._place):
            writer = self._writer(config["configurable"]["thread_id"])
            writer.put_writes(config, writes, task_id, task_path)

    def delete_thread(self, thread_id: str) -> None:
        with told(self._place):
            self._writer(thread_id).delete_thread(thread_id)


class Store(PostgresStore):
    """LangGraph's store, whose failures are told in our words. PostgreSQL's JSON can hold neither
    NUL nor half a surrogate pair, and people's messages may: they become spaces."""

    def __init__(self, pool: Pool, place: str) -> None:
        super().__init__(pool)
        self._place = place

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        clean = [op._replace(value=_text(op.value)) if isinstance(op, PutOp) else op for op in ops]
        with told(self._place):
            return super().batch(clean)


class PostgresThreads(Threads):
    """Locks by conversation that hold across processes, and a "stop" that reaches all of them."""

    def __init__(self, pool: Pool, saver: Saver, place: str, url: str) -> None:
        super().__init__()
        self._pool = pool
        self._saver = saver
        self._place = place
        self._url = url
        self._closed = threading.Event()
        self._ear: threading.Thread | None = None

    @contextmanager
    def hold(self, thread: str) -> Iterator[threading.Event]:
        """Wait for the conversation here and everywhere, then have it alone.

        Raises:
            MemoryError_: the database does not come back, or another process does not finish.
        """
        with super().hold(thread) as stop:
            connection = self._take(thread)
            self._saver.hold(thread, connection)
            try:
                yield stop
            finally:
                self._saver.release(thread)
                self._give(thread, connection)

    def stop(self, thread: str) -> bool:
        """Ask whoever holds the conversation, here or in another process, to end."""
        if super().stop(thread):
            return True
        if not self._held_elsewhere(thread):
            return False
        with told(self._place), self._pool.connection(timeout=WAIT_S) as connection:
            connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, thread))
        return True

    def busy(self, thread: str) -> bool:
        return super().busy(thread) or self._held_elsewhere(thread)

    def _held_elsewhere(self, thread: str) -> bool:
        query = (
            "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted "
            "AND objsubid = 1 AND database = (SELECT oid FROM pg_database "
            "WHERE datname = current_database()) "
            f"AND (classid::bigint << 32 | objid::bigint) = {KEY}) AS held"
        )
        with told(self._place), self._pool.connection(timeout=WAIT_S) as connection:
            return _first(connection.execute(query, (thread,)))

    def _take(self, thread: str) -> Connection:
        """A connection that holds the conversation's lock; waits out a restart of the server."""
        until = time.monotonic() + WAIT_S
        with told(self._place):
            while True:
                connection = self._pool.getconn(timeout=WAIT_S)
                try:
                    connection.execute(f"SELECT pg_advisory_lock({KEY})", (thread,))
                    return connection
                except BaseException as error:
                    cut = isinstance(error, psycopg.OperationalError) and connection.broken
                    connection.close()  # whether it holds the lock or not, now it does not
                    self._pool.putconn(connection)
                    if not cut or time.monotonic() > until:
                        raise

    def _give(self, thread: str, connection: Connection) -> None:
        """Free the lock; where that fails, closing the connection frees it."""
        try:
            connection.execute(f"SELECT pg_advisory_unlock({KEY})", (thread,))
        except psycopg.Error:
            connection.close()
        finally:
            self._pool.putconn(connection)

    def listen(self) -> None:
        """Hear which turns other processes want ended."""
        self._ear = threading.Thread(target=self._hear, name="parley-stop", daemon=True)
        self._ear.start()

    def close(self) -> None:
        self._closed.set()
        if self._ear is not None:
            self._ear.join(timeout=5)

    def _hear(self) -> None:
        while not self._closed.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True, **SETTINGS) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    while not self._closed.is_set():
                        for notice in connection.notifies(timeout=0.5):
                            Threads.stop(self, notice.payload)
            except psycopg.Error as error:
                log.warning("cannot listen for stops at %s: %s", self._place, _why(error))
                self._closed.wait(1.0)


@contextmanager
def told(place: str) -> Iterator[None]:
    """Turn the driver's errors into one that a person can act on."""
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise MemoryError_(
            f"This conversation is still being answered after {TURN_S:.0f} s, perhaps in another "
            "window: wait for that answer, or stop it."
        ) from error
    except (psycopg.Error, PoolTimeout) as error:
        raise MemoryError_(
            f"The database of the conversations at {place} does not answer ({_why(error)}): try "
            "again when it runs; PARLEY_DATABASE says where it is."
        ) from error


def _pool(url: str, name: str, most: int) -> Pool:
    return ConnectionPool(
        url,
        connection_class=psycopg.Connection[DictRow],
        kwargs={**SETTINGS, "autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
        min_size=1,
        max_size=most,
        timeout=WAIT_S,
        name=name,
        check=ConnectionPool.check_connection,  # one cut by a restart is replaced, not handed out
        open=False,
    )


def _text(value: Any) -> Any:
    """A JSON value whose texts PostgreSQL can keep."""
    if isinstance(value, str):
        return UNKEPT.sub(" ", value)
    if isinstance(value, dict):
        return {_text(key): _text(held) for key, held in value.items()}
    return [_text(held) for held in value] if isinstance(value, list) else value


def _place(url: str) -> str:
    """Host and database of a URL, without its password."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise MemoryError_(
            "PARLEY_DATABASE is no PostgreSQL URL: "
            "write postgresql://user:password@host:5432/database"
        ) from error
    host = f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}"
    return f"{host}/{parts.get('dbname', '')}"


def _first(cursor: psycopg.Cursor[DictRow]) -> bool:
    row = cursor.fetchone()
    return bool(row and next(iter(row.values())))


def _why(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
