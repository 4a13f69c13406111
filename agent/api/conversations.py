"""Conversations over REST: begin, say, act, undo, try again, edit, list, read, delete.

A conversation's name is made here, of 122 random bits, and it exists for the person who began
it alone. Every turn can be streamed as server-sent events: cards and sentences as they pass the
verifier, then ``done`` with the whole reply.
"""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.concurrency import run_in_threadpool

from agent.agent import MAX_USER_CHARS, Agent
from agent.api.errors import ApiError, responses, told
from agent.api.people import THREAD, Owner, begun, idle
from agent.api.turning import Begin, Turning, as_json, server_sent
from agent.api.views import (
    ConversationView,
    EventView,
    Reply,
    event_view,
    reply_view,
    turn_view,
)
from agent.history import Conversation
from agent.state import Action, DialogueState

Thread = Annotated[str, Path(pattern=THREAD, description="a conversation's name")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=MAX_USER_CHARS, pattern=r"\S")]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    stream: bool = Field(False, description="answer with server-sent events as they come")


class Say(Body):
    """A message."""

    text: Words


class Do(Body):
    """A thing done with an item or a belief, as on the page."""

    action: Action


class Again(Body):
    """Nothing but how to answer."""


class Edit(Body):
    """Another wording of an earlier message; what came after it is given up."""

    message: int = Field(ge=0, le=100_000, description="which message of the person, from 0")
    text: Words


class Begun(BaseModel):
    """A new conversation."""

    thread: str


class Conversations(BaseModel):
    """Newest first, those in which something was said."""

    conversations: list[Conversation]


class Stopped(BaseModel):
    """Whether a turn was running."""

    stopped: bool


STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The reply; with `stream`, events until `done`.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


def routes(agent: Agent, turning: Turning) -> APIRouter:
    """The addresses under ``/api/v1/conversations``."""
    router = APIRouter(prefix="/api/v1/conversations", tags=["conversations"])
    turn_errors = STREAMED | responses(404, 409, 503)

    async def answered(thread: str, begin: Begin, stream: bool) -> Any:
        if stream:
            return await streamed(agent, turning, thread, begin)
        last = await turning.whole(thread, begin)
        assert last.turn is not None
        return reply_view(last.turn, agent.state(thread), agent.catalog, thread)

    def ready(thread: str, user: str) -> DialogueState:
        state = begun(agent, thread, user)
        idle(agent, thread)
        return state

    @router.post("", status_code=201, response_model=Begun, responses=responses())
    def begin(user: Owner) -> Any:
        """Begin an empty conversation; it is listed once something is said in it."""
        return Begun(thread=agent.begin(user))

    @router.get("", response_model=Conversations, responses=responses())
    def listed(user: Owner) -> Any:
        """This person's conversations, at most 500."""
        return Conversations(conversations=agent.conversations(user))

    @router.get("/{thread}", response_model=ConversationView, responses=responses(404))
    def show(thread: Thread, user: Owner) -> Any:
        """A conversation: its turns, the items shown, what is believed."""
        state = begun(agent, thread, user)
        turns = [turn_view(t, agent.catalog) for t in state.turns]
        return ConversationView(thread=thread, turns=turns, beliefs=state.beliefs)

    @router.delete("/{thread}", status_code=204, responses=responses(404, 409))
    def delete(thread: Thread, user: Owner) -> Response:
        """Delete a conversation, and the feedback given in it, for good."""
        ready(thread, user)
        agent.delete(thread, user=user)
        return Response(status_code=204)

    @router.post("/{thread}/turns", response_model=Reply, responses=turn_errors)
    async def say(thread: Thread, said: Say, user: Owner) -> Any:
        """Say something and get the reply."""
        await run_in_threadpool(ready, thread, user)
        return await answered(thread, lambda: agent.turn(thread, said.text, user=user), said.stream)

    @router.post("/{thread}/actions", response_model=Reply, responses=turn_errors)
    async def act(thread: Thread, done: Do, user: Owner) -> Any:
        """Do something: more_like, not_this, seen_it, why, remove, replace, adventure, relax."""
        await run_in_threadpool(ready, thread, user)
        return await answered(
            thread, lambda: agent.act(thread, done.action, user=user), done.stream
        )

    @router.post("/{thread}/retry", response_model=Reply, responses=turn_errors)
    async def retry(thread: Thread, how: Again, user: Owner) -> Any:
        """Answer the last message again, in other words and with other items."""
        await run_in_threadpool(ready, thread, user)
        return await answered(thread, lambda: agent.retry(thread, user=user), how.stream)

    @router.post("/{thread}/edit", response_model=Reply, responses=turn_errors)
    async def edit(thread: Thread, edited: Edit, user: Owner) -> Any:
        """Go back to an earlier message and say it differently."""
        await run_in_threadpool(ready, thread, user)
        return await answered(
            thread,
            lambda: agent.edit(thread, edited.message, edited.text, user=user),
            edited.stream,
        )

    @router.post("/{thread}/undo", response_model=ConversationView, responses=responses(404, 409))
    def undo(thread: Thread, user: Owner) -> Any:
        """Take back the last message and everything it brought about."""
        if not ready(thread, user).turns:
            raise ApiError("Nothing was said yet: there is nothing to undo.", code="nothing_said")
        state = agent.undo(thread)
        turns = [turn_view(t, agent.catalog) for t in state.turns]
        return ConversationView(thread=thread, turns=turns, beliefs=state.beliefs)

    @router.post("/{thread}/stop", response_model=Stopped, responses=responses(404))
    def stop(thread: Thread, user: Owner) -> Any:
        """Ask the running turn to end; what was verified by then is its reply."""
        begun(agent, thread, user)
        return Stopped(stopped=agent.stop(thread))

    return router


async def streamed(agent: Agent, turning: Turning, thread: str, begin: Begin) -> StreamingResponse:
    """A turn as server-sent events. What fails before its first event is an ordinary error."""
    events = turning.events(thread, begin)
    first = await anext(events)

    async def lines() -> AsyncIterator[str]:
        event = first
        while True:
            if event.kind == "done" and event.turn is not None:
                view = reply_view(event.turn, agent.state(thread), agent.catalog, thread)
                done = EventView(kind="done", text=view.text, reply=view)
                yield as_json(done.model_dump(mode="json"))
            elif shown := event_view(event, agent.catalog):
                yield as_json(shown.model_dump(mode="json", exclude_defaults=True))
            try:
                event = await anext(events)
            except StopAsyncIteration:
                return
            except Exception as error:
                _, answer = told(error)
                yield as_json({"kind": "error", **answer})
                return

    return server_sent(lines(), {})
