"""One agent over one catalogue: what the page, the terminal and the evaluations talk to.

    agent = Agent.open(Settings.load())
    for event in agent.turn("thread-1", "something like Arrival but less slow"):
        print(event.kind, event.text)

Threads are independent; any number of callers may use one agent at once. ``act``, ``retry``,
``edit`` and ``rerun`` run a turn as ``turn`` does and give off the same events; ``stop``
ends whichever of them runs.
"""

import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

from langchain_core.runnables import RunnableConfig

from agent import actions
from agent.checkpoints import database_of, open_memory
from agent.errors import AgentError
from agent.feedback import Feedback
from agent.graph import Parts, build
from agent.history import Conversation, History
from agent.keeping import Keeping
from agent.memory import back, before_message, begin, load, thread_config, undo
from agent.metrics import Metrics
from agent.notices import FORGOTTEN
from agent.profile import NOBODY, Profiles
from agent.renewal import InUse, Renew
from agent.running import Running
from agent.settings import Settings
from agent.state import Action, Beliefs, DialogueState, Frozen, Plan, Turn, Unit
from agent.telemetry import ended, turn_span
from catalog.items import Catalog

MAX_USER_CHARS = 10_000


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

    def __init__(
        self,
        parts: Parts,
        database: Path | str,
        *,
        renew: Renew | None = None,
        watch_seconds: float = 0.0,
        closing: Callable[[], None] | None = None,
    ) -> None:
        self._closing = closing
        self._in_use = InUse(parts, renew, watch_seconds)
        self.memory = open_memory(database)
        self.history = History(self.memory.store)
        self.profiles = Profiles(self.memory.store)
        self.feedback = Feedback(self.memory.store)
        self.graph = build(self.memory.saver)
        self.metrics = Metrics(items=lambda: self.catalog.count)
        self.keeping = Keeping(self.memory, self.graph, self.history, self.profiles)
        self.keeping.with_thread.append(self.feedback.forget_thread)
        # One turn at a time in a thread: two tabs of one conversation must not interleave.
        self._threads = self.memory.threads

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Open the catalogue, models and memory that ``settings`` name."""
        from agent.assemble import Assembly

        assembly = Assembly(settings)
        agent = cls(
            assembly.parts(),
            database_of(settings),
            renew=assembly.renew,
            watch_seconds=settings.watch_seconds,
            closing=assembly.close,
        )
        if settings.retention_days is not None:
            agent.keeping.expire_daily(settings.retention_days)
        return agent

    def close(self) -> None:
        """Stop watching the catalogue, let go of the database and of models' servers."""
        self._in_use.close()
        if self._closing is not None:
            self._closing()
        self.keeping.close()
        self.memory.close()

    @property
    def parts(self) -> Parts:
        """What the next turn works with."""
        return self._in_use.parts

    @property
    def catalog(self) -> Catalog:
        """The catalogue in use now; another one after ``reload``."""
        return self.parts.catalog

    def turn(self, thread: str, text: str, *, user: str = "anonymous") -> Iterator[Event]:
        """Answer one message. Yields verified units as they are ready, then ``done``.

        Raises:
            AgentError: a model failed; the message is kept and the thread can go on.
        """
        text = text.strip()[:MAX_USER_CHARS]
        self._finish_forgetting(thread)
        with self._threads.hold(thread) as stop:
            running = Running(self.parts, stop)
            self._resume(thread, running)
            said = Turn(role="user", text=text)
            last = yield from self._answer(thread, running, said, user)
        self._finish_forgetting(thread)
        yield Event(kind="done", turn=last, text=last.text)

    def act(self, thread: str, action: Action, *, user: str = "anonymous") -> Iterator[Event]:
        """Answer a thing done on the page, as a user turn of its own.

        Raises:
            AgentError: it speaks of an item, place or value that is not there (nothing has
                happened then), or a model failed.
        """
        with self._threads.hold(thread) as stop:
            running = Running(self.parts, stop)
            self._resume(thread, running)
            done = actions.user_turn(action, load(self.graph, thread), running.parts.catalog)
            last = yield from self._answer(thread, running, done, user)
        yield Event(kind="done", turn=last, text=last.text)

    def retry(self, thread: str, *, user: str = "anonymous") -> Iterator[Event]:
        """Answer the last user turn again: in other words, and with other items.

        Raises:
            AgentError: nothing was said yet, or a model failed.
        """
        with self._threads.hold(thread) as stop:
            running = Running(self.parts, stop)
            state = self._begun(thread, running)
            if not any(t.role == "user" for t in state.turns):
                raise AgentError("There is no message to answer again: say something first.")
            *_, said = (k for k, t in enumerate(state.turns) if t.role == "user")
            old, answers = state.turns[said], state.turns[said + 1 :]
            shown = [i for t in answers if t.slate for i in t.slate.item_ids]
            again = Turn(
                role="user",
                text=old.text,
                update=old.update if old.update and old.update.read_by == "page" else None,
                attempt=old.attempt + 1,
                avoid=tuple(dict.fromkeys((*old.avoid, *shown))),
            )
            before = before_message(self.graph, thread)
            last = yield from self._answer(thread, running, again, user, before)
        yield Event(kind="done", turn=last, text=last.text)

    def edit(
        self, thread: str, message: int, text: str, *, user: str = "anonymous"
    ) -> Iterator[Event]:
        """Go back to before the ``message``-th user turn (0-based) and say ``text`` instead.

        Page actions count as user turns.

        Raises:
            AgentError: there is no such message, or a model failed.
        """
        text = text.strip()[:MAX_USER_CHARS]
        with self._threads.hold(thread) as stop:
            running = Running(self.parts, stop)
            state = self._begun(thread, running)
            count = sum(t.role == "user" for t in state.turns)
            before = before_message(self.graph, thread, message) if 0 <= message < count else None
            if before is None:
                raise AgentError(
                    f"There is no message {message} to edit: this conversation has {count}, "
                    "counted from 0."
                )
            said = Turn(role="user", text=text)
            last = yield from self._answer(thread, running, said, user, before)
        yield Event(kind="done", turn=last, text=last.text)

    def rerun(
        self,
        thread: str,
        *,
        beliefs: Beliefs | None = None,
        candidates: Sequence[str] | None = None,
    ) -> Iterator[Event]:
        """Run the last turn again from after ``understand``; the new reply replaces the old.

        ``beliefs`` take the place of what was understood. ``candidates``: item ids to choose
        among, likeliest first; those that break a hard constraint are still left out.

        Raises:
            AgentError: an id is not in the catalogue, there is no turn to run again, or a
                model failed.
        """
        with self._threads.hold(thread) as stop:
            running = Running(self.parts, stop)
            unknown = [i for i in candidates or () if not running.parts.catalog.has(i)]
            if unknown:
                raise AgentError(
                    f"No item {unknown[0]!r} in this catalogue ({len(running.parts.catalog)} "
                    f"items): {len(unknown)} of {len(candidates or ())} candidates are unknown."
                )
            self._resume(thread, running)
            understood = back(self.graph, thread, lambda s: s.next == ("policy",))
            if understood is None:
                raise AgentError("There is no turn to run again: say something first.")
            changed: dict[str, Any] = {"plan": None}
            if beliefs is not None:
                changed["beliefs"] = beliefs
            if candidates is not None:
                changed["plan"] = Plan(act="recommend", candidates=tuple(candidates))
            self.graph.update_state(understood.config, changed, as_node="understand")
            yield from self._run(thread, running, None)
            last = self._noted(thread).turns[-1]
        yield Event(kind="done", turn=last, text=last.text)

    def stop(self, thread: str) -> bool:
        """Ask the thread's running turn to end; True if one was running.

        What was verified until then is kept as the reply (``Turn.stopped``).
        """
        return self._threads.stop(thread)

    def busy(self, thread: str) -> bool:
        """Whether a turn of this thread is running."""
        return self._threads.busy(thread)

    def resume(self, thread: str) -> DialogueState:
        """Finish a turn that a crash cut off, if there is one, and return the state."""
        with self._threads.hold(thread) as stop:
            self._resume(thread, Running(self.parts, stop))
            return load(self.graph, thread)

    def state(self, thread: str) -> DialogueState:
        """The state of a thread; an empty one for an unknown thread."""
        return load(self.graph, thread)

    def undo(self, thread: str) -> DialogueState:
        """Take back the last user turn: state, beliefs and slate come back as they were."""
        with self._threads.hold(thread):
            owner = load(self.graph, thread).user
            undo(self.graph, thread)
            return self._noted(thread, owner)

    def begin(self, user: str, state: DialogueState | None = None) -> str:
        """A new conversation of this person's, empty or going on from ``state``; its name.

        It is theirs from now on, and listed once something is said in it.
        """
        thread = self.new_thread()
        values = state.model_copy(update={"user": user}) if state else DialogueState(user=user)
        every = {name: getattr(values, name) for name in DialogueState.model_fields}
        with self._threads.hold(thread):  # nobody else knows its name; only a holder may write
            begin(self.graph, thread)
            self.graph.update_state(thread_config(thread), every, as_node="respond")
        return thread

    def conversations(self, user: str) -> list[Conversation]:
        """The conversations that this person began, newest first."""
        return self.history.conversations(user)

    def delete(self, thread: str, *, user: str) -> None:
        """Delete a conversation for good; an unknown one is no error.

        Raises:
            AgentError: another person began it.
        """
        with self._threads.hold(thread):
            state = load(self.graph, thread)
            if state.turns and state.user != user and not self.history.owns(user, thread):
                raise AgentError("This conversation is another person's; it was not deleted.")
            # The words first: should this be cut off, the list still leads here.
            self.memory.saver.delete_thread(thread)
            self.history.forget(thread, user)
            self.profiles.forget_thread(thread, user)
            self.feedback.forget_thread(thread, user)

    def reload(self) -> bool:
        """Serve from the rebuilt catalogue, if there is one; turns in flight keep the old.

        Returns whether the catalogue (or the rules over it) changed. One that cannot be used
        is logged, once, and the old one stays.
        """
        return self._in_use.reload()

    def forget(self, user: str, thread: str | None = None) -> None:
        """Delete all that is kept of a person; of one without a name, this conversation."""
        if user not in NOBODY:
            self.keeping.forget(user)
        elif thread is not None:
            self.delete(thread, user=user)

    def _finish_forgetting(self, thread: str) -> None:
        """Delete everything of a person whose last message confirmed it; a process that was
        killed before it could does so with the next message."""
        state = load(self.graph, thread)
        said = next((t for t in reversed(state.turns) if t.role == "user"), None)
        if said and said.update and said.update.notice == FORGOTTEN:
            self.forget(state.user, thread)

    @staticmethod
    def new_thread() -> str:
        return uuid.uuid4().hex

    def _answer(
        self,
        thread: str,
        running: Running,
        said: Turn,
        user: str,
        before: RunnableConfig | None = None,
    ) -> Generator[Event, None, Turn]:
        """Run a user turn from the head, or from the checkpoint ``before``; its reply."""
        begin(self.graph, thread)
        config = before or thread_config(thread)
        state = DialogueState.model_validate(self.graph.get_state(config).values)
        owner = state.user if state.turns else user
        values = {"turns": [*state.turns, said], "user": owner}
        if not state.turns:
            self.history.note(thread, DialogueState.model_validate(values))
        yield from self._run(thread, running, values, config)
        last = load(self.graph, thread).turns[-1]
        if last.act == "undo":
            # The request to undo is itself taken back, then the turn before it.
            undo(self.graph, thread)
            undo(self.graph, thread)
        self._noted(thread, owner)
        return last

    def _run(
        self,
        thread: str,
        running: Running,
        values: dict[str, Any] | None,
        config: RunnableConfig | None = None,
    ) -> Iterator[Event]:
        state = DialogueState.model_validate(values or load(self.graph, thread))
        message = sum(t.role == "user" for t in state.turns) - 1
        held = self.profiles.held(state.user, thread, message)
        with self.metrics.turn() as done, ended(turn_span()) as span:
            stream = self.graph.stream(
                values,
                config or thread_config(thread),
                context=replace(running, held=held, parts=running.parts.of(state.user), span=span),
                stream_mode="custom",
                durability="sync",
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
            done(load(self.graph, thread).turns[-1])

    def _resume(self, thread: str, running: Running) -> None:
        if self.graph.get_state(thread_config(thread)).next:
            for _ in self._run(thread, running, None):
                pass
            self._noted(thread)
            return
        state = load(self.graph, thread)
        if state.turns and not self.history.knows(thread, state):
            self._noted(thread)  # killed between a turn's end and its entry in the list

    def _begun(self, thread: str, running: Running) -> DialogueState:
        """The state of a thread whose last turn is about to be replaced: it need not be whole,
        but the message of a turn cut off at its very start has to be read first."""
        if self.graph.get_state(thread_config(thread)).next == ("__start__",):
            self._resume(thread, running)
        return load(self.graph, thread)

    def _noted(self, thread: str, owner: str | None = None) -> DialogueState:
        """The state, after the list of conversations has been told of it."""
        state = load(self.graph, thread)
        kept = state.model_copy(update={"user": owner}) if owner else state
        self.history.note(thread, kept)
        self.profiles.note(thread, kept.user, kept, self.catalog)
        return state
