"""What is kept of a person from one conversation to the next: plain sentences with their source.

One document a source in LangGraph's store (the same database as the conversations, whichever it
is): a conversation's document is computed anew from its turns after every turn, so that undo,
"try again", editing a message and a crash need nothing of their own here; an import and the
changes made by hand have documents too. The profile is the documents merged, later over earlier.

    profiles = Profiles(memory.store)
    profiles.note("thread-1", "ann", state, catalog)
    profiles.held("ann").known            # ids she has seen

A caller without a name (``NOBODY``) has no profile: strangers share that name.
"""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote

from langgraph.store.base import BaseStore
from pydantic import Field

from agent.errors import AgentError
from agent.state import DialogueState, Frozen, Mention, Remove, Replace, Wish
from catalog.filters import Clause
from catalog.items import Catalog


class Shared(frozenset[str]):
    """Names, and every name that ends in a colon: a key of the API that names no person."""

    def __contains__(self, user: object) -> bool:
        return super().__contains__(user) or str(user).endswith(":")


#: Names that many callers share. What is said under them is kept of nobody.
NOBODY = Shared(("", "anonymous", "api"))
HAND, DROPPED = "hand", "dropped"
PAGE = 500  # documents read at once
SAID_CHARS = 200  # of a message that are kept beside what it told
Opinion = Literal["like", "dislike", "seen", "accept", "reject"]
Origin = Literal["said", "import", "hand"]


class Known(Frozen):
    """One thing kept: a standing clause, a standing wish, or what somebody thinks of an item.

    ``key`` names what it is about, so that a later saying takes an earlier one's place.
    ``source``: the conversation, or the file it was imported from; ``message``: which of the
    person's messages, from 0. ``title`` is kept so that an item that left the catalogue still
    has a name. ``rating``: as the file had it, out of 1, -1 without one.
    """

    key: str
    clause: Clause | None = None
    wish: Wish | None = None
    item_id: str = ""
    title: str = ""
    opinion: Opinion = "seen"
    rating: float = -1.0
    said: str = ""
    origin: Origin = "said"
    source: str = ""
    message: int = -1
    when: datetime


class Held(Frozen):
    """The profile as a turn uses it. ``known``: items not to recommend; ``liked``: best first."""

    clauses: tuple[Clause, ...] = ()
    wishes: tuple[Wish, ...] = ()
    known: frozenset[str] = frozenset()
    liked: tuple[str, ...] = ()
    refused: frozenset[str] = frozenset()


class Document(Frozen):
    """What one source tells of a person."""

    known: tuple[Known, ...] = ()
    dropped: dict[str, datetime] = Field(default_factory=dict)


class Profiles:
    """Everybody's profile. Safe to call from several threads."""

    def __init__(self, store: BaseStore) -> None:
        self.store = store

    def note(self, thread: str, user: str, state: DialogueState, catalog: Catalog) -> None:
        """Make the conversation's document what its turns say; an empty one is removed."""
        if user in NOBODY:
            return
        before = {(k.key, k.message): k.when for k in self._read(user, f"thread:{thread}").known}
        now = datetime.now(UTC)
        known = tuple(
            k.model_copy(update={"when": before.get((k.key, k.message), now)})
            for k in sayings(thread, state, catalog, now)
        )
        if known:
            self._write(user, f"thread:{thread}", Document(known=known))
        elif before:
            self.store.delete(place(user), f"thread:{thread}")

    def forget_thread(self, thread: str, user: str, *, keep: bool = False) -> None:
        """Drop what a conversation told; ``keep``: drop its words and the way there only."""
        held = self._read(user, f"thread:{thread}") if keep else Document()
        self.store.delete(place(user), f"thread:{thread}")
        if held.known:
            bare = {"said": "", "source": "", "message": -1}
            mine = self._read(user, HAND)
            kept = (*mine.known, *(k.model_copy(update=bare) for k in held.known))
            self._write(user, HAND, mine.model_copy(update={"known": latest(kept)}))

    def forget(self, user: str) -> None:
        """Drop the whole profile."""
        for key, _ in list(self._documents(user)):
            self.store.delete(place(user), key)

    def add(self, user: str, name: str, known: Iterable[Known]) -> None:
        """Keep an import under its name; the same file again takes the place of the first.

        Raises:
            AgentError: the person has no name.
        """
        self._named(user)
        self._write(user, f"import:{name}", Document(known=tuple(known)))

    def one(self, user: str, key: str) -> Known:
        """One sentence. ``AgentError`` if it is not there (any more)."""
        for known in self.known(user):
            if known.key == key:
                return known
        raise AgentError("That is not in your profile any more: reload the page.")

    def drop(self, user: str, key: str) -> None:
        """Delete one sentence; it comes back only when it is said again."""
        self._change(user, key, None)

    def edit(self, user: str, key: str, changed: Known) -> None:
        """Put ``changed`` in the place of a sentence."""
        self._change(user, key, changed)

    def known(self, user: str, thread: str = "", message: int | None = None) -> list[Known]:
        """The sentences, newest first; those that ``thread`` told from ``message`` on left out."""
        documents = [d for _, d in self._documents(user)]
        dropped: dict[str, datetime] = {}
        for document in documents:
            dropped |= document.dropped
        every = (
            k
            for d in documents
            for k in d.known
            if message is None or k.source != thread or k.message < message
        )
        live = (k for k in every if k.key not in dropped or k.when > dropped[k.key])
        return sorted(latest(live), key=lambda k: (k.when, k.message, k.key), reverse=True)

    def held(self, user: str, thread: str = "", message: int | None = None) -> Held | None:
        """The profile as a turn uses it, None for somebody without a name.

        ``message``: the turn's place in ``thread``. What was said there and later is about to be
        said differently, and what this message says is not known yet.
        """
        if user in NOBODY:
            return None
        known = self.known(user, thread, message)
        liked = [k for k in known if k.item_id and k.opinion in ("like", "accept")]
        liked.sort(key=lambda k: k.rating, reverse=True)
        return Held(
            clauses=tuple(k.clause for k in reversed(known) if k.clause),
            wishes=tuple(k.wish for k in reversed(known) if k.wish),
            known=frozenset(k.item_id for k in known if k.item_id and k.opinion != "reject"),
            liked=tuple(k.item_id for k in liked),
            refused=frozenset(k.item_id for k in known if k.item_id and k.opinion == "reject"),
        )

    def kept(self, user: str) -> list[dict[str, Any]]:
        """Every document as it is stored, for an export."""
        return [{"source": key, **d.model_dump(mode="json")} for key, d in self._documents(user)]

    def _change(self, user: str, key: str, changed: Known | None) -> None:
        self._named(user)
        self.one(user, key)
        mine, now = self._read(user, HAND), datetime.now(UTC)
        kept = tuple(k for k in mine.known if k.key != key)
        if changed is not None:
            fresh = changed.model_copy(update={"when": now + timedelta(microseconds=1)})
            kept = (*(k for k in kept if k.key != changed.key), fresh)
        self._write(user, HAND, Document(known=kept, dropped={**mine.dropped, key: now}))

    @staticmethod
    def _named(user: str) -> None:
        if user in NOBODY:
            raise AgentError(f"{user!r} is nobody's own name: give the name of one person.")

    def _read(self, user: str, key: str) -> Document:
        found = self.store.get(place(user), key)
        return Document.model_validate(found.value) if found else Document()

    def _write(self, user: str, key: str, document: Document) -> None:
        self.store.put(place(user), key, document.model_dump(mode="json"), index=False)

    def _documents(self, user: str) -> Iterator[tuple[str, Document]]:
        where, start = place(user), 0
        while found := self.store.search(where, limit=PAGE, offset=start):
            for entry in found:
                if entry.namespace == where:
                    yield entry.key, Document.model_validate(entry.value)
            start += PAGE


def place(user: str) -> tuple[str, str]:
    """The namespace of a person's profile."""
    return ("profile", label(user))


def label(user: str) -> str:
    """A person's name as a label of a namespace, which may hold no period and not be empty."""
    return quote(user, safe="").replace(".", "%2E") or "anonymous"


def latest(known: Iterable[Known]) -> tuple[Known, ...]:
    """One a key, the newest."""
    result: dict[str, Known] = {}
    for one in sorted(known, key=lambda k: k.when):
        result[one.key] = one
    return tuple(result.values())


def sayings(thread: str, state: DialogueState, catalog: Catalog, now: datetime) -> list[Known]:
    """What the turns of a conversation tell of the person; a chip taken off there is taken back."""
    told: dict[str, tuple[Known, str]] = {}
    message = -1
    for turn in state.turns:
        message += turn.role == "user"
        update = turn.update if turn.role == "user" else None
        if update is None:
            continue
        if isinstance(update.action, Remove | Replace):
            told = {k: v for k, v in told.items() if v[1] not in update.unsaid}
        where: dict[str, Any] = {"source": thread, "message": message, "when": now}
        for clause in update.add:
            if clause.scope == "always":
                key = clause_key(clause)
                told[key] = Known(key=key, clause=clause, said=clause.said, **where), clause.said
        for wish in update.wishes:
            if wish.scope == "always" and wish.relative_to is None:
                key = f"wish:{wish.scale}"
                told[key] = Known(key=key, wish=wish, said=wish.said, **where), wish.said
        changed = update.action.value if isinstance(update.action, Replace) else None
        mentions = (*update.mentions, changed) if isinstance(changed, Mention) else update.mentions
        for mention in mentions:
            if mention.attitude == "neutral" or mention.relative:
                continue
            known = opinion_of(mention, update.intent == "accept", turn.text, catalog, where)
            told[known.key] = known, mention.said
    return [known for known, _ in told.values()]


def opinion_of(
    mention: Mention, accepted: bool, text: str, catalog: Catalog, where: dict[str, Any]
) -> Known:
    """What a turn said of an item."""
    opinion = "accept" if accepted and mention.attitude == "like" else mention.attitude
    title = catalog.item(mention.item_id).title if catalog.has(mention.item_id) else mention.said
    return Known.model_validate(
        {
            "key": item_key(mention.item_id),
            "item_id": mention.item_id,
            "title": title,
            "opinion": opinion,
            "said": text[:SAID_CHARS].replace("\0", " "),  # PostgreSQL's JSON holds no NUL
            **where,
        }
    )


def item_key(item_id: str) -> str:
    return f"item:{item_id}"


def clause_key(clause: Clause) -> str:
    """What a clause is about: of "at most 2 hours" and "at most 90 minutes" the later holds,
    "no horror" and "no war" both do."""
    if clause.op in ("ge", "le"):
        return f"clause:{clause.field}:{clause.op}"
    values = ",".join(sorted(map(str, clause.values)))
    return f"clause:{clause.field}:{clause.op}:{hashlib.sha256(values.encode()).hexdigest()[:12]}"
