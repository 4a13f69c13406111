"""The list of past conversations: LangGraph's store over the same SQLite file.

One entry a conversation, under the person who began it; the turns themselves are in the
checkpoints. The list is a convenience: a turn never fails because of it being behind.
"""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from langgraph.store.sqlite import SqliteStore

from agent.errors import MemoryError_
from agent.state import DialogueState, Frozen

TITLE_CHARS = 60
MOST = 500  # conversations listed


class Conversation(Frozen):
    """One past conversation. ``title`` is its first message, cut; ``messages`` both sides'."""

    thread: str
    title: str
    updated: datetime
    messages: int


class History:
    """Who has which conversations. Safe to call from several threads."""

    def __init__(self, path: Path) -> None:
        try:
            # Autocommit: the store opens its own transactions.
            self._connection = sqlite3.connect(
                path, check_same_thread=False, timeout=30, isolation_level=None
            )
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self.store = SqliteStore(self._connection)
            self.store.setup()
        except (OSError, sqlite3.Error) as error:
            raise MemoryError_(
                f"The list of conversations cannot be kept in {path} ({error}): give another "
                "folder with PARLEY_HOME, or move the damaged file away."
            ) from error

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

    def close(self) -> None:
        self._connection.close()


def cut(text: str) -> str:
    """The first words of a message, at most ``TITLE_CHARS`` characters."""
    line = " ".join(text.split())
    if len(line) <= TITLE_CHARS:
        return line
    return line[: TITLE_CHARS - 1].rsplit(" ", 1)[0] + "…"


def _place(user: str) -> tuple[str, str]:
    # A namespace's label may hold no period and not be empty.
    return ("conversations", quote(user, safe="").replace(".", "%2E") or "anonymous")
