"""What a browser may ask of the agent: show a conversation, start a turn in it, list, delete.

No HTML and no HTTP here beyond fragments from page/talk.py and page/known.py: page/server.py
gives these functions addresses. What is true stands in the agent, whose checkpoints outlive
the process; a browser keeps its random name and the name of its open conversation, and a
conversation is shown to the browser that began it and to no other.
"""

import logging
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from agent.agent import MAX_USER_CHARS, Agent, Event
from agent.errors import MemoryError_
from agent.memory import thread_config
from agent.state import Action, Beliefs, DialogueState, Relax, Replace, Turn
from catalog.errors import ParleyError
from catalog.items import Catalog
from page import talk
from page.cards import card, waiting_slate
from page.edits import canonical
from page.known import understood
from page.runs import Run, Runs

CONCURRENT_TURNS = 8
NAME = re.compile(r"[0-9a-f]{32}")

log = logging.getLogger(__name__)


class PageError(ParleyError):
    """Something a page asked for that it cannot have; ``status`` is the HTTP code."""

    def __init__(self, message: str, status: int = 422) -> None:
        super().__init__(message)
        self.status = status


class Asked(BaseModel):
    """A turn to start: words, a thing done on the page, or the last one in another way."""

    model_config = ConfigDict(extra="forbid")

    thread: str = Field(pattern=r"^[0-9a-f]{32}$")
    kind: Literal["say", "act", "retry", "edit", "resume", "rerun"]
    text: str = Field("", max_length=MAX_USER_CHARS)
    message: int = Field(0, ge=0)  # edit: which message of the person, counted from 0
    action: dict[str, Any] | None = None
    relax: int | None = None  # act: the offered relaxation with this number
    beliefs: Beliefs | None = None
    candidates: list[Annotated[str, Field(max_length=500)]] | None = Field(None, max_length=200)


class Chat:
    """The page's doings over one agent; any number of browsers at once."""

    def __init__(self, agent: Agent, *, remote_images: bool = False) -> None:
        self.agent = agent
        self.remote_images = remote_images
        self.runs = Runs(CONCURRENT_TURNS)

    def state(self, thread: str, user: str) -> DialogueState:
        """A conversation of this browser. ``PageError`` 404 if it is another's."""
        if not NAME.fullmatch(thread) or not NAME.fullmatch(user):
            raise PageError("A conversation's name is 32 hexadecimal digits.", 422)
        state = self.agent.state(thread)
        if state.turns and state.user != user:
            raise PageError("There is no such conversation here.", 404)
        return state

    def show(self, thread: str, user: str) -> dict[str, Any]:
        """A whole conversation; a turn that runs, or was cut off, is to be followed."""
        state = self.state(thread, user)
        run = self.runs.of(thread)
        if run is None and self._cut_off(thread):
            # The server was killed in the middle: go on where the checkpoints end.
            run = self.start(Asked.model_validate({"thread": thread, "kind": "resume"}), user)
        shown = self.shown(state, 0)
        if run is not None:
            shown["exchanges"] = shown["exchanges"][: run.first]
        return {"thread": thread, "running": run is not None, **shown}

    def _cut_off(self, thread: str) -> bool:
        return bool(self.agent.graph.get_state(thread_config(thread)).next)

    def shown(self, state: DialogueState, first: int) -> dict[str, Any]:
        catalog = self.agent.catalog
        return {
            "first": first,
            "exchanges": talk.conversation(
                state, catalog, first=first, remote_images=self.remote_images
            ),
            "known": understood(state, catalog),
        }

    def undo(self, thread: str, user: str) -> dict[str, Any]:
        """Take back the last message; ``text`` is what it said, to say it differently."""
        before = self.state(thread, user)
        if self.runs.of(thread):
            raise PageError("I am still answering. Press Stop first, or wait a moment.", 409)
        pairs = talk.exchanges(before.turns)
        last = pairs[-1].said if pairs else None
        words = last.text if last and not (last.update and last.update.read_by == "page") else ""
        self.agent.undo(thread)
        return {**self.show(thread, user), "text": words}

    def stop(self, thread: str, user: str) -> None:
        self.state(thread, user)
        self.agent.stop(thread)

    def delete(self, thread: str, user: str) -> None:
        self.state(thread, user)
        if self.runs.of(thread):
            self.agent.stop(thread)
        self.agent.delete(thread, user=user)

    def start(self, asked: Asked, user: str) -> Run:
        """Begin a turn in the background.

        Raises:
            PageError: nothing to do, or something of the request that cannot be used.
            BusyError: the conversation still answers.
        """
        state = self.state(asked.thread, user)
        said = talk.exchanges(state.turns)
        thread, text = asked.thread, asked.text.strip()
        if asked.kind in ("say", "edit") and not text:
            raise PageError("The message is empty.")
        if asked.kind in ("retry", "edit", "rerun") and not said:
            raise PageError("There is no message in this conversation yet.")
        if asked.kind == "edit" and asked.message >= len(said):
            raise PageError(f"There is no message {asked.message + 1}: there are {len(said)}.")
        last = len(said) - 1
        begin: Callable[[], Iterator[Event]]
        quiet = False
        match asked.kind:
            case "say":
                first = len(said)
                begin = lambda: self.agent.turn(thread, text, user=user)  # noqa: E731
            case "edit":
                first = asked.message
                begin = lambda: self.agent.edit(thread, first, text, user=user)  # noqa: E731
            case "act":
                action, first, quiet = self._action(asked, state), len(said), True
                begin = lambda: self.agent.act(thread, action, user=user)  # noqa: E731
            case "resume" if not said or said[last].reply:
                # Cut off before the message was even read: it is in the checkpoint alone.
                first, begin = len(said), self._again(asked, user)
            case _:
                first, text = last, said[last].said.text
                update = said[last].said.update
                quiet = update is not None and update.read_by == "page"
                begin = self._again(asked, user)
        return self.runs.start(
            thread, first=first, events=lambda: self._events(thread, first, text, quiet, begin)
        )

    def _again(self, asked: Asked, user: str) -> Callable[[], Iterator[Event]]:
        thread = asked.thread
        if asked.kind == "retry":
            return lambda: self.agent.retry(thread, user=user)
        if asked.kind == "rerun":
            return lambda: self.agent.rerun(
                thread, beliefs=asked.beliefs, candidates=asked.candidates
            )

        def resume() -> Iterator[Event]:
            self.agent.resume(thread)
            yield Event(kind="done")

        return resume

    def _action(self, asked: Asked, state: DialogueState) -> Action:
        """The thing done on the page, checked against what is held and the catalogue."""
        if asked.relax is not None:
            offered = state.plan.relax if state.plan else ()
            if not 0 <= asked.relax < len(offered):
                raise PageError("That is no longer on offer.")
            return Relax(clauses=offered[asked.relax])
        try:
            action: Action = TypeAdapter[Action](Action).validate_python(asked.action)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise PageError(f"{where}: {first['msg']}, got {first['input']!r}.") from error
        if isinstance(action, Replace):
            return canonical(action, state.beliefs, self.agent.catalog)
        return action

    def _events(
        self,
        thread: str,
        first: int,
        text: str,
        quiet: bool,
        begin: Callable[[], Iterator[Event]],
    ) -> Iterator[dict[str, Any]]:
        """What the page is told of a turn, as fragments; a failure is told too, never raised."""
        shown = talk.pending(text, first, quiet=quiet) if text else ""
        yield {"kind": "begin", "first": first, "html": shown}
        telling = Telling(self, thread)
        notice = last = ""
        try:
            for event in begin():
                if event.kind == "done":
                    last = event.text
                    undone = event.turn is not None and event.turn.act == "undo"
                    notice = event.text if undone else ""
                elif told := telling.fragment(event):
                    yield told
        except Exception as error:
            yield {"kind": "failed", "html": talk.trouble(self._why(error), again="resume")}
            return
        state = self.agent.state(thread)
        first = min(first, len(talk.exchanges(state.turns)))
        if not state.turns and not notice:
            notice = last  # everything was forgotten: the conversation too
        yield {"kind": "done", "notice": notice, **self.shown(state, first)}

    def _why(self, error: Exception) -> str:
        """What to tell a person; a bug is logged whole, off the page."""
        if isinstance(error, MemoryError_):
            return f"{error} Your message may not be kept."
        if isinstance(error, ParleyError):
            return f"{error} Your message is kept."
        log.error("a turn failed", exc_info=error)
        return "Something went wrong while I was answering. Your message is kept."


class Telling:
    """One running turn's events as fragments of the page."""

    def __init__(self, chat: Chat, thread: str) -> None:
        self.chat = chat
        self.thread = thread
        self.cards = 0
        self._turns: list[Turn] | None = None

    def turns(self) -> list[Turn]:
        """The conversation up to this reply: read once, when the first unit comes, because
        the message has been understood by then."""
        if self._turns is None:
            self._turns = self.chat.agent.state(self.thread).turns
        return self._turns

    def fragment(self, event: Event) -> dict[str, Any] | None:
        catalog: Catalog = self.chat.agent.catalog
        if event.kind == "slate":
            return {"kind": "slate", "html": waiting_slate(len(event.item_ids), catalog)}
        if event.unit is None:
            return None
        if event.kind == "sentence":
            return {"kind": "sentence", "html": talk.sentence(event.unit, catalog, self.turns())}
        if event.kind == "card" and event.item_id:
            self.cards += 1
            html = card(
                event.item_id,
                event.unit,
                catalog,
                self.cards,
                turns=self.turns(),
                remote_images=self.chat.remote_images,
            )
            return {"kind": "card", "html": html}
        return None
