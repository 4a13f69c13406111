"""What people thought of what they were shown: thumbs, choices and refusals, for training.

    python -m agent.feedback export --out feedback.jsonl [--turns turns.jsonl]

Choices ("I'll take the second"), refusals and "seen it" are read from the conversations
themselves, whose turns say what was understood; nothing is stored twice, so what was undone or
said differently is not in the export. Thumbs are kept in LangGraph's store beside the
conversations, each with a digest of the reply that it was given to: undo that reply, and the
thumb counts no more. One row a piece of feedback on an item:

    {"thread", "turn", "item_id", "kind", "context": [{"role", "text"}], "slate", "time", "adapter"}

``turn`` is the place of the reply that showed the item, ``context`` what was said before it.
``--turns`` writes one row a reply, with its cards and its own thumb, the denominators of
``evals.ab``. Names of people leave this machine as a digest only.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from langgraph.store.base import BaseStore

from agent.errors import AgentError
from agent.memory import Graph, load
from agent.profile import label
from agent.state import DialogueState, Frozen, NotThis, SeenIt, Turn

Thumb = Literal["thumb_up", "thumb_down"]
Kind = Literal["accept", "reject", "thumb_up", "thumb_down", "seen"]
PAGE = 500  # entries of the store read at once


class Given(Frozen):
    """A thumb. ``turn``: the reply's place in the conversation; ``item_id`` None: all of it."""

    thread: str
    turn: int
    item_id: str | None = None
    kind: Thumb
    words: str  # digest of the reply
    time: str


class Said(Frozen):
    role: Literal["user", "agent"]
    text: str


class Row(Frozen):
    """One piece of feedback on an item, as ``training.rows`` reads it."""

    thread: str
    turn: int
    item_id: str
    kind: Kind
    context: tuple[Said, ...]
    slate: tuple[str, ...]
    time: str
    adapter: str


class Shown(Frozen):
    """One reply: who saw how many items of which arm, and what was thought of the whole."""

    thread: str
    turn: int
    user: str  # a digest
    adapter: str
    act: str | None
    items: int
    thumb: Thumb | None
    time: str


class Feedback:
    """Thumbs, in the store under each person's name. Safe to call from several threads."""

    def __init__(self, store: BaseStore) -> None:
        self.store = store

    def give(
        self,
        thread: str,
        user: str,
        state: DialogueState,
        turn: int,
        kind: Thumb | None,
        item_id: str | None = None,
    ) -> Given | None:
        """Keep a thumb on a reply, or on one of its items; None takes it back.

        Raises:
            AgentError: there is no such reply, or it did not show the item.
        """
        reply = reply_at(state, turn)
        shown = reply.slate.item_ids if reply.slate else ()
        if item_id is not None and item_id not in shown:
            raise AgentError(
                f"No item {item_id!r} in reply {turn}: it showed {', '.join(shown) or 'none'}."
            )
        key = f"{thread}:{turn}:{item_id or ''}"
        if kind is None:
            self.store.delete(_place(user), key)
            return None
        given = Given(
            thread=thread,
            turn=turn,
            item_id=item_id,
            kind=kind,
            words=digest(reply.text),
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        self.store.put(_place(user), key, given.model_dump(), index=False)
        return given

    def thumbs(self, user: str, thread: str, state: DialogueState) -> list[Given]:
        """This person's thumbs on replies that stand in the conversation as it is now."""
        return [g for g in self._all(user) if g.thread == thread and holds(g, state)]

    def forget_thread(self, thread: str, user: str) -> None:
        for given in list(self._all(user)):
            if given.thread == thread:
                key = f"{thread}:{given.turn}:{given.item_id or ''}"
                self.store.delete(_place(user), key)

    def _all(self, user: str) -> Iterator[Given]:
        place, start = _place(user), 0
        while found := self.store.search(place, limit=PAGE, offset=start):
            for entry in found:
                if entry.namespace == place:
                    yield Given.model_validate(entry.value)
            start += PAGE


def reply_at(state: DialogueState, turn: int) -> Turn:
    """The reply at this place. ``AgentError`` if there is none."""
    replies = [k for k, t in enumerate(state.turns) if t.role == "agent"]
    if turn not in replies:
        raise AgentError(
            f"No reply {turn} in this conversation: replies stand at "
            f"{', '.join(map(str, replies[-10:])) or 'no place yet'}."
        )
    return state.turns[turn]


def holds(given: Given, state: DialogueState) -> bool:
    """Whether the reply that a thumb was given to still stands."""
    if not 0 <= given.turn < len(state.turns):
        return False
    return digest(state.turns[given.turn].text) == given.words


def rows(thread: str, state: DialogueState, thumbs: list[Given]) -> list[Row]:
    """All feedback on items in one conversation, in its order."""
    found: list[Row] = []
    for place, turn in enumerate(state.turns):
        if turn.role != "user" or turn.update is None:
            continue
        when = _time(state, place)
        action = turn.update.action
        for mention in turn.update.mentions:
            at = shown_at(state, mention.item_id, place)
            if at is None:
                continue  # named by the person, not shown by us
            kind: Kind | None = None
            if isinstance(action, SeenIt) or mention.attitude == "seen":
                kind = "seen"
            elif isinstance(action, NotThis) or mention.attitude in ("reject", "dislike"):
                kind = "reject"
            elif turn.update.intent == "accept" and mention.attitude == "like":
                kind = "accept"
            if kind is not None:
                found.append(_row(thread, state, at, mention.item_id, kind, when))
    found += [
        _row(thread, state, g.turn, g.item_id, g.kind, g.time)
        for g in thumbs
        if g.item_id is not None and holds(g, state)
    ]
    return sorted(found, key=lambda row: (row.turn, row.time))


def shown_at(state: DialogueState, item_id: str, before: int) -> int | None:
    """The last reply before a turn whose cards had this item."""
    for place in range(before - 1, -1, -1):
        slate = state.turns[place].slate
        if slate is not None and item_id in slate.item_ids:
            return place
    return None


def shown(thread: str, state: DialogueState, thumbs: list[Given]) -> list[Shown]:
    """The replies of one conversation."""
    whole = {g.turn: g.kind for g in thumbs if g.item_id is None and holds(g, state)}
    return [
        Shown(
            thread=thread,
            turn=place,
            user=digest(state.user),
            adapter=turn.trace.adapter if turn.trace else "",
            act=turn.act,
            items=len(turn.slate.item_ids) if turn.slate else 0,
            thumb=whole.get(place),
            time=turn.trace.at if turn.trace else "",
        )
        for place, turn in enumerate(state.turns)
        if turn.role == "agent"
    ]


def export(store: BaseStore, graph: Graph) -> Iterator[tuple[list[Row], list[Shown]]]:
    """Feedback and replies of every conversation that is kept, one conversation a time."""
    feedback, start = Feedback(store), 0
    while listed := store.search(("conversations",), limit=PAGE, offset=start):
        for entry in listed:
            state = load(graph, entry.key)
            if state.turns:
                thumbs = feedback.thumbs(state.user, entry.key, state)
                yield rows(entry.key, state, thumbs), shown(entry.key, state, thumbs)
        start += PAGE


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def _row(thread: str, state: DialogueState, at: int, item_id: str, kind: Kind, time: str) -> Row:
    reply = state.turns[at]
    return Row(
        thread=thread,
        turn=at,
        item_id=item_id,
        kind=kind,
        context=tuple(Said(role=t.role, text=t.text) for t in state.turns[:at]),
        slate=reply.slate.item_ids if reply.slate else (),
        time=time,
        adapter=reply.trace.adapter if reply.trace else "",
    )


def _time(state: DialogueState, place: int) -> str:
    """When the message at ``place`` was read: its reply's trace says so."""
    after = state.turns[place + 1 : place + 2]
    trace = after[0].trace if after else None
    return trace.at if trace else ""


def _place(user: str) -> tuple[str, str]:
    return ("feedback", label(user))


app = typer.Typer(add_completion=False, help=__doc__)


@app.callback()
def main() -> None:
    """Feedback of people, from the conversations that are kept."""


@app.command("export")
def write(
    out: Annotated[Path, typer.Option(help="JSON lines, one a piece of feedback")],
    turns: Annotated[Path | None, typer.Option(help="JSON lines, one a reply")] = None,
) -> None:
    """Write the feedback in the conversations of this PARLEY_HOME (or PARLEY_DATABASE)."""
    from agent.checkpoints import database_of, open_memory
    from agent.graph import build
    from agent.settings import Settings
    from catalog.errors import ParleyError

    try:
        memory = open_memory(database_of(Settings.load()))
        told: list[dict[str, Any]] = []
        replies: list[dict[str, Any]] = []
        try:
            for found, seen in export(memory.store, build(memory.saver)):
                told += [row.model_dump() for row in found]
                replies += [one.model_dump() for one in seen]
        finally:
            memory.close()
        for path, records in ((out, told), (turns, replies)):
            if path is not None:
                lines = (json.dumps(record, ensure_ascii=False) for record in records)
                path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    except (ParleyError, OSError) as error:
        typer.echo(f"parley: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{len(told)} pieces of feedback on {len(replies)} replies")


if __name__ == "__main__":
    app()
