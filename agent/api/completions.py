"""OpenAI's protocol: ``/v1/chat/completions`` and ``/v1/models``, for clients that speak it.

    client = OpenAI(base_url="http://127.0.0.1:7860/v1", api_key="none")
    client.chat.completions.create(model="parley", messages=[{"role": "user", "content": "…"}])

Without a thread the messages are the whole conversation and nothing is kept. With
``X-Parley-Thread: new`` (or ``metadata={"parley_thread": "new"}``) one is begun, the answer
names it, and from then on only the last message is read: what was said stands here. Items, their
evidence, the act and what was understood come in the field ``parley``.
"""

import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from agent.agent import Agent, Event
from agent.api.errors import ApiError, responses, told
from agent.api.openai_types import MODEL, Completion, ignored, refusal
from agent.api.people import THREAD, Owner, begun, idle, owner_of
from agent.api.replay import replayed
from agent.api.turning import Begin, Turning, as_json, server_sent
from agent.api.views import Reply, Usage, reply_view
from agent.graph import text_of
from agent.state import DialogueState, Unit

NEW = "new"
ThreadHeader = Annotated[
    str | None,
    Header(
        alias="X-Parley-Thread",
        pattern=rf"^({NEW}|{THREAD[1:-1]})$",
        description="a conversation kept here: `new`, or the name that a former answer gave",
    ),
]


class Answer(BaseModel):
    role: str = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    index: int = 0
    message: Answer
    logprobs: None = None
    finish_reason: str = "stop"


class Extension(Reply):
    """Beyond OpenAI's protocol: what the reply rests on. ``ignored``: sent and without effect."""

    ignored: list[str] = Field(default=[])


class ChatCompletion(BaseModel):
    id: str
    object: str = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    parley: Extension


class Model(BaseModel):
    id: str
    object: str = "model"
    created: int = 0
    owned_by: str = "parley"
    catalog: str = Field(description="what it recommends from")


class Models(BaseModel):
    object: str = "list"
    data: list[Model]


@dataclass
class Exchange:
    """One message to answer. ``kept``: its conversation stays here; ``after``: its state then."""

    thread: str
    user: str
    text: str
    kept: bool
    after: DialogueState = field(default_factory=DialogueState)


def routes(agent: Agent, turning: Turning) -> APIRouter:
    """The addresses under ``/v1``."""
    router = APIRouter(prefix="/v1", tags=["openai"])

    def model() -> Model:
        return Model(id=MODEL, catalog=agent.catalog.domain.name)

    @router.get("/models", response_model=Models, responses=responses())
    def models() -> Any:
        """The one model there is."""
        return Models(data=[model()])

    @router.get("/models/{name}", response_model=Model, responses=responses(400, 404))
    def one(name: str) -> Any:
        """The model ``parley``."""
        if name != MODEL:
            raise unknown_model(name)
        return model()

    @router.post(
        "/chat/completions",
        response_model=ChatCompletion,
        responses=responses(400, 404, 409, 503)
        | {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    )
    async def complete(
        asked: Completion,
        request: Request,
        response: Response,
        user: Owner,
        thread: ThreadHeader = None,
    ) -> Any:
        """Answer the last message; with `stream`, as chunks of verified text."""
        if asked.model != MODEL:
            raise unknown_model(asked.model)
        refused = refusal(asked)
        if refused is not None:
            raise ApiError(refused.words, 400, code="unsupported_parameter", param=refused.param)
        if asked.user and "x-parley-user" not in request.headers:
            user = owner_of(request.scope.get("state", {}).get("caller", ""), asked.user)
        thread = thread or (asked.metadata or {}).get("parley_thread")
        exchange = await run_in_threadpool(opened, agent, asked, user, thread)
        headers = {"X-Parley-Thread": exchange.thread} if exchange.kept else {}
        writing = Writing(agent, asked, exchange)
        events = turning.events(exchange.thread, answering(agent, exchange))
        if asked.stream:
            first = await anext(events)
            return server_sent(writing.chunks(first, events), headers)
        last: Event | None = None
        async for event in events:
            last = event
        response.headers.update(headers)
        return writing.whole(last)

    return router


def unknown_model(name: str) -> ApiError:
    words = f"No model {name[:80]!r} here: there is {MODEL!r}."
    return ApiError(words, 404, code="model_not_found", param="model")


def opened(agent: Agent, asked: Completion, user: str, thread: str | None) -> Exchange:
    """The conversation that the message belongs to: kept here, or made from the messages."""
    text = asked.messages[-1].text
    if thread is None:
        parts = agent.parts.of(user)
        state = replayed(asked.messages[:-1], parts, user)
        return Exchange(thread=agent.begin(user, state), user=user, text=text, kept=False)
    if thread == NEW:
        return Exchange(thread=agent.begin(user), user=user, text=text, kept=True)
    if len(thread) != 32:
        words = f"No conversation {thread[:80]!r} here: send {NEW!r}, or a name that was given."
        raise ApiError(words, 404, code="no_conversation", param="X-Parley-Thread")
    begun(agent, thread, user)
    idle(agent, thread)
    return Exchange(thread=thread, user=user, text=text, kept=True)


def answering(agent: Agent, exchange: Exchange) -> Begin:
    """The turn; a conversation that nobody asked to keep is gone when it ends."""

    def events() -> Iterator[Event]:
        try:
            for event in agent.turn(exchange.thread, exchange.text, user=exchange.user):
                if event.kind == "done":
                    exchange.after = agent.state(exchange.thread)
                yield event
        finally:
            if not exchange.kept:
                agent.delete(exchange.thread, user=exchange.user)

    return events


class Writing:
    """One answer in OpenAI's words, whole or in chunks."""

    def __init__(self, agent: Agent, asked: Completion, exchange: Exchange) -> None:
        self.agent = agent
        self.asked = asked
        self.exchange = exchange
        self.id = f"chatcmpl-{uuid.uuid4().hex}"
        self.created = int(time.time())
        self.units: list[Unit] = []
        self.sent = ""

    def extension(self, event: Event) -> Extension:
        assert event.turn is not None
        thread = self.exchange.thread if self.exchange.kept else None
        view = reply_view(event.turn, self.exchange.after, self.agent.catalog, thread)
        return Extension(**view.model_dump(), ignored=ignored(self.asked))

    def whole(self, event: Event | None) -> ChatCompletion:
        if event is None or event.turn is None:
            raise ApiError("The turn ended without a reply: ask again.", 503, code="unavailable")
        extension = self.extension(event)
        return ChatCompletion(
            id=self.id,
            created=self.created,
            model=MODEL,
            choices=[Choice(message=Answer(content=extension.text))],
            usage=extension.usage,
            parley=extension,
        )

    async def chunks(self, first: Event, events: AsyncIterator[Event]) -> AsyncIterator[str]:
        """The stream's data: role, text as it is verified, the end with ``parley``, ``[DONE]``."""
        yield self.chunk({"role": "assistant", "content": ""})
        event, cards = first, False
        while True:
            cards = cards or event.kind == "slate"
            if event.unit is not None:
                self.units.append(event.unit)
                if fresh := self.fresh(text_of(self.units, self.agent.catalog, cards)):
                    yield self.chunk({"content": fresh})
            if event.kind == "done" and event.turn is not None:
                if fresh := self.fresh(event.turn.text):
                    yield self.chunk({"content": fresh})
                extension = self.extension(event)
                parley = extension.model_dump(mode="json")
                yield self.chunk({}, finish_reason="stop", parley=parley)
                if self.asked.stream_options and self.asked.stream_options.include_usage:
                    yield self.chunk(None, usage=extension.usage.model_dump())
            try:
                event = await anext(events)
            except StopAsyncIteration:
                break
            except Exception as error:
                _, answer = told(error)
                yield as_json(answer)
                break
        yield "[DONE]"

    def fresh(self, text: str) -> str:
        """What of the text was not sent yet; what was sent stands."""
        if not text.startswith(self.sent):
            return ""
        fresh, self.sent = text[len(self.sent) :], text
        return fresh

    def chunk(
        self, delta: dict[str, Any] | None, finish_reason: str | None = None, **more: Any
    ) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return as_json(
            {
                "id": self.id,
                "object": "chat.completion.chunk",
                "created": self.created,
                "model": MODEL,
                "choices": [] if delta is None else [choice],
                **more,
            }
        )
