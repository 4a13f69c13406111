"""The list of past conversations: LangGraph's store over the same database.

One entry a conversation, under the person who began it; the turns themselves are in the
checkpoints. The list is a convenience: a turn never fails because of it being behind.
"""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

from langgraph.store.base import BaseStore
from langgraph.store.sqlite import SqliteStore

from agent.errors import MemoryError_
from agent.profile import PAGE, label
from agent.state import DialogueState, Frozen

PLACE = "conversations"  # the first label of the namespaces
TITLE_CHARS = 60
MOST = 500  # conversations listed
NEVER = datetime.min.replace(tzinfo=UTC)


class Conversation(Frozen):
    """One past conversation. ``title`` is its first message, cut; ``messages`` both sides'."""

    thread: str
    title: str
    updated: datetime
    messages: int


class History:
    """Who has which conversations. Safe to call from several threads."""

    def __init__(self, store: BaseStore) -> None:
        self.store = store

    def note(self, thread: str, state: DialogueState) -> None:
        """Enter the conversation as ``state`` has it; without any message it leaves the list."""
        if not state.turns:
            self.forget(thread, state.user)
            return
        entry = {
            "title": cut(state.turns[0].text),
            "updated": datetime.now(UTC).isoformat(),
            "messages": len(state.turns),
        }
        self.store.put(_place(state.user), thread, entry, index=False)

    def forget(self, thread: str, user: str) -> None:
        self.store.delete(_place(user), thread)

    def owns(self, user: str, thread: str) -> bool:
        return self.store.get(_place(user), thread) is not None

    def knows(self, thread: str, state: DialogueState) -> bool:
        """Does the list have this conversation with all its messages?"""
        entry = self.store.get(_place(state.user), thread)
        return entry is not None and entry.value["messages"] == len(state.turns)

    def conversations(self, user: str) -> list[Conversation]:
        """This person's, newest first."""
        place = _place(user)
        found = self.store.search(place, limit=MOST)
        ours = [
            Conversation(thread=entry.key, **entry.value)
            for entry in found
            if entry.namespace == place
        ]
        return sorted(ours, key=lambda c: c.updated, reverse=True)

    def every(self, user: str) -> list[Conversation]:
        """All of this person's, however many."""
        place, found = _place(user), list[Conversation]()
        while page := self.store.search(place, limit=PAGE, offset=len(found)):
            found += [Conversation(thread=e.key, **e.value) for e in page]
        return found

    def touched(self, user: str, thread: str) -> datetime:
        """When something was last said there; long ago for a conversation that is not listed."""
        entry = self.store.get(_place(user), thread)
        return datetime.fromisoformat(entry.value["updated"]) if entry else NEVER

    def older(self, than: datetime) -> list[tuple[str, str]]:
        """(person, conversation) of all that were not touched since."""
        old: list[tuple[str, str]] = []
        start = 0
        while page := self.store.search((PLACE,), limit=PAGE, offset=start):
            old += [
                (unquote(entry.namespace[-1]), entry.key)
                for entry in page
                if datetime.fromisoformat(entry.value["updated"]) < than
            ]
            start += len(page)
        return old


def open_store(path: Path) -> SqliteStore:
    """The store in a SQLite file. ``MemoryError_`` names a file that cannot be used."""
    try:
        # Autocommit: the store opens its own transactions.
        connection = sqlite3.connect(
            path, check_same_thread=False, timeout=30, isolation_level=None
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA secure_delete=ON")  # "forget me" means the file too
        store = SqliteStore(connection)
        store.setup()
    except (OSError, sqlite3.Error) as error:
        raise MemoryError_(
            f"The list of conversations cannot be kept in {path} ({error}): give another "
            "folder with PARLEY_HOME, or move the damaged file away."
        ) from error
    return store


def cut(text: str) -> str:
    """The first words of a message, at most ``TITLE_CHARS`` characters."""
    line = " ".join(text.split())
    if len(line) <= TITLE_CHARS:
        return line
    return line[: TITLE_CHARS - 1].rsplit(" ", 1)[0] + "…"


def _place(user: str) -> tuple[str, str]:
    return (PLACE, label(user))
