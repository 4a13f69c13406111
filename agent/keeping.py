"""Everything that is kept of a person: given out whole, deleted whole, and deleted when old.

    agent.keeping.export("ann")      # one object for json.dump
    agent.keeping.forget("ann")      # conversations, profile, all else under the name: gone
    agent.keeping.expire(30)         # conversations untouched for 30 days

What another part keeps of people joins by itself where it lies in the store under a namespace
that ends in ``label(user)`` (agent.profile); what lies elsewhere is handed in as ``others``.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from agent.checkpoints import Memory
from agent.errors import AgentError
from agent.history import History
from agent.memory import Graph, load
from agent.profile import NOBODY, PAGE, Profiles, label

DAY_S = 86_400.0
log = logging.getLogger(__name__)


class Other(Protocol):
    """A part that keeps something of people outside the store."""

    def kept(self, user: str) -> list[dict[str, Any]]: ...

    def forget(self, user: str) -> None: ...


class Keeping:
    """Over one agent's memory. Safe to call from several threads."""

    def __init__(self, memory: Memory, graph: Graph, history: History, profiles: Profiles) -> None:
        self.memory = memory
        self.graph = graph
        self.history = history
        self.profiles = profiles
        self.others: dict[str, Other] = {}
        self.with_thread: list[Callable[[str, str], None]] = []  # what goes with a conversation
        self._closed = threading.Event()

    def export(self, user: str) -> dict[str, Any]:
        """All that is kept under this name, as plain values.

        Raises:
            AgentError: the name is one that many share.
        """
        self._named(user)
        conversations = [
            {
                **told.model_dump(mode="json"),
                "state": load(self.graph, told.thread).model_dump(mode="json"),
            }
            for told in self.history.every(user)
        ]
        return {
            "user": user,
            "exported": datetime.now(UTC).isoformat(timespec="seconds"),
            "profile": self.profiles.kept(user),
            "conversations": conversations,
            "others": {
                **{kind: self._stored(place) for kind, place in self._places(user).items()},
                **{name: other.kept(user) for name, other in self.others.items()},
            },
        }

    def forget(self, user: str) -> int:
        """Delete everything kept under this name; how many conversations there were.

        The words go first and the list of them last: cut off in the middle, a second call finds
        what is left. A turn that runs is ended.

        Raises:
            AgentError: the name is one that many share.
        """
        self._named(user)
        mine = self.history.every(user)
        for told in mine:
            self.memory.threads.stop(told.thread)
            with self.memory.threads.hold(told.thread):
                self.memory.saver.delete_thread(told.thread)
                self.profiles.forget_thread(told.thread, user)
                self.history.forget(told.thread, user)
        self.profiles.forget(user)
        for place in self._places(user).values():
            self._clear(place)
        for other in self.others.values():
            other.forget(user)
        self._scrub()
        log.info("forgot a person: %s conversations", len(mine))
        return len(mine)

    def expire(self, days: float) -> int:
        """Delete conversations untouched for so many days; how many. What they told of their
        people stays in the profiles, without the words that said it."""
        before = datetime.now(UTC) - timedelta(days=days)
        gone = 0
        for user, thread in self.history.older(before):
            with self.memory.threads.hold(thread):
                if self.history.touched(user, thread) > before:
                    continue  # somebody went on with it just now
                self.memory.saver.delete_thread(thread)
                for forget in self.with_thread:
                    forget(thread, user)
                if user not in NOBODY:
                    self.profiles.forget_thread(thread, user, keep=True)
                self.history.forget(thread, user)
                gone += 1
        if gone:
            self._scrub()
            log.info("%s conversations older than %s days are deleted", gone, days)
        return gone

    def expire_daily(self, days: float) -> None:
        """``expire`` now and every day, until ``close``; a failure is logged and tried again."""

        def watch() -> None:
            while True:
                try:
                    self.expire(days)
                except Exception:  # the database was away: it must not end the watch
                    log.exception("old conversations could not be deleted; tried again tomorrow")
                if self._closed.wait(DAY_S):
                    return

        threading.Thread(target=watch, name="parley-retention", daemon=True).start()

    def close(self) -> None:
        self._closed.set()

    def _places(self, user: str) -> dict[str, tuple[str, ...]]:
        """Other namespaces under this name, by their first label."""
        found = self.memory.store.list_namespaces(suffix=(label(user),), limit=1000)
        ours = ("conversations", "profile")
        return {":".join(p[:-1]): tuple(p) for p in found if p[0] not in ours}

    def _stored(self, place: tuple[str, ...]) -> list[dict[str, Any]]:
        found = self.memory.store.search(place, limit=100_000)
        return [{"key": e.key, **e.value} for e in found if e.namespace == place]

    def _clear(self, place: tuple[str, ...]) -> None:
        while found := [
            e for e in self.memory.store.search(place, limit=PAGE) if e.namespace == place
        ]:
            for entry in found:
                self.memory.store.delete(place, entry.key)

    def _scrub(self) -> None:
        """Deleted rows leave the disk too: SQLite keeps them in free pages and in its log."""
        connection = getattr(self.memory.saver, "conn", None)
        if isinstance(connection, sqlite3.Connection):
            with self.memory.saver.lock:  # type: ignore[attr-defined]
                connection.commit()
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    @staticmethod
    def _named(user: str) -> None:
        if user in NOBODY:
            raise AgentError(
                f"{user!r} is a name that many share: say whose, as the page's profile shows it."
            )
